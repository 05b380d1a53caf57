// SPDX-License-Identifier: Apache-2.0

import Addressing
import Keys
import Magicsock
import PacketFilter
import PacketPipeline
import Packets
import Testing
import Timing

@Suite("The two journeys")
struct JourneyTests {
  /// Two nodes that have found each other.
  private func joined(isDirectOpen: Bool = true) -> Network {
    let network = Network(isDirectOpen: isDirectOpen)
    let (packet, offload) = HostPacket.udp(
      from: network.nodes[0].v4,
      to: network.nodes[1].v4,
      payload: [1]
    )
    network.send(packet, from: network.nodes[0], offload: offload)
    network.advance(by: .milliseconds(100))
    for node in network.nodes { node.delivered = [] }
    return network
  }

  @Test("The first packets wait for the session and arrive over the relay")
  func firstPacket() {
    let network = Network(isDirectOpen: false)
    let (here, there) = (network.nodes[0], network.nodes[1])
    for number in 0..<3 {
      let (packet, offload) = HostPacket.udp(from: here.v4, to: there.v4, payload: [UInt8(number)])
      network.send(packet, from: here, offload: offload)
    }
    #expect(there.delivered.map { HostPacket.content($0.bytes) } == [[0], [1], [2]])
    #expect(there.events.contains(.sessionEstablished(here.id)))
    #expect(here.events.contains(.sessionEstablished(there.id)))
    #expect(there.counters.inbound.relay.packets > 0)
    #expect(there.counters.inbound.directV4.packets == 0)
  }

  @Test("Without a relay the first packet arrives as soon as discovery has found the path")
  func firstPacketWithoutRelay() {
    let network = Network(hasRelay: false)
    let (here, there) = (network.nodes[0], network.nodes[1])
    let (packet, offload) = HostPacket.udp(from: here.v4, to: there.v4, payload: [1])
    network.send(packet, from: here, offload: offload)
    #expect(there.delivered.map { HostPacket.content($0.bytes) } == [[1]])
    #expect(network.log.allSatisfy { if case .direct = $0.from { true } else { false } })
  }

  @Test(
    "TCP super-packets arrive whole in both directions",
    arguments: [true, false],
    [true, false]
  )
  func tcp(isV4: Bool, isDirect: Bool) {
    let network = joined(isDirectOpen: isDirect)
    for (here, there) in [(0, 1), (1, 0)] {
      let (from, to) = (network.nodes[here], network.nodes[there])
      let payload = HostPacket.payload(60_000)
      let (packet, offload) = HostPacket.tcp(
        from: isV4 ? from.v4 : from.v6,
        to: isV4 ? to.v4 : to.v6,
        payload: payload
      )
      to.delivered = []
      network.send(packet, from: from, offload: offload)
      #expect(to.delivered.flatMap { HostPacket.content($0.bytes) } == payload)
      let volume =
        isDirect
        ? to.counters.inbound.directV4 : to.counters.inbound.relay
      #expect(volume.packets >= 50)
      // A relay brings single packets, the kernel brings runs of up to 64.
      if isDirect { #expect(to.delivered.count <= 2) }
      for delivery in to.delivered {
        let view = HostPacket.view(delivery.bytes)
        #expect(view.length == delivery.bytes.count)
        #expect(isDirect == (delivery.header.segmentation != .none))
      }
    }
  }

  @Test("UDP super-packets keep their datagrams apart")
  func udp() {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    let payload = HostPacket.payload(10_100)
    let (packet, offload) = HostPacket.udp(from: here.v4, to: there.v4, payload: payload)
    network.send(packet, from: here, offload: offload)
    #expect(there.delivered.flatMap { HostPacket.content($0.bytes) } == payload)
    #expect(there.delivered.map(\.header.segmentSize) == [1200])
  }

  @Test("Packets of many small reads leave in one run")
  func smallPackets() {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    for number in 0..<10 {
      var (packet, offload) = HostPacket.tcp(
        from: here.v4,
        to: there.v4,
        flags: .ack,
        sequence: UInt32(number),
        payload: []
      )
      packet.withPacketBytes {
        here.pipeline.outbound($0, offload: offload, at: network.moment, into: &here.effects)
      }
    }
    let (trains, hasRoom) = (here.effects.trains, here.effects.hasRoom)
    #expect(trains.map(\.count) == [10])
    #expect(hasRoom)
    here.effects.reset()
  }

  @Test("A refused connection is told to its sender, and nothing reaches the host")
  func refused() {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    there.filter = Filter(localNetworks: [IPPrefix(host: there.v4)], rules: [])
    network.configure(there)
    let (packet, offload) = HostPacket.tcp(from: here.v4, to: there.v4, flags: .syn, payload: [])
    network.send(packet, from: here, offload: offload)
    #expect(there.delivered.isEmpty)
    #expect(there.counters.inboundDrops[.accessRules] == 1)
    let told = here.events.contains {
      if case .rejected(let reject, let peer) = $0 {
        return peer == there.id && reject.destination.port == 80 && reject.reason == .accessRules
      }
      return false
    }
    #expect(told)
    #expect(here.delivered.isEmpty)
  }

  @Test("Answers to own datagrams pass where no rule lets new ones in")
  func answers() {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    here.filter = Filter(localNetworks: [IPPrefix(host: here.v4)], rules: [])
    network.configure(here)
    var answer = HostPacket.udp(from: there.v4, to: here.v4, payload: [7])
    (answer.packet[20], answer.packet[21]) = (0, 53)
    (answer.packet[22], answer.packet[23]) = (UInt8(4000 >> 8), UInt8(4000 & 255))
    // Forgotten is what the first datagram of `joined` left: it went the same way.
    for port in 0..<600 {
      var (packet, offload) = HostPacket.udp(from: here.v4, to: there.v4, payload: [1])
      (packet[20], packet[21]) = (UInt8(port >> 8), UInt8(port & 255))
      network.send(packet, from: here, offload: offload)
    }
    network.send(answer.packet, from: there, offload: answer.offload)
    #expect(here.delivered.isEmpty)
    let question = HostPacket.udp(from: here.v4, to: there.v4, payload: [1])
    network.send(question.packet, from: here, offload: question.offload)
    network.send(answer.packet, from: there, offload: answer.offload)
    #expect(here.delivered.count == 1)
  }

  @Test("A replayed datagram is delivered once")
  func replay() throws {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.log = []
    let (packet, offload) = HostPacket.udp(from: here.v4, to: there.v4, payload: [9])
    network.send(packet, from: here, offload: offload)
    let flight = try #require(network.log.first { $0.bytes[0] == 4 })
    #expect(there.delivered.count == 1)
    network.inject(flight.bytes, to: there, from: flight.from)
    #expect(there.delivered.count == 1)
    #expect(there.counters.inboundDrops[.notAuthentic] == 1)
  }

  @Test("A packet from an address that the peer does not have is dropped")
  func foreignSource() {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    let (packet, offload) = HostPacket.udp(
      from: IPAddress(100, 64, 0, 77),
      to: there.v4,
      payload: [1]
    )
    network.send(packet, from: here, offload: offload)
    #expect(there.delivered.isEmpty)
    #expect(there.counters.inboundDrops[.foreignSource] == 1)
  }

  @Test("Without a filter nothing comes in, and without a peer nothing goes out")
  func failsClosed() {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    there.filter = .none
    network.configure(there)
    let (packet, offload) = HostPacket.udp(from: here.v4, to: there.v4, payload: [1])
    network.send(packet, from: here, offload: offload)
    #expect(there.delivered.isEmpty)
    network.configure(here, peers: [])
    network.log = []
    network.send(packet, from: here, offload: offload)
    #expect(network.log.isEmpty)
    #expect(here.counters.outboundDrops[.noRoute] == 1)
  }

  @Test("A removed peer loses access at once")
  func removedPeer() {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.configure(there, peers: [])
    let (packet, offload) = HostPacket.udp(from: here.v4, to: there.v4, payload: [1])
    network.send(packet, from: here, offload: offload)
    network.advance(by: .seconds(20))
    #expect(there.delivered.isEmpty)
  }

  @Test("The service addresses answer pings inside the node", arguments: [true, false])
  func serviceAddress(isV4: Bool) throws {
    let network = Network()
    let node = network.nodes[0]
    let source = isV4 ? node.v4 : node.v6
    let service = isV4 ? TailnetRanges.serviceV4 : TailnetRanges.serviceV6
    let request = ICMPEcho(identifier: 1, sequence: 2, data: [3])
    network.send(request.packet(from: source, to: service), from: node)
    var reply = try #require(node.delivered.first).bytes
    let echo = reply.withPacketBytes { ICMPEcho($0, PacketView($0)) }
    #expect(echo == request.reply)
  }

  @Test("The host can send neither messages between nodes nor discovery into the tunnel")
  func notForHost() {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.send(TSMPMessage.ping(data: 1).packet(from: here.v4, to: there.v4), from: here)
    let magic: [UInt8] = [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC]
    let discovery = HostPacket.udp(
      from: here.v4,
      to: there.v4,
      payload: magic + here.disco.publicKey.bytes + [UInt8](repeating: 0, count: 40)
    )
    network.send(discovery.packet, from: here, offload: discovery.offload)
    #expect(here.counters.outboundDrops[.notForHost] == 2)
    #expect(there.delivered.isEmpty)
  }

  @Test("Every kind of ping is answered and tells the path", arguments: [true, false])
  func pings(isDirect: Bool) {
    let network = joined(isDirectOpen: isDirect)
    let (here, there) = (network.nodes[0], network.nodes[1])
    for (id, kind) in [(1, PingKind.disco), (2, .tsmp), (3, .icmp)] as [(UInt64, PingKind)] {
      network.ping(there, from: here, kind, id: id)
      if kind == .icmp, let request = there.delivered.last {
        var bytes = request.bytes
        let echo = bytes.withPacketBytes { ICMPEcho($0, PacketView($0)) }
        if let echo { network.send(echo.reply.packet(from: there.v4, to: here.v4), from: there) }
      }
      let replies = here.events.compactMap { event -> PingReply? in
        if case .pong(let reply) = event { reply } else { nil }
      }
      #expect(replies.last?.id == id)
      #expect(replies.last?.kind == kind)
      #expect((replies.last?.endpoint == there.endpoint) == isDirect)
      #expect((replies.last?.region == Network.region) == !isDirect)
    }
    #expect(here.delivered.isEmpty)
    network.ping(Node(77), from: here, .tsmp, id: 4)
    #expect(
      here.events.last == .pingFailed(id: 4, peer: PeerID(77), because: .unknownPeer)
    )
  }

  @Test("Mutated datagrams never crash a node and never reach its host")
  func fuzz() {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.advance(by: .seconds(130))
    let (packet, offload) = HostPacket.tcp(
      from: here.v4,
      to: there.v4,
      payload: HostPacket.payload(5000)
    )
    network.send(packet, from: here, offload: offload)
    let corpus = network.log.map(\.bytes)
    #expect(corpus.count > 5)
    there.delivered = []
    var state: UInt64 = 3
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % max(1, bound)
    }
    for round in 0..<4000 {
      var bytes = corpus[round % corpus.count]
      for _ in 0...random(3) where !bytes.isEmpty {
        bytes[random(bytes.count)] ^= UInt8(1 << random(8))
      }
      if round % 5 == 0 { bytes.removeLast(random(bytes.count)) }
      let source: PacketSource =
        round.isMultiple(of: 2)
        ? .direct(here.endpoint) : .relay(Network.region, here.key.publicKey)
      network.inject(bytes, segmentSize: 1 + random(1500), to: there, from: source)
    }
    #expect(there.delivered.isEmpty)
  }

  @Test("Random packets from the host never crash a node")
  func hostFuzz() {
    let network = joined()
    let (here, there) = (network.nodes[0], network.nodes[1])
    var state: UInt64 = 5
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % max(1, bound)
    }
    for round in 0..<3000 {
      var (packet, offload) = HostPacket.tcp(
        from: here.v4,
        to: there.v4,
        payload: HostPacket.payload(random(4000)),
        segmentSize: 1 + random(1500)
      )
      for _ in 0...random(4) { packet[random(min(60, packet.count))] = UInt8(random(256)) }
      if round % 3 == 0 { packet.removeLast(random(packet.count)) }
      if round % 4 == 0 { offload.checksumStart = random(65_536) }
      network.send(packet, from: here, offload: offload)
    }
  }
}
