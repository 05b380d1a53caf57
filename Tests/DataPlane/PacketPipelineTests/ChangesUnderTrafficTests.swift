// SPDX-License-Identifier: Apache-2.0

import Addressing
import Keys
import PacketFilter
import PacketPipeline
import Packets
import TestSupport
import Testing

@Suite("Changes of the configuration under traffic")
struct ChangesUnderTrafficTests {
  /// Handshake messages among everything that flew so far.
  private static func handshakes(_ network: Network) -> Int {
    network.log.filter { (1...3).contains($0.bytes.first ?? 0) && $0.bytes[1...3] == [0, 0, 0] }
      .count
  }

  /// Sends a super-packet each way between the first two nodes, and tells whether both came whole.
  private static func isFlowing(_ network: Network, _ round: Int) -> Bool {
    [(0, 1), (1, 0)].allSatisfy { here, there in
      let (source, target) = (network.nodes[here], network.nodes[there])
      let payload = HostPacket.payload(20_000, seed: UInt64(round * 2 + here + 1))
      let made = HostPacket.tcp(
        from: source.v4,
        to: target.v4,
        flags: .ack,
        sequence: UInt32(round * 20_000),
        payload: payload
      )
      target.delivered = []
      network.send(made.packet, from: source, offload: made.offload)
      return target.taken.flatMap { HostPacket.content($0) } == payload
    }
  }

  @Test(
    "Peers come, go and change, rules change: what two others send each other arrives at once, in one session",
    arguments: 1...8 as ClosedRange<UInt64>
  )
  func flows(seed: UInt64) {
    var random = SeededGenerator(state: seed)
    let network = Network(6)
    network.settleSession(from: network.nodes[0], to: network.nodes[1])
    var round = 0
    var isFlowing = Self.isFlowing(network, round)
    #expect(isFlowing)
    let before = Self.handshakes(network)
    let reconfigured = network.nodes[0].counters.peersReconfigured
    for _ in 0..<40 {
      let node = network.nodes[Int.random(in: 0...1, using: &random)]
      let others = network.nodes[2...].filter { _ in Bool.random(using: &random) }
      if Bool.random(using: &random) {
        node.filter = Filter(
          localNetworks: [IPPrefix(host: node.v4), IPPrefix(host: node.v6)],
          rules: [.allowAll] + Array(repeating: .allowAll, count: others.count)
        )
      }
      network.configure(node, peers: Array(network.nodes[...1]) + others)
      round += 1
      isFlowing = Self.isFlowing(network, round)
      #expect(isFlowing, "after change \(round)")
    }
    #expect(Self.handshakes(network) == before)
    #expect(network.nodes[0].counters.peersReconfigured > reconfigured)
    #expect(network.nodes[0].fallenOff == 0)
  }

  @Test("An answer to what was asked before comes in although the rules were replaced meanwhile")
  func answers() {
    let network = Network(3)
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.settleSession(from: here, to: there)
    here.filter = Filter(localNetworks: [IPPrefix(host: here.v4)], rules: [])
    network.configure(here)
    let question = HostPacket.udp(from: here.v4, to: there.v4, payload: [1, 2, 3])
    network.send(question.packet, from: here, offload: question.offload)
    here.filter = Filter(
      localNetworks: [IPPrefix(host: here.v4), IPPrefix(host: here.v6)],
      rules: []
    )
    network.configure(here)
    here.delivered = []
    network.send(HostPacket.answer(to: question.packet), from: there)
    #expect(here.taken.count == 1)
    // Nobody asked for this one.
    let other = HostPacket.tcp(from: there.v4, to: here.v4, flags: .syn, payload: [9])
    network.send(other.packet, from: there, offload: other.offload)
    #expect(here.taken.count == 1)
  }

  @Test("A peer that is taken away while a train of its own is on the way gets no more, others all")
  func removal() {
    let network = Network(3)
    let (here, there, other) = (network.nodes[0], network.nodes[1], network.nodes[2])
    network.settleSession(from: there, to: here)
    network.settleSession(from: other, to: here)
    network.configure(here, peers: [here, other])
    for source in [there, other] {
      let made = HostPacket.udp(from: source.v4, to: here.v4, payload: HostPacket.payload(100))
      network.send(made.packet, from: source, offload: made.offload)
    }
    #expect(here.taken.map { HostPacket.view($0).source } == [other.v4])
  }
}
