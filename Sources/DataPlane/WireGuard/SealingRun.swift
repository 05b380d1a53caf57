// SPDX-License-Identifier: Apache-2.0

public import Cryptography
public import Keys

/// Counters of a session that are reserved for packets about to be sealed.
///
/// A value that knows its key and nothing of the tunnel: any thread that has an engine and a train of
/// its own may seal with it while the tunnel goes on. It stays good when the session is replaced
/// meanwhile: its packets are still accepted. Packets of one run may be sealed in any order, but each
/// counter only once.
public struct SealingRun: Sendable {
  let keys: SessionKeys
  let receiver: UInt32
  let firstCounter: UInt64
  let slot: Int
  /// Whom the packets are for.
  public let peer: PeerID

  /// Writes headers and seals packets that lie behind each other, each where it lies.
  ///
  /// Every one of them has 16 bytes of room for the header, its plaintext (padded with zeros as
  /// `Padding.paddedLength` says), and 16 bytes of room for the tag. Allocates nothing.
  ///
  /// - Parameters:
  ///   - packets: Their numbers in the run.
  ///   - start: Where the first one's header goes.
  ///   - plaintextCount: The padded length of each but the last.
  ///   - lastPlaintextCount: That of the last.
  ///   - engine: What the calling thread seals with.
  ///   - train: A train of the calling thread's, whatever is in it.
  public func seal(
    _ packets: Range<Int>,
    at start: UnsafeMutableRawPointer,
    plaintextCount: Int,
    lastPlaintextCount: Int,
    with engine: inout PacketEngine,
    _ train: inout PacketTrain
  ) {
    train.removeAll()
    var datagram = unsafe start
    for index in packets {
      if !train.hasRoom {
        engine.seal(train, with: keys.sending)
        train.removeAll()
      }
      let isLast = index == packets.upperBound - 1
      let count = isLast ? lastPlaintextCount : plaintextCount
      let header = header(index)
      // SAFETY: the caller vouches for header, plaintext and tag of every packet.
      unsafe header.write(to: datagram)
      unsafe train.append(
        datagram + TransportHeader.length,
        count: count,
        counter: header.counter
      )
      unsafe datagram += count + TransportHeader.overhead
    }
    engine.seal(train, with: keys.sending)
  }

  /// The header of the packet at `index` of the run.
  func header(_ index: Int) -> TransportHeader {
    TransportHeader(receiver: receiver, counter: firstCounter + UInt64(index))
  }

  /// The datagram of a run of one.
  func datagram(sealing plaintext: [UInt8]) -> [UInt8] {
    header(0).datagram(sealing: plaintext, with: keys.sending)
  }
}
