// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Timing

/// What a peer shares with all others: our identity, indices, random numbers.
struct LocalState: Sendable {
  var identity: Identity
  var gate: HandshakeGate
  var receivers = ReceiverTable()
  var stamps = StampClock()
  var entropy: Entropy
  let mtu: Int

  init(privateKey: NodePrivateKey, mtu: Int, entropy: Entropy) {
    identity = Identity(privateKey)
    gate = HandshakeGate(publicKey: identity.publicKey)
    (self.mtu, self.entropy) = (mtu, entropy)
  }
}

/// A moment on both clocks.
struct Moment: Sendable {
  let now: Instant
  let wall: Timestamp
}

/// One peer: handshakes, sessions, timers, and packets that wait.
struct Peer: Sendable {
  let id: PeerID
  /// Where it lies in the table of peers.
  let slot: Int
  private(set) var configuration: PeerConfiguration
  private(set) var sessions = Sessions()
  private(set) var timers: PeerTimers
  private(set) var status = PeerStatus(lastHandshake: nil, bytesReceived: 0, bytesSent: 0)
  /// What our static keys share; worked out when a handshake first needs it.
  private var staticSecret: [UInt8]?
  private var outstanding: OutstandingInitiation?
  private var cookie = ReceivedCookie()
  private var staged = StagedQueue()
  /// The stamp of the last initiation that was accepted.
  private var latestStamp: TAI64N?
  private var lastInitiationReceived: Instant?
  private var lastHandshakeSent: Instant?

  init(
    _ id: PeerID,
    slot: Int,
    _ configuration: PeerConfiguration,
    at now: Instant,
    jitterSeed: UInt64
  ) {
    (self.id, self.slot, self.configuration) = (id, slot, configuration)
    timers = PeerTimers(jitterSeed: jitterSeed)
    timers.setPersistentKeepalive(configuration.persistentKeepalive, at: now)
  }

  // MARK: Configuration

  /// Takes a new configuration for the same public key.
  mutating func configure(
    _ wanted: PeerConfiguration,
    at now: Instant,
    _ local: inout LocalState
  ) {
    let isSecretChanged = wanted.effectivePresharedKey != configuration.effectivePresharedKey
    configuration = wanted
    if isSecretChanged { endSessions(&local) }
    timers.setPersistentKeepalive(wanted.persistentKeepalive, at: now)
  }

  /// Ends all sessions and handshakes; packets that wait ask for a new one.
  mutating func endSessions(_ local: inout LocalState) {
    sessions.removeAll(&local.receivers)
    dropOutstanding(&local)
    timers.reset()
    lastHandshakeSent = nil
    if !staged.isEmpty { timers.handshakeAsSoonAsPossible() }
  }

  /// Forgets what is known from the peer's last run, so that its clock may have gone back.
  mutating func forgetHistory() {
    cookie = ReceivedCookie()
    latestStamp = nil
    lastInitiationReceived = nil
  }

  /// Forgets what follows from our own static key.
  mutating func forgetIdentity() {
    if var secret = staticSecret.take() { wipe(&secret) }
  }

  /// Lets go of everything; tells how many packets waited.
  mutating func close(_ local: inout LocalState) -> Int {
    endSessions(&local)
    forgetIdentity()
    return staged.takeAll().count
  }

  // MARK: Sending

  /// Reserves counters in the session in use; nil when there is none.
  mutating func reserve(_ packets: Int, at now: Instant) -> SealingRun? {
    guard let first = sessions.reserve(packets, at: now), let session = sessions.current else {
      return nil
    }
    return SealingRun(
      keys: session.keys,
      receiver: session.remoteIndex,
      firstCounter: first,
      slot: slot,
      peer: id
    )
  }

  /// Whether the session in use should be replaced, seen when sending.
  func shouldRenewWhenSending(at now: Instant) -> Bool {
    sessions.current?.shouldRenewWhenSending(at: now) ?? false
  }

  mutating func didSendData(_ bytes: Int, at now: Instant) {
    status.bytesSent &+= UInt64(truncatingIfNeeded: bytes)
    timers.dataSent(at: now)
    timers.packetSent(at: now)
  }

  /// Keeps a packet for the next session; true when the oldest had to make room.
  mutating func stage(_ packet: [UInt8]) -> Bool { staged.append(packet) }

  /// Sends what waited for a session; tells whether there was anything.
  private mutating func sendStaged(
    at now: Instant,
    _ local: LocalState,
    into effects: inout Effects
  ) -> Bool {
    guard !staged.isEmpty, sessions.current?.isAlive(at: now) == true else { return false }
    for packet in staged.takeAll() {
      guard let run = reserve(1, at: now) else {
        _ = staged.append(packet)
        continue
      }
      let padded = Padding.paddedLength(packet.count, mtu: local.mtu)
      let plaintext = packet + [UInt8](repeating: 0, count: padded - packet.count)
      let datagram = run.datagram(sealing: plaintext)
      effects.sends.append(.init(peer: id, bytes: datagram, kind: .data))
      didSendData(datagram.count, at: now)
    }
    return true
  }

  /// Sends an empty packet, if there is a session to send it with.
  mutating func sendKeepalive(at now: Instant, into effects: inout Effects) -> Bool {
    guard let run = reserve(1, at: now) else { return false }
    let datagram = run.datagram(sealing: [])
    effects.sends.append(.init(peer: id, bytes: datagram, kind: .keepalive))
    status.bytesSent &+= UInt64(datagram.count)
    timers.packetSent(at: now)
    return true
  }

  // MARK: Initiating

  /// Begins a handshake, unless one was begun or answered within 5 seconds: then it waits for that.
  mutating func initiate(
    isRetry: Bool,
    at moment: Moment,
    _ local: inout LocalState,
    into effects: inout Effects
  ) {
    if !isRetry { timers.handshakeWanted() }
    let now = moment.now
    if let last = lastHandshakeSent, now >= last, now < last + ProtocolConstants.rekeyTimeout {
      if !timers.isRetransmitting { timers.handshakeInitiated(at: last) }
      return
    }
    lastHandshakeSent = now
    timers.handshakeInitiated(at: now)
    guard let secret = sharedStaticSecret(local.identity) else { return }
    dropOutstanding(&local)
    let index = local.receivers.allocate(for: slot, using: &local.entropy)
    guard
      let begun = OutstandingInitiation.begin(
        identity: local.identity,
        peer: configuration.publicKey,
        staticSecret: secret,
        stamp: local.stamps.stamp(at: moment.wall),
        index: index,
        ephemeralKey: X25519.generate(using: &local.entropy)
      )
    else { return local.receivers.release(index) }
    outstanding = begun.outstanding
    sendHandshake(begun.message.body, at: now, into: &effects)
  }

  /// Takes the response to our initiation.
  mutating func accept(
    _ response: HandshakeMessage.Response,
    at moment: Moment,
    _ local: inout LocalState,
    into effects: inout Effects
  ) -> DropReason? {
    guard let outstanding, outstanding.localIndex == response.receiver else {
      return .unknownReceiver
    }
    guard
      let keys = outstanding.keys(
        from: response,
        identity: local.identity,
        presharedKey: configuration.effectivePresharedKey
      )
    else { return .notAuthentic }
    let now = moment.now
    self.outstanding?.wipeSecrets()
    self.outstanding = nil
    let session = Session(
      keys: keys.makeCiphers(),
      localIndex: response.receiver,
      remoteIndex: response.sender,
      isInitiator: true,
      at: now
    )
    sessions.installInitiated(session, &local.receivers)
    timers.packetReceived(at: now)
    timers.sessionDerived(at: now)
    completeHandshake(at: moment, into: &effects)
    // The responder may not send before it has heard from us under the new keys.
    if !sendStaged(at: now, local, into: &effects) { _ = sendKeepalive(at: now, into: &effects) }
    return nil
  }

  private mutating func completeHandshake(at moment: Moment, into effects: inout Effects) {
    timers.handshakeCompleted()
    status.lastHandshake = moment.wall
    effects.sessionsEstablished.append(id)
  }

  private mutating func sendHandshake(
    _ body: [UInt8],
    at now: Instant,
    into effects: inout Effects
  ) {
    let message = cookie.sign(body, to: configuration.publicKey.bytes, at: now)
    effects.sends.append(.init(peer: id, bytes: message, kind: .handshake))
    timers.packetSent(at: now)
  }

  private mutating func dropOutstanding(_ local: inout LocalState) {
    guard let index = outstanding?.localIndex else { return }
    outstanding?.wipeSecrets()
    outstanding = nil
    local.receivers.release(index)
  }

  private mutating func sharedStaticSecret(_ identity: Identity) -> [UInt8]? {
    if staticSecret == nil { staticSecret = identity.sharedSecret(with: configuration.publicKey) }
    return staticSecret
  }

  // MARK: Responding

  /// Answers an initiation.
  mutating func accept(
    _ received: consuming ReceivedInitiation,
    at moment: Moment,
    _ local: inout LocalState,
    into effects: inout Effects
  ) -> DropReason? {
    let now = moment.now
    guard let secret = sharedStaticSecret(local.identity),
      let stamp = received.stamp(staticSecret: secret)
    else { return .notAuthentic }
    if let latestStamp, stamp <= latestStamp { return .oldStamp }
    if let last = lastInitiationReceived, now >= last,
      now < last + ProtocolConstants.initiationInterval
    {
      return .tooSoon
    }
    let remoteIndex = received.senderIndex
    let index = local.receivers.allocate(for: slot, using: &local.entropy)
    guard
      let answer = received.respond(
        index: index,
        ephemeralKey: X25519.generate(using: &local.entropy),
        presharedKey: configuration.effectivePresharedKey
      )
    else {
      local.receivers.release(index)
      return .notAuthentic
    }
    (latestStamp, lastInitiationReceived, lastHandshakeSent) = (stamp, now, now)
    let session = Session(
      keys: answer.keys.makeCiphers(),
      localIndex: index,
      remoteIndex: remoteIndex,
      isInitiator: false,
      at: now
    )
    sessions.installAnswered(session, &local.receivers)
    timers.packetReceived(at: now)
    timers.sessionDerived(at: now)
    sendHandshake(answer.message.body, at: now, into: &effects)
    return nil
  }

  /// Takes a cookie for the next handshake message.
  mutating func accept(_ reply: HandshakeMessage.CookieReply, at now: Instant) -> DropReason? {
    cookie.accept(reply, from: configuration.publicKey.bytes, at: now) ? nil : .notAuthentic
  }

  // MARK: Receiving

  /// Opens a transport message in place.
  mutating func open(
    _ datagram: UnsafeMutableRawBufferPointer,
    _ header: TransportHeader,
    at moment: Moment,
    _ local: inout LocalState,
    into effects: inout Effects
  ) -> Session.Opening {
    // SAFETY: the datagram is handed through.
    guard
      let (opening, isConfirmed) = unsafe sessions.open(
        datagram,
        header,
        at: moment.now,
        &local.receivers
      )
    else { return .refused(.unknownReceiver) }
    guard case .plaintext(let count) = opening else { return opening }
    status.bytesReceived &+= UInt64(count + TransportHeader.overhead)
    timers.packetReceived(at: moment.now)
    if isConfirmed {
      completeHandshake(at: moment, into: &effects)
      _ = sendStaged(at: moment.now, local, into: &effects)
    }
    if sessions.shouldRenewWhenReceiving(at: moment.now) {
      initiate(isRetry: false, at: moment, &local, into: &effects)
    }
    if count > 0 { timers.dataReceived(at: moment.now) }
    return opening
  }

  // MARK: Time

  /// Does what has become due; tells how many packets were given up.
  mutating func handleTimers(
    at moment: Moment,
    _ local: inout LocalState,
    into effects: inout Effects
  ) -> Int {
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
        _ = sendKeepalive(at: moment.now, into: &effects)
        if isAnotherOwed { timers.dataReceived(at: moment.now) }
      case .persistentKeepalive:
        if !sendKeepalive(at: moment.now, into: &effects) {
          initiate(isRetry: false, at: moment, &local, into: &effects)
        }
      }
    }
    return abandoned
  }

  /// Reaches into the sessions, for tests of counters.
  mutating func withSessions(_ body: (inout Sessions) -> Void) { body(&sessions) }
}
