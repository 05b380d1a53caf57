// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Tables
import Timing

/// One peer: handshakes, sessions, timers, and packets that wait.
///
/// Most peers are asleep most of the time: then there is nothing of it but what it was told and what
/// must not be forgotten. What a conversation needs comes with the first thing that happens
/// (`Peer+Waking.swift`) and goes when its last timer has run out.
struct Peer: Sendable {
  /// What a peer has while there is something to do for it.
  struct Wakeful: Sendable {
    var sessions = Sessions()
    var timers: PeerTimers
    /// What our static keys share; worked out when a handshake first needs it.
    var staticSecret: Bytes32?
    var outstanding: OutstandingInitiation?
    var cookie = ReceivedCookie()
    var staged = StagedQueue()
    var lastInitiationReceived: Instant?
    var lastHandshakeSent: Instant?
    /// The earliest call that is in the queue of deadlines.
    var called: Instant?
  }

  let id: PeerID
  /// Where it lies in the table of peers.
  let slot: Int
  var configuration: PeerConfiguration
  var status = PeerStatus(lastHandshake: nil, bytesReceived: 0, bytesSent: 0)
  /// The stamp of the last initiation that was accepted.
  var latestStamp: TAI64N?
  var wakeful = Boxed<Wakeful>()
  let jitterSeed: UInt64

  init(
    _ id: PeerID,
    slot: Int,
    _ configuration: PeerConfiguration,
    at now: Instant,
    jitterSeed: UInt64
  ) {
    (self.id, self.slot, self.configuration) = (id, slot, configuration)
    self.jitterSeed = jitterSeed
    keepPersistently(at: now)
  }

  // MARK: Configuration

  /// Takes a new configuration for the same public key.
  mutating func configure(
    _ wanted: PeerConfiguration,
    at now: Instant,
    _ local: inout LocalState
  ) {
    let isSecretChanged =
      wanted.presharedKey != configuration.presharedKey
      && wanted.effectivePresharedKey != configuration.effectivePresharedKey
    configuration = wanted
    if isSecretChanged { endSessions(&local) }
    keepPersistently(at: now)
  }

  private mutating func keepPersistently(at now: Instant) {
    guard configuration.persistentKeepalive != nil || !isAsleep else { return }
    timers.setPersistentKeepalive(configuration.persistentKeepalive, at: now)
  }

  /// Ends all sessions and handshakes; packets that wait ask for a new one.
  mutating func endSessions(_ local: inout LocalState) {
    guard !isAsleep else { return }
    sessions.removeAll(&local.receivers)
    dropOutstanding(&local)
    timers.reset()
    lastHandshakeSent = nil
    if !staged.isEmpty { timers.handshakeAsSoonAsPossible() }
  }

  /// Forgets what is known from the peer's last run, so that its clock may have gone back.
  mutating func forgetHistory() {
    latestStamp = nil
    guard !isAsleep else { return }
    cookie = ReceivedCookie()
    lastInitiationReceived = nil
  }

  /// Forgets what follows from our own static key.
  mutating func forgetIdentity() {
    guard !isAsleep else { return }
    staticSecret?.wipe()
    staticSecret = nil
  }

  /// Lets go of everything; tells how many packets waited.
  mutating func close(_ local: inout LocalState) -> Int {
    guard !isAsleep else { return 0 }
    endSessions(&local)
    forgetIdentity()
    let waiting = staged.count
    wakeful.clear()
    return waiting
  }

  // MARK: Time

  /// Does what has become due; tells how many packets were given up.
  mutating func handleTimers(
    at moment: Moment,
    _ local: inout LocalState,
    into effects: inout Effects
  ) -> Int {
    guard !isAsleep else { return 0 }
    var abandoned = 0
    while let event = timers.takeDue(at: moment.now) {
      switch event {
      case .forget:
        sessions.removeAll(&local.receivers)
        dropOutstanding(&local)
      case .retransmit:
        if timers.mayRetry() {
          initiate(isRetry: true, at: moment, &local, into: &effects)
        } else {
          abandoned += staged.takeAll().count
          dropOutstanding(&local)
          timers.gaveUp(at: moment.now)
        }
      case .newHandshake: initiate(isRetry: false, at: moment, &local, into: &effects)
      case .passiveKeepalive(let isAnotherOwed):
        keepAlive(at: moment, &local, into: &effects)
        if isAnotherOwed { timers.dataReceived(at: moment.now) }
      case .persistentKeepalive:
        keepAlive(at: moment, &local, into: &effects, opensSession: true)
      }
    }
    return abandoned
  }

  /// Sends a keepalive, and renews the session if it is getting old.
  private mutating func keepAlive(
    at moment: Moment,
    _ local: inout LocalState,
    into effects: inout Effects,
    opensSession: Bool = false
  ) {
    let isSent = sendKeepalive(at: moment.now, into: &effects)
    guard isSent ? shouldRenewWhenSending(at: moment.now) : opensSession else { return }
    initiate(isRetry: false, at: moment, &local, into: &effects)
  }

  /// Reaches into the sessions, for tests of counters.
  mutating func withSessions(_ body: (inout Sessions) -> Void) { body(&sessions) }
}
