// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Bytes
import Cryptography
import Disco
import Keys
import STUN
package import Timing

/// What arrives at a peer relay.
extension PeerRelayServer {
  /// Takes datagrams of a client that are for the other one.
  ///
  /// Asked once for those that arrived together and have one header.
  ///
  /// - Parameters:
  ///   - network: The network that their header names.
  ///   - source: Where they came from.
  ///   - packets: How many they are.
  ///   - bytes: How many bytes they have together.
  ///   - now: Now.
  /// - Returns: Where they go on; nil when they go nowhere.
  package mutating func forward(
    _ network: UInt32,
    from source: Endpoint,
    packets: Int,
    bytes: Int,
    at now: Instant
  ) -> Endpoint? {
    guard var session = sessions[network], let first = session.first.endpoint,
      let second = session.second.endpoint, !session.isOver(at: now)
    else {
      counters.unbound &+= UInt64(packets)
      return nil
    }
    let destination: Endpoint
    if source == first {
      destination = second
      session.first.note(packets, bytes, at: now)
    } else if source == second {
      destination = first
      session.second.note(packets, bytes, at: now)
    } else {
      counters.strangers &+= UInt64(packets)
      return nil
    }
    sessions[network] = session
    counters.forwarded(packets, bytes, from: source, to: destination)
    return destination
  }

  /// Takes a message between a client and the relay itself; silent about whatever is wrong with it.
  ///
  /// - Returns: What goes back to where it came from.
  package mutating func receive(
    _ datagram: [UInt8],
    from source: Endpoint,
    at now: Instant
  ) -> [UInt8]? {
    guard let header = GeneveHeader(parsing: datagram), header.version == 0, header.isControl,
      header.content == .disco, var session = sessions[header.virtualNetwork],
      !session.isOver(at: now)
    else { return drop(\.unbound) }
    let envelope = Array(datagram[GeneveHeader.byteCount...])
    // Nothing is opened for whoever does not even claim to be one of the two.
    guard let sender = Envelope.sender(of: envelope) else { return drop(\.malformed) }
    let isFirst = sender == session.first.key
    guard isFirst || sender == session.second.key else { return drop(\.strangers) }
    let (own, other) = isFirst ? (session.first, session.second) : (session.second, session.first)
    guard let plaintext = Envelope.open(envelope, with: own.box) else {
      return drop(\.notAuthentic)
    }
    // Only whether it makes sense matters: it is from a client of ours.
    guard let message = try? Message(parsing: plaintext) else { return drop(\.malformed) }
    var client = own
    var reply: RelayBinding?
    switch message {
    case .bind(let binding) where binding.isAbout(session.network, other.key):
      guard binding.generation != 0 else { return drop(\.malformed) }
      client.generation = binding.generation
      reply = challenge(for: binding, from: source, at: now)
    case .bindAnswer(let binding) where binding.isAbout(session.network, other.key):
      guard binding.generation == own.generation, own.generation != 0,
        isProof(binding, from: source, at: now)
      else { return drop(\.unproven) }
      client.generation = 0
      client.endpoint = source
      client.lastHeard = now
      if other.endpoint == nil {
        counters.halfBound &+= 1
      } else {
        counters.bound &+= 1
      }
    default: return drop(\.malformed)
    }
    if isFirst { session.first = client } else { session.second = client }
    // The clock of silence starts for both when the second one has bound.
    if session.isBound, own.endpoint == nil {
      (session.first.lastHeard, session.second.lastHeard) = (now, now)
    }
    sessions[session.network] = session
    guard let reply else { return nil }
    let answer = Envelope.seal(
      .bindChallenge(reply),
      from: key.publicKey,
      with: own.box,
      using: &entropy
    )
    return header.bytes + answer
  }

  private mutating func drop(
    _ counter: WritableKeyPath<PeerRelayCounters, UInt64>
  ) -> [UInt8]? {
    counters[keyPath: counter] &+= 1
    return nil
  }

  /// Takes an answer of a STUN server to the relay's own socket.
  package mutating func receiveSTUN(_ datagram: [UInt8], at now: Instant) {
    // What is no response answers nothing.
    guard let response = try? BindingResponse(parsing: datagram),
      addresses.receive(response, at: now)
    else {
      counters.malformed &+= 1
      return
    }
  }

  // MARK: Challenges

  private mutating func challenge(
    for binding: RelayBinding,
    from source: Endpoint,
    at now: Instant
  ) -> RelayBinding {
    renewSecret(at: now)
    var reply = binding
    reply.challenge = Self.proof(of: binding, from: source, under: secret)
    return reply
  }

  private mutating func isProof(
    _ binding: RelayBinding,
    from source: Endpoint,
    at now: Instant
  ) -> Bool {
    renewSecret(at: now)
    let mine = Self.proof(of: binding, from: source, under: secret)
    let former = Self.proof(of: binding, from: source, under: formerSecret)
    let isMine = equalInConstantTime(binding.challenge, mine)
    let isFormer = equalInConstantTime(binding.challenge, former)
    return isMine || isFormer
  }

  /// What only who receives at `source` can know.
  static func proof(
    of binding: RelayBinding,
    from source: Endpoint,
    under secret: [UInt8]
  ) -> [UInt8] {
    var writer = ByteWriter(capacity: 64)
    writer.bigEndian(binding.virtualNetwork)
    writer.bigEndian(binding.generation)
    writer.write(binding.remoteKey.bytes)
    writer.write(source.address.bytes)
    writer.littleEndian(source.port)
    return BLAKE2s.longMAC(key: secret, writer.bytes)
  }
}

extension RelaySession.Client {
  mutating func note(_ packets: Int, _ bytes: Int, at now: Instant) {
    lastHeard = now
    self.packets &+= UInt64(packets)
    self.bytes &+= UInt64(bytes)
  }
}
