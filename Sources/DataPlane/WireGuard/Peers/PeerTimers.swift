// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Timing

/// When a peer next needs a handshake, a keepalive, or to be forgotten.
///
/// Named after what they lead to. All are off while a tunnel is idle: nothing is sent then.
///
/// - Source: WireGuard paper §6.1 to §6.5; `Documentation/Protocols/wireguard.md`, behaviour.
struct PeerTimers: Sendable {
  /// What has become due, in the order in which it is done.
  enum Event: Hashable {
    case forget
    case retransmit
    case newHandshake
    /// Another one will be owed, for what came in since the first packet.
    case passiveKeepalive(isAnotherOwed: Bool)
    case persistentKeepalive
  }

  private static let off = Instant(nanoseconds: .max)

  /// An initiation is out and has no response yet, or one is held back by the 5-second rule.
  private var retransmit = off
  /// Data went out and nothing came in since.
  private var newHandshake = off
  /// Data came in and nothing went out since.
  private var passiveKeepalive = off
  /// The keys are to be forgotten.
  private var forget = off
  /// The peer wants packets now and then, to keep a mapping open.
  private var persistentKeepalive = off
  /// How many initiations were sent since the one that nobody asked to repeat.
  private(set) var attempts = 0
  private var owesAnotherKeepalive = false
  private var persistentInterval: Duration?
  /// Spreads handshakes; no secret, hence cheap.
  private var jitter: Entropy

  init(jitterSeed: UInt64) { jitter = Entropy(seed: jitterSeed) }

  /// The first of them.
  var earliest: Instant? {
    let handshake = min(retransmit, newHandshake)
    let keepalive = min(passiveKeepalive, persistentKeepalive)
    let earliest = min(min(handshake, keepalive), forget)
    return earliest == Self.off ? nil : earliest
  }

  /// Whether an initiation will be sent again.
  var isRetransmitting: Bool { retransmit != Self.off }

  /// Takes out the next one that is due.
  mutating func takeDue(at now: Instant) -> Event? {
    if Self.take(&forget, at: now) { return .forget }
    if Self.take(&retransmit, at: now) { return .retransmit }
    if Self.take(&newHandshake, at: now) { return .newHandshake }
    if Self.take(&passiveKeepalive, at: now) {
      defer { owesAnotherKeepalive = false }
      return .passiveKeepalive(isAnotherOwed: owesAnotherKeepalive)
    }
    if Self.take(&persistentKeepalive, at: now) {
      packetTraversed(at: now)
      return .persistentKeepalive
    }
    return nil
  }

  private static func take(_ timer: inout Instant, at now: Instant) -> Bool {
    guard timer <= now, timer != off else { return false }
    timer = off
    return true
  }

  // MARK: What happened

  /// A packet with content was sent.
  mutating func dataSent(at now: Instant) {
    guard newHandshake == Self.off else { return }
    newHandshake = now + ProtocolConstants.newHandshakeTimeout + randomJitter()
  }

  /// A packet with content was received.
  mutating func dataReceived(at now: Instant) {
    guard passiveKeepalive == Self.off else {
      owesAnotherKeepalive = true
      return
    }
    passiveKeepalive = now + ProtocolConstants.keepaliveTimeout
  }

  /// Anything that the peer can authenticate was sent.
  mutating func packetSent(at now: Instant) {
    passiveKeepalive = Self.off
    owesAnotherKeepalive = false
    packetTraversed(at: now)
  }

  /// Anything authentic was received.
  mutating func packetReceived(at now: Instant) {
    newHandshake = Self.off
    packetTraversed(at: now)
  }

  /// Somebody wants a session: the count of attempts begins anew.
  mutating func handshakeWanted() { attempts = 0 }

  /// An initiation was sent, or must wait until `earliest`.
  mutating func handshakeInitiated(at earliest: Instant) {
    retransmit = earliest + ProtocolConstants.rekeyTimeout + randomJitter()
  }

  /// The response did not come; false when it is time to give up.
  mutating func mayRetry() -> Bool {
    guard attempts <= ProtocolConstants.attemptsMaximum else { return false }
    attempts += 1
    return true
  }

  /// Both sides hold a session.
  mutating func handshakeCompleted() {
    retransmit = Self.off
    attempts = 0
  }

  /// New keys were derived: the countdown to forgetting begins anew.
  mutating func sessionDerived(at now: Instant) {
    forget = now + ProtocolConstants.forgetAfterTime
  }

  /// Nobody answers, or somebody knocks: what is left of it is forgotten in time.
  mutating func gaveUp(at now: Instant) {
    if forget == Self.off { forget = now + ProtocolConstants.forgetAfterTime }
  }

  // MARK: What is asked for

  /// Sets or ends the persistent keepalive; a new one is due at once.
  mutating func setPersistentKeepalive(_ interval: Duration?, at now: Instant) {
    let wanted = interval.map { max($0, .seconds(1)) }
    guard wanted != persistentInterval else { return }
    persistentInterval = wanted
    persistentKeepalive = wanted == nil ? Self.off : now
  }

  /// Asks for a handshake as soon as timers are handled.
  mutating func handshakeAsSoonAsPossible() {
    retransmit = .origin
    attempts = 0
  }

  /// Turns everything off but the persistent keepalive, which becomes due at once.
  mutating func reset() {
    (retransmit, newHandshake) = (Self.off, Self.off)
    (passiveKeepalive, forget) = (Self.off, Self.off)
    (attempts, owesAnotherKeepalive) = (0, false)
    persistentKeepalive = persistentInterval == nil ? Self.off : .origin
  }

  private mutating func packetTraversed(at now: Instant) {
    guard let persistentInterval else { return }
    persistentKeepalive = now + persistentInterval
  }

  private mutating func randomJitter() -> Duration {
    let maximum = UInt64(ProtocolConstants.jitterMaximum.wholeNanoseconds)
    return .nanoseconds(Int64(jitter.next() % maximum))
  }
}
