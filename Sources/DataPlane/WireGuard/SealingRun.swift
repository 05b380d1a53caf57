// SPDX-License-Identifier: Apache-2.0

public import Keys

/// Counters of a session that are reserved for packets about to be sealed.
///
/// It stays good when the session is replaced meanwhile: its packets are still accepted.
public struct SealingRun: Sendable {
  let keys: SessionKeys
  let receiver: UInt32
  let firstCounter: UInt64
  let slot: Int
  /// Whom the packets are for.
  public let peer: PeerID

  /// The header of the packet at `index` of the run.
  func header(_ index: Int) -> TransportHeader {
    TransportHeader(receiver: receiver, counter: firstCounter + UInt64(index))
  }

  /// The datagram of a run of one.
  func datagram(sealing plaintext: [UInt8]) -> [UInt8] {
    header(0).datagram(sealing: plaintext, with: keys.sending)
  }
}
