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

  /// The keys of the session that goes by `index` with us.
  func keys(of index: UInt32) -> SessionKeys? {
    if current?.localIndex == index { return current?.keys }
    if previous?.localIndex == index { return previous?.keys }
    return next?.localIndex == index ? next?.keys : nil
  }

  /// Why a datagram is not worth opening; nil when it is.
  func refusal(of header: TransportHeader, at now: Instant) -> DropReason? {
    if current?.localIndex == header.receiver {
      return current?.refusal(of: header.counter, at: now) ?? nil
    }
    if previous?.localIndex == header.receiver {
      return previous?.refusal(of: header.counter, at: now) ?? nil
    }
    guard next?.localIndex == header.receiver else { return .unknownReceiver }
    return next?.refusal(of: header.counter, at: now) ?? nil
  }

  /// Takes an opened datagram; tells why not, and whether it confirmed the session that waited.
  mutating func conclude(
    _ header: TransportHeader,
    isAuthentic: Bool,
    at now: Instant,
    _ table: inout ReceiverTable
  ) -> (refusal: DropReason?, isConfirmed: Bool) {
    let counter = header.counter
    if current?.localIndex == header.receiver {
      let refusal = current?.conclude(counter, isAuthentic: isAuthentic, at: now) ?? nil
      return (refusal, false)
    }
    if previous?.localIndex == header.receiver {
      let refusal = previous?.conclude(counter, isAuthentic: isAuthentic, at: now) ?? nil
      return (refusal, false)
    }
    guard next?.localIndex == header.receiver else { return (.unknownReceiver, false) }
    if let refusal = next?.conclude(counter, isAuthentic: isAuthentic, at: now) ?? nil {
      return (refusal, false)
    }
    release(&previous, &table)
    previous = current
    current = next.take()
    return (nil, true)
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
