// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Timing

/// The two ciphers of a session, shared with the runs that seal under them.
///
/// BoringSSL wipes the keys when the last owner lets go.
final class SessionKeys: Sendable {
  let sending: PacketCipher
  let receiving: PacketCipher

  init(sending: Bytes32, receiving: Bytes32) {
    self.sending = PacketCipher(key: sending)
    self.receiving = PacketCipher(key: receiving)
  }
}

/// One handshake's worth of traffic: keys, indices and counters.
struct Session: Sendable {
  let keys: SessionKeys
  let localIndex: UInt32
  let remoteIndex: UInt32
  let isInitiator: Bool
  private let expires: Instant
  private let renewWhenSending: Instant
  private let renewWhenReceiving: Instant
  private var hasRenewedWhenReceiving = false
  private var sendCounter: UInt64 = 0
  private var window = ReplayWindow()

  init(
    keys: SessionKeys,
    localIndex: UInt32,
    remoteIndex: UInt32,
    isInitiator: Bool,
    at now: Instant
  ) {
    (self.keys, self.localIndex, self.remoteIndex) = (keys, localIndex, remoteIndex)
    self.isInitiator = isInitiator
    expires = now + ProtocolConstants.rejectAfterTime
    renewWhenSending = now + ProtocolConstants.rekeyAfterTime
    renewWhenReceiving = now + ProtocolConstants.rekeyAfterTimeReceiving
  }

  /// Whether anything may still be sent or accepted.
  func isAlive(at now: Instant) -> Bool {
    now < expires && sendCounter < ProtocolConstants.rejectAfterMessages
  }

  /// The first of `count` counters that nobody else will use; nil at the session's end.
  mutating func reserve(_ count: Int, at now: Instant) -> UInt64? {
    precondition(count > 0, "a run seals at least one packet")
    let (end, overflow) = sendCounter.addingReportingOverflow(UInt64(count))
    guard now < expires, !overflow, end <= ProtocolConstants.rejectAfterMessages else {
      return nil
    }
    defer { sendCounter = end }
    return sendCounter
  }

  /// Whether it is time for a new handshake, seen when something was sent.
  func shouldRenewWhenSending(at now: Instant) -> Bool {
    sendCounter > ProtocolConstants.rekeyAfterMessages || isInitiator && now > renewWhenSending
  }

  /// Whether it is time for a new handshake, seen when something was received; once per session.
  mutating func shouldRenewWhenReceiving(at now: Instant) -> Bool {
    guard isInitiator, !hasRenewedWhenReceiving, now > renewWhenReceiving else { return false }
    hasRenewedWhenReceiving = true
    return true
  }

  /// Why a datagram with this counter is not worth opening; nil when it is.
  ///
  /// A duplicate costs no decryption.
  func refusal(of counter: UInt64, at now: Instant) -> DropReason? {
    guard now < expires else { return .expiredSession }
    guard counter < ProtocolConstants.rejectAfterMessages else { return .exhaustedCounter }
    return window.isFresh(counter) ? nil : .replayed
  }

  /// Takes an opened datagram's counter, unless there is a reason not to.
  ///
  /// The window moves for authentic packets only.
  mutating func conclude(_ counter: UInt64, isAuthentic: Bool, at now: Instant) -> DropReason? {
    // Asked again: packets opened together with this one have moved the window since.
    if let refusal = refusal(of: counter, at: now) { return refusal }
    guard isAuthentic else { return .notAuthentic }
    window.insert(counter)
    return nil
  }

  /// Moves the send counter, for tests of its end.
  mutating func setSendCounter(_ counter: UInt64) { sendCounter = counter }
}
