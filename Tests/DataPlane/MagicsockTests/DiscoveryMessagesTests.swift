// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import Disco
import Keys
import Magicsock
import TestSupport
import Testing
import Timing

@Suite("Discovery messages")
struct DiscoveryMessagesTests {
  private let network = VirtualNetwork.pair(nil, nil)
  private let relayed: PacketSource
  private let direct: PacketSource

  init() {
    network.start()
    relayed = .relay(VirtualNetwork.region, network.hosts[1].nodeKey)
    direct = .direct(network.hosts[1].endpoint)
  }

  private var counters: PathCounters { network.hosts[0].socket.counters }

  private var peer: PeerID { network.hosts[1].id }

  private func sealed(
    _ message: Message,
    by key: DiscoPrivateKey? = nil,
    to recipient: DiscoKey? = nil
  ) -> [UInt8] {
    let key = key ?? network.hosts[1].discoKey
    let recipient = recipient ?? network.hosts[0].discoKey.publicKey
    var entropy = Entropy(seed: 77)
    return Envelope.seal(
      message,
      from: key.publicKey,
      with: NaClBox(privateKey: key.bytes, publicKey: recipient.bytes),
      using: &entropy
    )
  }

  /// Gives host 0 a datagram and returns what it wants done.
  private func receive(_ datagram: [UInt8], from source: PacketSource) -> Effects {
    var effects = Effects()
    network.hosts[0].socket.receive(datagram, from: source, at: network.now, into: &effects)
    return effects
  }

  /// The messages that host 0 sends to host 1, with their destinations.
  private func messages(_ effects: Effects) throws -> [(Message, PacketSource)] {
    let box = NaClBox(
      privateKey: network.hosts[1].discoKey.bytes,
      publicKey: network.hosts[0].discoKey.publicKey.bytes
    )
    return try effects.sends.compactMap { send in
      guard DatagramKind.classify(send.bytes) == .disco else { return nil }
      let plaintext = try #require(Envelope.open(send.bytes, with: box))
      return (try Message(parsing: plaintext), send.destination)
    }
  }

  private func ping(_ number: UInt64, nodeKey: NodeKey? = nil) -> Message {
    var generator = SeededGenerator(state: number)
    return .ping(Ping(id: PingID(using: &generator), nodeKey: nodeKey))
  }

  @Test("A direct ping is answered to where it came from, saying so")
  func pong() throws {
    let source = Endpoint(IPAddress(198, 18, 0, 7), port: 7)
    let answers = try messages(receive(sealed(ping(1)), from: .direct(source)))
    guard answers.count == 1, case .pong(let pong) = answers[0].0 else {
      Issue.record("one pong was expected")
      return
    }
    #expect(pong.source == source && answers[0].1 == .direct(source))
    #expect(network.hosts[0].socket.peer(at: source) == peer)
  }

  @Test("A relayed ping is answered through the relay, with the address that cannot be")
  func relayedPong() throws {
    let answers = try messages(receive(sealed(ping(1)), from: relayed))
    guard answers.count == 1, case .pong(let pong) = answers[0].0 else {
      Issue.record("one pong was expected")
      return
    }
    #expect(pong.source == Endpoint("127.3.3.40:1") && answers[0].1 == relayed)
  }

  @Test("A ping that arrives twice is answered once")
  func duplicatePing() {
    let datagram = sealed(ping(1))
    #expect(receive(datagram, from: direct).sends.count == 1)
    #expect(receive(datagram, from: direct).sends.isEmpty)
    #expect(counters.duplicatePings == 1)
  }

  @Test("Discovery from an unknown key is dropped unopened, and forgeries are dropped")
  func strangers() {
    var entropy = Entropy(seed: 5)
    let stranger = DiscoPrivateKey.generate(using: &entropy)
    #expect(receive(sealed(ping(1), by: stranger), from: direct).isEmpty)
    #expect(counters.unknownSender == 1)
    var forged = sealed(ping(1))
    forged[70] ^= 1
    #expect(receive(forged, from: direct).isEmpty)
    // The box is for the key that the peer believes we had before a restart.
    let stale = sealed(ping(1), to: stranger.publicKey)
    #expect(receive(stale, from: direct).isEmpty)
    #expect(counters.notAuthentic == 2)
  }

  @Test("A relayed ping whose node key is not that of its disco key is dropped")
  func wrongRelaySource() {
    let source = PacketSource.relay(VirtualNetwork.region, network.hosts[0].nodeKey)
    #expect(receive(sealed(ping(1)), from: source).isEmpty)
    #expect(counters.unknownSender == 1)
  }

  @Test("A pong for no ping, and one that comes too late, do not move the path")
  func stalePong() throws {
    var generator = SeededGenerator(state: 9)
    let pong = Pong(id: PingID(using: &generator), source: network.hosts[0].endpoint)
    #expect(receive(sealed(.pong(pong)), from: direct).isEmpty)
    #expect(counters.stalePongs == 1)

    network.cut = [[0, 1]]
    var effects = Effects()
    _ = network.hosts[0].socket.paths(to: peer, at: network.now, into: &effects)
    let sent = try messages(effects)
    guard case .ping(let ping)? = sent.first(where: { $0.1 == direct })?.0 else {
      Issue.record("the first packet starts a ping")
      return
    }
    network.run(for: .milliseconds(5100))
    let late = Message.pong(Pong(id: ping.id, source: network.hosts[0].endpoint))
    #expect(receive(sealed(late), from: direct).isEmpty)
    let status = network.hosts[0].socket.status(of: peer, at: network.now)
    #expect(status?.direct == nil)
  }

  @Test("A pong through the relay does not confirm a direct path")
  func pongByAnotherWay() throws {
    network.cut = [[0, 1]]
    var effects = Effects()
    _ = network.hosts[0].socket.paths(to: peer, at: network.now, into: &effects)
    guard case .ping(let ping)? = try messages(effects).first(where: { $0.1 == direct })?.0 else {
      Issue.record("the first packet starts a ping")
      return
    }
    let pong = Message.pong(Pong(id: ping.id, source: network.hosts[0].endpoint))
    _ = receive(sealed(pong), from: relayed)
    #expect(network.hosts[0].socket.status(of: peer, at: network.now)?.direct == nil)
    _ = receive(sealed(pong), from: .direct(Endpoint(IPAddress(198, 18, 0, 1), port: 9)))
    // What counts is the address that was pinged.
    let status = network.hosts[0].socket.status(of: peer, at: network.now)
    #expect(status?.direct == network.hosts[1].endpoint)
  }

  @Test("A call is honoured through the relay only, and is not answered with a call")
  func calls() throws {
    let endpoint = Endpoint(IPAddress(198, 18, 0, 1), port: 41_641)
    let call = sealed(.callMeMaybe(CallMeMaybe(endpoints: [endpoint])))
    #expect(receive(call, from: direct).isEmpty)
    let another = PacketSource.relay(VirtualNetwork.region, network.hosts[0].nodeKey)
    #expect(receive(call, from: another).isEmpty)
    #expect(counters.misroutedCalls == 2)
    let answers = try messages(receive(call, from: relayed))
    #expect(answers.contains { $0.1 == .direct(endpoint) })
    #expect(
      answers.allSatisfy { message, _ in if case .ping = message { true } else { false } }
    )
    #expect(counters.callsReceived == 1)
  }

  @Test("A call pings everything at once, and a new call replaces what the old one named")
  func callReplacement() throws {
    let first = Endpoint(IPAddress(198, 18, 0, 1), port: 1)
    let second = Endpoint(IPAddress(198, 18, 0, 2), port: 2)
    let local = Endpoint(IPAddress(high: 0xFE80_0000_0000_0000, low: 1), port: 3)
    func call(_ endpoints: [Endpoint]) throws -> Set<PacketSource> {
      let datagram = sealed(.callMeMaybe(CallMeMaybe(endpoints: endpoints)))
      return Set(try messages(receive(datagram, from: relayed)).map(\.1))
    }
    #expect(try call([first, local]) == [direct, .direct(first)])
    #expect(try call([first, second]) == [direct, .direct(first), .direct(second)])
    #expect(try call([second]) == [direct, .direct(second)])
  }

  @Test("Calls are honoured at a bounded rate")
  func callRate() {
    let call = sealed(.callMeMaybe(CallMeMaybe(endpoints: [])))
    for _ in 0..<50 { _ = receive(call, from: relayed) }
    #expect(counters.callsReceived == 10 && counters.excessCalls == 40)
    network.now = network.now + .seconds(2)
    _ = receive(call, from: relayed)
    #expect(counters.callsReceived == 11)
  }

  @Test("A peer has at most a hundred candidates, whatever it says or sends")
  func candidateBound() throws {
    let many = (0..<500).map { Endpoint(IPAddress(198, 18, 1, 1), port: UInt16(1000 + $0)) }
    for number in 0..<300 {
      _ = receive(sealed(ping(UInt64(number))), from: .direct(many[number]))
    }
    var status = try #require(network.hosts[0].socket.status(of: peer, at: network.now))
    #expect(status.candidates.count == 100 && counters.excessCandidates > 0)
    let call = sealed(.callMeMaybe(CallMeMaybe(endpoints: many)))
    let pinged = receive(call, from: relayed)
    #expect(pinged.sends.count <= 100)
    status = try #require(network.hosts[0].socket.status(of: peer, at: network.now))
    #expect(status.candidates.count == 100)
  }

  @Test("A ping does not make an idle node ping back")
  func noPingBack() throws {
    let answers = try messages(receive(sealed(ping(1)), from: direct))
    #expect(answers.count == 1)
    #expect(network.hosts[0].socket.status(of: peer, at: network.now)?.direct == nil)
  }

  @Test("A key that came through the tunnel replaces the old one; the path stays")
  func learnedKey() throws {
    network.talk(0, 1, for: .seconds(3))
    #expect(network.direct(0, 1) != nil)
    var entropy = Entropy(seed: 11)
    let fresh = DiscoPrivateKey.generate(using: &entropy)
    let peer = peer
    network.step(0) { $0.learnDiscoKey(fresh.publicKey, of: peer, at: $1, into: &$2) }
    #expect(network.direct(0, 1) != nil)
    #expect(receive(sealed(ping(1)), from: direct).isEmpty)
    #expect(receive(sealed(ping(2), by: fresh), from: direct).sends.count == 1)
    // The netmap has not heard of it yet, and does not take it back.
    network.configure(0)
    #expect(receive(sealed(ping(3), by: fresh), from: direct).sends.count == 1)
    // A third key in the netmap is newer.
    let newest = DiscoPrivateKey.generate(using: &entropy)
    network.hosts[1].discoKey = newest
    network.configure(0)
    #expect(receive(sealed(ping(4), by: fresh), from: direct).isEmpty)
    #expect(receive(sealed(ping(5), by: newest), from: direct).sends.count == 1)
  }

  @Test("Of two peers with one disco key, a ping is from the one that it names")
  func sharedKey() {
    let third = network.addHost(behind: nil)
    network.hosts[third].discoKey = network.hosts[1].discoKey
    network.configure(0)
    let named = Endpoint(IPAddress(198, 18, 0, 1), port: 1)
    let unnamed = Endpoint(IPAddress(198, 18, 0, 2), port: 2)
    let key = network.hosts[third].nodeKey
    #expect(receive(sealed(ping(1, nodeKey: key)), from: .direct(named)).sends.count == 1)
    #expect(receive(sealed(ping(2)), from: .direct(unnamed)).sends.count == 1)
    let socket = network.hosts[0].socket
    #expect(socket.peer(at: named) == network.hosts[third].id)
    #expect(socket.peer(at: unnamed) == nil)
    for host in [1, third] {
      let status = socket.status(of: network.hosts[host].id, at: network.now)
      #expect(status?.candidates.contains(unnamed) == true)
    }
  }

  @Test("Messages that this node does not serve, and nonsense from a peer, are counted drops")
  func unsupported() throws {
    let clients = RelayAllocation.ClientKeys(
      network.hosts[0].discoKey.publicKey,
      network.hosts[1].discoKey.publicKey
    )
    #expect(receive(sealed(.allocate(clients, generation: 1)), from: relayed).isEmpty)
    #expect(counters.relayRequestsRefused == 1)
    let geneve = GeneveHeader(isControl: true, content: .disco, virtualNetwork: 1)
    #expect(receive(geneve.bytes + sealed(ping(1)), from: direct).isEmpty)
    #expect(counters.unknownSender == 1)
    let bind = RelayBinding(
      virtualNetwork: 1,
      generation: 1,
      remoteKey: clients.first,
      challenge: [UInt8](repeating: 0, count: 32)
    )
    #expect(receive(sealed(.bindChallenge(bind)), from: direct).isEmpty)
    #expect(counters.unsupported == 1)
    let box = NaClBox(
      privateKey: network.hosts[1].discoKey.bytes,
      publicKey: network.hosts[0].discoKey.publicKey.bytes
    )
    let nonsense =
      Envelope.magic + network.hosts[1].discoKey.publicKey.bytes
      + box.seal([0x7F, 0, 1], nonce: [UInt8](repeating: 3, count: 24))
    #expect(receive(nonsense, from: direct).isEmpty)
    #expect(counters.malformed == 1)
    var request = [UInt8](repeating: 0, count: 20)
    request.replaceSubrange(0..<8, with: [1, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42])
    #expect(receive(request, from: direct).isEmpty)
    #expect(counters.strayResponses == 1)
  }

  @Test("Mutated datagrams of a peer are dropped or understood, never trapped on")
  func mutations() throws {
    var generator = SeededGenerator(state: 3)
    let box = NaClBox(
      privateKey: network.hosts[1].discoKey.bytes,
      publicKey: network.hosts[0].discoKey.publicKey.bytes
    )
    let head = Envelope.magic + network.hosts[1].discoKey.publicKey.bytes
    let inputs = try corpus("Disco")
    for index in 0..<3000 {
      let input = try #require(inputs.randomElement(using: &generator))
      let plaintext = input.mutated(using: &generator)
      let nonce = (0..<24).map { UInt8(truncatingIfNeeded: index >> ($0 % 4 * 8)) }
      let datagram = head + box.seal(plaintext, nonce: nonce)
      _ = receive(datagram, from: Bool.random(using: &generator) ? direct : relayed)
      _ = receive(datagram.mutated(using: &generator), from: direct)
    }
    #expect(counters.malformed > 0 && counters.notAuthentic > 0)
  }
}
