// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Timing

/// Handshakes that we begin and handshakes that we answer.
extension Peer {
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
        ephemeralKey: X25519.clamp(local.entropy.bytes32())
      )
    else { return local.receivers.release(index) }
    outstanding = begun.outstanding
    sendHandshake(begun.message, at: now, into: &effects)
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

  mutating func completeHandshake(at moment: Moment, into effects: inout Effects) {
    timers.handshakeCompleted()
    status.lastHandshake = moment.wall
    effects.sessionsEstablished.append(id)
  }

  private mutating func sendHandshake(
    _ body: consuming [UInt8],
    at now: Instant,
    into effects: inout Effects
  ) {
    let message = cookie.sign(body, to: configuration.publicKey.raw, at: now)
    effects.sends.append(.init(peer: id, bytes: message, kind: .handshake))
    timers.packetSent(at: now)
  }

  mutating func dropOutstanding(_ local: inout LocalState) {
    guard let index = outstanding?.localIndex else { return }
    outstanding?.wipeSecrets()
    outstanding = nil
    local.receivers.release(index)
  }

  private mutating func sharedStaticSecret(_ identity: Identity) -> Bytes32? {
    if staticSecret == nil { staticSecret = identity.sharedSecret(with: configuration.publicKey) }
    return staticSecret
  }

  /// Answers an initiation.
  mutating func accept(
    _ received: consuming ReceivedInitiation,
    at moment: Moment,
    _ local: inout LocalState,
    into effects: inout Effects
  ) -> DropReason? {
    let now = moment.now
    // What is worked out to judge it is forgotten in time, whatever becomes of it.
    timers.gaveUp(at: now)
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
        ephemeralKey: X25519.clamp(local.entropy.bytes32()),
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
    sendHandshake(answer.message, at: now, into: &effects)
    return nil
  }

  /// Takes a cookie for the next handshake message.
  mutating func accept(_ reply: HandshakeMessage.CookieReply, at now: Instant) -> DropReason? {
    cookie.accept(reply, from: configuration.publicKey.raw, at: now) ? nil : .notAuthentic
  }
}
