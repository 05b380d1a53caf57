// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Disco
import Keys
import Packets
import STUN
import TestSupport
import Testing
import Timing

@testable import PeerRelay

/// A relay and whoever talks to it.
private final class Bed {
  struct Client {
    let key: DiscoPrivateKey
    var endpoint: Endpoint
    var generation: UInt32 = 7
  }

  var relay: PeerRelayServer
  var now = Instant(nanoseconds: 1_000_000_000)
  var entropy = Entropy(seed: 11)
  var one: Client
  var other: Client
  static let place = Endpoint(IPAddress(192, 0, 2, 1), port: 7777)

  init() {
    one = Client(
      key: .generate(using: &entropy),
      endpoint: Endpoint(IPAddress(203, 0, 113, 1), port: 1000)
    )
    other = Client(
      key: .generate(using: &entropy),
      endpoint: Endpoint(IPAddress(203, 0, 113, 2), port: 2000)
    )
    relay = PeerRelayServer(entropy: Entropy(seed: 5), at: now)
    relay.attach(local: [Self.place], explicit: [], servers: [], at: now)
  }

  func allocate(_ clients: RelayAllocation.ClientKeys) -> RelayAllocation? {
    relay.allocate(clients, at: now)
  }

  func allocate() -> RelayAllocation? { allocate(pair) }

  func receive(_ datagram: [UInt8], from source: Endpoint) -> [UInt8]? {
    relay.receive(datagram, from: source, at: now)
  }

  var pair: RelayAllocation.ClientKeys { .init(one.key.publicKey, other.key.publicKey) }

  func box(_ client: Client) -> NaClBox {
    NaClBox(privateKey: client.key.bytes, publicKey: relay.key.publicKey.bytes)
  }

  /// A message of a client to the relay.
  func control(_ message: Message, _ network: UInt32, by client: Client) -> [UInt8] {
    let header = GeneveHeader(isControl: true, content: .disco, virtualNetwork: network)
    return header.bytes
      + Envelope.seal(message, from: client.key.publicKey, with: box(client), using: &entropy)
  }

  func binding(_ network: UInt32, by client: Client, to peer: Client) -> RelayBinding {
    RelayBinding(
      virtualNetwork: network,
      generation: client.generation,
      remoteKey: peer.key.publicKey,
      challenge: [UInt8](repeating: 0, count: 32)
    )
  }

  /// The challenge that comes back to a bind.
  func challenge(
    _ network: UInt32,
    by client: Client,
    to peer: Client,
    from source: Endpoint? = nil
  ) throws -> RelayBinding {
    let bind = control(.bind(binding(network, by: client, to: peer)), network, by: client)
    let reply = relay.receive(bind, from: source ?? client.endpoint, at: now)
    let datagram = try #require(reply)
    #expect(datagram.count <= bind.count, "no amplification")
    let plaintext = try #require(Envelope.open(Array(datagram.dropFirst(8)), with: box(client)))
    guard case .bindChallenge(let binding) = try Message(parsing: plaintext) else {
      throw Problem.unexpected
    }
    return binding
  }

  func answer(
    _ network: UInt32,
    _ challenge: RelayBinding,
    by client: Client,
    from source: Endpoint? = nil
  ) {
    let datagram = control(.bindAnswer(challenge), network, by: client)
    #expect(receive(datagram, from: source ?? client.endpoint) == nil)
  }

  func bind(_ network: UInt32) throws {
    for (client, peer) in [(one, other), (other, one)] {
      let found = try challenge(network, by: client, to: peer)
      answer(network, found, by: client)
    }
  }

  func forward(_ network: UInt32, from source: Endpoint) -> Endpoint? {
    relay.forward(network, from: source, packets: 1, bytes: 100, at: now)
  }

  enum Problem: Error { case unexpected }
}

@Suite("A peer relay")
struct PeerRelayServerTests {
  @Test("Two clients that prove where they are reach each other, and nobody else reaches them")
  func carries() throws {
    let bed = Bed()
    let allocation = try #require(bed.allocate())
    #expect(allocation.endpoints == [Bed.place])
    #expect(allocation.virtualNetwork == 1 && allocation.serverKey == bed.relay.key.publicKey)
    let (one, other) = (bed.one.endpoint, bed.other.endpoint)
    #expect(bed.forward(1, from: one) == nil)
    let first = try bed.challenge(1, by: bed.one, to: bed.other)
    bed.answer(1, first, by: bed.one)
    #expect(bed.forward(1, from: one) == nil, "only one of them is there")
    try bed.bind(1)
    #expect(bed.forward(1, from: one) == other)
    #expect(bed.forward(1, from: other) == one)
    #expect(bed.forward(1, from: Endpoint(one.address, port: 1001)) == nil)
    #expect(bed.forward(2, from: one) == nil)
    #expect(bed.relay.counters.strangers == 1)
    let report = bed.relay.report(at: bed.now)
    #expect(report.count == 1 && report[0].isOpen && report[0].first.packets == 1)
    #expect(bed.relay.counters.volumes[0].packets == 2)
  }

  @Test(
    "A pair has one network, whoever asks; networks are numbered, and reused when they are over"
  )
  func allocation() throws {
    let bed = Bed()
    let first = try #require(bed.allocate())
    let turned = RelayAllocation.ClientKeys(bed.pair.second, bed.pair.first)
    #expect(bed.allocate(turned) == first)
    bed.now = bed.now + .seconds(31)
    let second = try #require(bed.allocate())
    #expect(second.lamportID > first.lamportID && second.virtualNetwork == 2)
    #expect(bed.allocate(.init(bed.pair.first, bed.pair.first)) == nil)
  }

  @Test("Nothing is given out before it is known where the relay is reached")
  func notReady() {
    let bed = Bed()
    bed.relay.attach(local: [], explicit: [], servers: [], at: bed.now)
    #expect(bed.allocate() == nil)
    #expect(bed.relay.counters.allocationsRefused == 1)
    let fixed = Endpoint(IPAddress(198, 51, 100, 4), port: 1)
    bed.relay.attach(local: [], explicit: [fixed], servers: [], at: bed.now)
    #expect(bed.allocate()?.endpoints == [fixed])
  }

  @Test("An answer from elsewhere, of another bind, repeated or too late proves nothing")
  func proofs() throws {
    let bed = Bed()
    _ = bed.allocate()
    let elsewhere = Endpoint(IPAddress(203, 0, 113, 9), port: 9)
    var found = try bed.challenge(1, by: bed.one, to: bed.other)
    bed.answer(1, found, by: bed.one, from: elsewhere)
    var forged = found
    forged.challenge[0] ^= 1
    bed.answer(1, forged, by: bed.one)
    forged = found
    forged.generation += 1
    bed.answer(1, forged, by: bed.one)
    #expect(bed.relay.counters.unproven == 3)
    bed.answer(1, found, by: bed.one)
    bed.answer(1, found, by: bed.one, from: elsewhere)
    #expect(bed.relay.report(at: bed.now)[0].isOpen == false)
    let ends = bed.relay.report(at: bed.now)[0]
    #expect([ends.first.endpoint, ends.second.endpoint].contains(bed.one.endpoint))
    #expect(bed.relay.counters.unproven == 4)
    // The secret lives for two terms.
    found = try bed.challenge(1, by: bed.other, to: bed.one)
    bed.now = bed.now + .seconds(29)
    bed.answer(1, found, by: bed.other)
    #expect(bed.relay.report(at: bed.now)[0].isOpen)
  }

  @Test("A challenge is what the vectors say")
  func vectors() throws {
    struct Vectors: Decodable {
      struct Challenge: Decodable {
        var secret: String
        var vni: UInt32
        var generation: UInt32
        var remoteKey: String
        var source: String
        var challenge: String
      }
      var relayServerChallenge: [Challenge]
    }
    let found: Vectors = try read("geneve")
    for vector in found.relayServerChallenge {
      let key = try #require(DiscoKey(bytes: try bytes(vector.remoteKey)))
      let source = try #require(Endpoint(vector.source))
      let binding = RelayBinding(
        virtualNetwork: vector.vni,
        generation: vector.generation,
        remoteKey: key,
        challenge: [UInt8](repeating: 0, count: 32)
      )
      let secret = try bytes(vector.secret)
      let proof = PeerRelayServer.proof(of: binding, from: source, under: secret)
      let expected = try bytes(vector.challenge)
      #expect(proof == expected)
    }
  }

  @Test("A client that moved proves its new place and goes on")
  func moves() throws {
    let bed = Bed()
    _ = bed.allocate()
    try bed.bind(1)
    let new = Endpoint(IPAddress(203, 0, 113, 77), port: 5)
    bed.one.generation += 1
    let found = try bed.challenge(1, by: bed.one, to: bed.other, from: new)
    #expect(bed.forward(1, from: bed.one.endpoint) == bed.other.endpoint, "not before it is proven")
    bed.answer(1, found, by: bed.one, from: new)
    #expect(bed.forward(1, from: new) == bed.other.endpoint)
    #expect(bed.forward(1, from: bed.other.endpoint) == new)
    #expect(bed.forward(1, from: bed.one.endpoint) == nil)
  }

  @Test(
    "A session ends 30 s after it was given out unless both are there, and 5 min after either fell silent"
  )
  func lifetimes() throws {
    let bed = Bed()
    _ = bed.allocate()
    let first = try bed.challenge(1, by: bed.one, to: bed.other)
    bed.answer(1, first, by: bed.one)
    bed.now = bed.now + .seconds(31)
    #expect(bed.relay.report(at: bed.now).isEmpty)
    let late = bed.control(.bind(bed.binding(1, by: bed.other, to: bed.one)), 1, by: bed.other)
    #expect(bed.receive(late, from: bed.other.endpoint) == nil)

    let allocation = try #require(bed.allocate())
    try bed.bind(allocation.virtualNetwork)
    for _ in 0..<12 {
      bed.now = bed.now + .seconds(25)
      #expect(bed.forward(allocation.virtualNetwork, from: bed.one.endpoint) != nil)
      bed.relay.handleTimeouts(at: bed.now)
    }
    bed.now = bed.now + .seconds(1)
    #expect(bed.forward(allocation.virtualNetwork, from: bed.one.endpoint) == nil)
    bed.relay.handleTimeouts(at: bed.now + .seconds(60))
    #expect(bed.relay.report(at: bed.now).isEmpty)
  }

  @Test("One client cannot take all the room, and all of them together not more than there is")
  func bounds() {
    let bed = Bed()
    var given = 0
    for _ in 0..<600 {
      let other = DiscoPrivateKey.generate(using: &bed.entropy).publicKey
      if bed.allocate(.init(bed.one.key.publicKey, other)) != nil { given += 1 }
    }
    #expect(given == 512)
    #expect(bed.relay.counters.allocationsRefused == 88)
    bed.relay.handleTimeouts(at: bed.now + .seconds(31))
    bed.now = bed.now + .seconds(31)
    #expect(bed.allocate() != nil)
  }

  @Test("Strangers, wrong messages and damaged ones are dropped in silence")
  func nonsense() throws {
    let bed = Bed()
    _ = bed.allocate()
    let stranger = Bed.Client(key: .generate(using: &bed.entropy), endpoint: bed.one.endpoint)
    let good = bed.control(.bind(bed.binding(1, by: bed.one, to: bed.other)), 1, by: bed.one)
    var zero = bed.one
    zero.generation = 0
    for datagram in [
      bed.control(.bind(bed.binding(1, by: stranger, to: bed.other)), 1, by: stranger),
      bed.control(.bind(bed.binding(1, by: bed.one, to: stranger)), 1, by: bed.one),
      bed.control(.bind(bed.binding(2, by: bed.one, to: bed.other)), 1, by: bed.one),
      bed.control(.bind(bed.binding(1, by: zero, to: bed.other)), 1, by: zero),
      bed.control(.callMeMaybe(CallMeMaybe(endpoints: [])), 1, by: bed.one),
      bed.control(.bindAnswer(bed.binding(1, by: bed.one, to: bed.other)), 1, by: bed.one),
      bed.control(.bind(bed.binding(3, by: bed.one, to: bed.other)), 3, by: bed.one),
    ] {
      #expect(bed.receive(datagram, from: bed.one.endpoint) == nil)
    }
    for count in 0..<good.count {
      #expect(
        bed.receive(Array(good.prefix(count)), from: bed.one.endpoint) == nil
      )
    }
    var generator = SeededGenerator(state: 4)
    for _ in 0..<2000 {
      var mutated = good.mutated(using: &generator)
      let reply = bed.receive(mutated, from: bed.one.endpoint)
      #expect((reply?.count ?? 0) <= mutated.count)
      _ = mutated.withPacketBytes { RelayedKind(of: $0) }
    }
  }

  @Test("Only what nodes say to each other is carried: the vectors, and nothing that is shorter")
  func kinds() throws {
    func kind(_ bytes: [UInt8]) -> RelayedKind {
      var bytes = bytes
      return bytes.withPacketBytes { RelayedKind(of: $0) }
    }
    let data = GeneveHeader(isControl: false, content: .wireguard, virtualNetwork: 456).bytes
    let message = [4, 0, 0, 0] + [UInt8](repeating: 0, count: 28)
    #expect(kind(data + message) == .data(456))
    #expect(kind(data + message.dropLast()) == .other)
    #expect(kind(data + [5, 0, 0, 0] + message.dropFirst(4)) == .other)
    #expect(kind(data + [4, 0, 1, 0] + message.dropFirst(4)) == .other)
    var numberless = data
    numberless.replaceSubrange(4..<7, with: [0, 0, 0])
    #expect(kind(numberless + message) == .other)
    let bed = Bed()
    let control = bed.control(.bind(bed.binding(1, by: bed.one, to: bed.other)), 1, by: bed.one)
    #expect(kind(control) == .control)
    var disco = control
    disco[1] = 0
    #expect(kind(disco) == .data(1))
    for count in 0..<62 { #expect(kind(Array(disco.prefix(8 + count))) == .other) }
    #expect(kind(BindingRequest(transaction: TransactionID(using: &bed.entropy)).bytes) == .stun)
  }

  @Test("It learns from STUN servers how it looks from outside, and guesses a forwarded port")
  func reflexive() throws {
    let bed = Bed()
    let servers = [1, 2].map { Endpoint(IPAddress(198, 51, 100, $0), port: 3478) }
    bed.relay.attach(local: [Bed.place], explicit: [], servers: servers, at: bed.now)
    bed.relay.handleTimeouts(at: bed.now)
    #expect(bed.relay.sends.map(\.destination) == servers)
    let seen = [
      Endpoint(IPAddress(203, 0, 113, 50), port: 600),
      Endpoint(IPAddress(203, 0, 113, 50), port: 601),
    ]
    for (send, endpoint) in zip(bed.relay.sends, seen) {
      let answer = try #require(BindingResponse.answering(send.bytes, from: endpoint))
      bed.relay.receiveSTUN(answer, at: bed.now)
      bed.relay.receiveSTUN(answer, at: bed.now)
    }
    #expect(bed.relay.counters.malformed == 2, "an answer counts once")
    let guess = Endpoint(IPAddress(203, 0, 113, 50), port: Bed.place.port)
    #expect(bed.relay.endpoints(at: bed.now) == [Bed.place] + seen + [guess])
    #expect(bed.relay.endpoints(at: bed.now + .seconds(61)) == [Bed.place])
    bed.relay.sends = []
    bed.relay.handleTimeouts(at: bed.now + .seconds(10))
    #expect(bed.relay.sends.isEmpty)
    bed.relay.handleTimeouts(at: bed.now + .seconds(27))
    #expect(bed.relay.sends.count == 2)
  }
}
