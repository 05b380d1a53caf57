// SPDX-License-Identifier: Apache-2.0

import Keys
public import Timing

extension Tunnel {
  /// Takes one datagram and opens it in place.
  ///
  /// For a transport message it allocates nothing, unless it completes a handshake or begins one.
  ///
  /// - Parameters:
  ///   - datagram: The datagram; what lies in it afterwards is told by the result.
  ///   - source: What names the sender in cookies, address and port; not looked at for transport
  ///     messages. The 18 bytes of `Endpoint.discoveryBytes` are limited by address.
  ///   - now: Now.
  ///   - wall: Now on the wall clock.
  ///   - effects: Receives what to send in return.
  /// - Returns: What became of it.
  public mutating func receive(
    _ datagram: UnsafeMutableRawBufferPointer,
    from source: [UInt8],
    at now: Instant,
    timestamp wall: Timestamp,
    into effects: inout Effects
  ) -> Received {
    // SAFETY: the header's code bounds what it reads.
    guard let type = unsafe TransportHeader.type(of: datagram) else {
      return counters.drop(.tooShort)
    }
    let moment = Moment(now: now, wall: wall)
    guard type != TransportHeader.messageType else {
      // SAFETY: the datagram is handed through.
      return unsafe receiveTransport(datagram, at: moment, into: &effects)
    }
    let length: Int
    switch type {
    case HandshakeMessage.Initiation.type: length = HandshakeMessage.Initiation.length
    case HandshakeMessage.Response.type: length = HandshakeMessage.Response.length
    case HandshakeMessage.CookieReply.type: length = HandshakeMessage.CookieReply.length
    default: return counters.drop(.unknownType)
    }
    guard datagram.count == length else { return counters.drop(.wrongLength) }
    // SAFETY: the whole datagram is copied.
    let message = unsafe [UInt8](UnsafeRawBufferPointer(datagram))
    return receiveHandshake(message, from: source, at: moment, into: &effects)
  }

  private mutating func receiveTransport(
    _ datagram: UnsafeMutableRawBufferPointer,
    at moment: Moment,
    into effects: inout Effects
  ) -> Received {
    var received: Received?
    // SAFETY: the datagram is handed through.
    _ = unsafe receiveRun(
      datagram,
      segmentSize: datagram.count,
      most: 1,
      at: moment,
      into: &effects
    ) { received = $0 }
    return received ?? counters.drop(.tooShort)
  }

  private mutating func receiveHandshake(
    _ message: [UInt8],
    from source: [UInt8],
    at moment: Moment,
    into effects: inout Effects
  ) -> Received {
    if let reply = HandshakeMessage.CookieReply(message) { return receive(reply, at: moment.now) }
    switch local.gate.refusal(of: message, from: source, at: moment.now, using: &local.entropy) {
    case .wrongMAC1: return counters.drop(.wrongMAC1)
    case .tooMany: return counters.drop(.rateLimited)
    case .cookie(let reply):
      effects.replies.append(.init(bytes: reply))
      return counters.drop(.cookieSent)
    case nil: break
    }
    if let initiation = HandshakeMessage.Initiation(message) {
      return receive(initiation, at: moment, into: &effects)
    }
    if let response = HandshakeMessage.Response(message) {
      return receive(response, at: moment, into: &effects)
    }
    preconditionFailure("a message of a known type and its length has that type's fields")
  }

  private mutating func receive(
    _ message: HandshakeMessage.Initiation,
    at moment: Moment,
    into effects: inout Effects
  ) -> Received {
    guard let initiation = ReceivedInitiation(message, identity: local.identity) else {
      return counters.drop(.notAuthentic)
    }
    return receive(initiation, at: moment, into: &effects)
  }

  /// Takes an initiation that named its sender.
  mutating func receive(
    _ initiation: ReceivedInitiation,
    at moment: Moment,
    into effects: inout Effects
  ) -> Received {
    guard let slot = peers.slot(of: initiation.peer) else { return counters.drop(.unknownPeer) }
    let refusal = peers.slots[slot].accept(initiation, at: moment, &local, into: &effects)
    return conclude(slot, refusal)
  }

  private mutating func receive(
    _ message: HandshakeMessage.Response,
    at moment: Moment,
    into effects: inout Effects
  ) -> Received {
    guard let slot = local.receivers[message.receiver] else {
      return counters.drop(.unknownReceiver)
    }
    let refusal = peers.slots[slot].accept(message, at: moment, &local, into: &effects)
    return conclude(slot, refusal)
  }

  /// A cookie is told from no address: it moves no path.
  private mutating func receive(
    _ reply: HandshakeMessage.CookieReply,
    at now: Instant
  ) -> Received {
    guard let slot = local.receivers[reply.receiver] else {
      return counters.drop(.unknownReceiver)
    }
    guard let refusal = peers.slots[slot].accept(reply, at: now) else { return .handshake(nil) }
    return counters.drop(refusal)
  }

  private mutating func conclude(_ slot: Int, _ refusal: DropReason?) -> Received {
    schedule(slot)
    if let refusal { return counters.drop(refusal) }
    return .handshake(peers.slots[slot].id)
  }
}
