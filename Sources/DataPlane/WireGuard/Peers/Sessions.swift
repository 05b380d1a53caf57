// SPDX-License-Identifier: Apache-2.0

import Timing

/// A peer's sessions: the one in use, the one before it, and one that waits for confirmation.
///
/// As responder we may not use a new session before a packet under it has arrived: the initiator may
/// not have received our response.
///
/// - Source: WireGuard paper §6.3; `Documentation/Protocols/wireguard.md`, constants and timers.
struct Sessions: Sendable {
  private(set) var current: Session?
  private(set) var previous: Session?
  private(set) var next: Session?

  /// Whether there is none.
  var isEmpty: Bool { current == nil && previous == nil && next == nil }

  /// Takes up a session that our initiation led to.
  ///
  /// One that waits for confirmation is kept for receiving: when both sides initiate at once, each
  /// sends with the session that it began.
  mutating func installInitiated(_ session: Session, _ table: inout ReceiverTable) {
    release(&previous, &table)
    if let waiting = next.take() {
      release(&current, &table)
      previous = waiting
    } else {
      previous = current
    }
    current = session
  }

  /// Takes up a session that we answered for, to be confirmed.
  mutating func installAnswered(_ session: Session, _ table: inout ReceiverTable) {
    release(&next, &table)
    release(&previous, &table)
    next = session
  }

  /// Opens a datagram with the session that its index names; tells whether that was a confirmation.
  mutating func open(
    _ datagram: UnsafeMutableRawBufferPointer,
    _ header: TransportHeader,
    at now: Instant,
    _ table: inout ReceiverTable
  ) -> (opening: Session.Opening, isConfirmed: Bool)? {
    // SAFETY: the datagram is handed through.
    if current?.localIndex == header.receiver {
      return unsafe (current?.open(datagram, header, at: now)).map { ($0, false) }
    }
    if previous?.localIndex == header.receiver {
      return unsafe (previous?.open(datagram, header, at: now)).map { ($0, false) }
    }
    guard next?.localIndex == header.receiver,
      let opening = unsafe next?.open(datagram, header, at: now)
    else { return nil }
    guard case .plaintext = opening else { return (opening, false) }
    release(&previous, &table)
    previous = current
    current = next.take()
    return (opening, true)
  }

  /// A counter run of the session in use.
  mutating func reserve(_ count: Int, at now: Instant) -> UInt64? {
    current?.reserve(count, at: now) ?? nil
  }

  mutating func shouldRenewWhenReceiving(at now: Instant) -> Bool {
    current?.shouldRenewWhenReceiving(at: now) ?? false
  }

  /// Lets go of all of them.
  mutating func removeAll(_ table: inout ReceiverTable) {
    release(&current, &table)
    release(&previous, &table)
    release(&next, &table)
  }

  /// Changes the session in use, for tests of counters.
  mutating func withCurrent(_ body: (inout Session?) -> Void) { body(&current) }

  private func release(_ session: inout Session?, _ table: inout ReceiverTable) {
    guard let old = session.take() else { return }
    table.release(old.localIndex)
  }
}
