// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import HTTPTransport
import Keys
import Magicsock
import PacketPipeline
import Testing

@testable import DataPlaneDriver

extension DataPlaneTests {
  @Suite("Through a relay")
  struct Relayed {
    /// Two nodes without UDP between them, and a relay that both are connected to.
    private func relayed(
      tellsKey: Bool,
      stunPort: Int = -1
    ) async throws -> (TestNode, TestNode, TestRelay) {
      let relay = try TestRelay(tellsKey: tellsKey)
      try await relay.start()
      let (one, two) = try await TestNode.pair()
      one.blockUDP(true)
      for (node, peer) in [(one, two), (two, one)] {
        await node.configure([peer], relays: relay.map(stunPort: stunPort))
        try await node.log.wait(for: "the relay") { $0.isRelayUp }
      }
      return (one, two, relay)
    }

    private func end(_ nodes: TestNode..., relay: TestRelay) async {
      for node in nodes { await node.plane.shutdown() }
      await relay.stop()
    }

    @Test(
      "Without UDP everything goes through the relay, both ways",
      .timeLimit(.minutes(10)),
      arguments: [false, true]
    )
    func blocked(tellsKey: Bool) async throws {
      let (one, two, relay) = try await relayed(tellsKey: tellsKey)
      #expect((relay.fastStarts == 2) == tellsKey)
      let pong = try await one.plane.ping(two.id, .tsmp).get()
      #expect(pong.endpoint == nil && pong.region == TestRelay.region)
      // Both said so before their packets, on the same connections.
      #expect(relay.counters.homeClients == 2)
      let count = 4 << 20
      for (from, to) in [(one, two), (two, one)] {
        let receipt = try await Transfer.run(from: from.host, to: to.host, at: to.v4, count: count)
        #expect(receipt == Transfer.Receipt(count: count, isIntact: true))
      }
      for node in [one, two] {
        let counters = await node.counters()
        #expect(counters.inbound.relay.bytes > UInt64(count))
        #expect(counters.inbound.directV4.packets == 0)
        // Packets that the relay brought together reach the host joined.
        #expect(counters.deliveries < counters.inbound.relay.packets * 9 / 10)
      }
      await end(one, two, relay: relay)
    }

    @Test(
      "A transfer moves to the direct path when there is one, and back when it dies",
      .timeLimit(.minutes(10))
    )
    func upgradeAndFallBack() async throws {
      let (one, two, relay) = try await relayed(tellsKey: true)
      _ = try await one.plane.ping(two.id, .tsmp).get()
      let told = Transfer.End()
      defer { try? told.tell() }
      async let transfer = Transfer.run(
        from: one.host,
        to: two.host,
        at: two.v4,
        count: Transfer.endless,
        pause: 0.02,
        until: told
      )
      one.blockUDP(false)
      try await one.log.wait(for: "a direct path") { $0.isUpgrade() }
      try await two.log.wait(for: "a direct path") { $0.isUpgrade() }
      // What is sent now takes it, this and the transfer.
      _ = try await one.plane.ping(two.id, .icmp, timeout: .seconds(60)).get()
      let direct = await two.counters().inbound
      one.log.forget()
      one.blockUDP(true)
      try await one.log.wait(for: "the loss of the direct path") { $0.isFallBack }
      let fallen = await two.counters().inbound
      _ = try await one.plane.ping(two.id, .icmp, timeout: .seconds(60)).get()
      try told.tell()
      let receipt = try await transfer
      #expect(receipt.isIntact && receipt.count > 0)
      let end = await two.counters().inbound
      #expect(direct.relay.packets > 0 && direct.directV4.packets > 0)
      #expect(fallen.directV4.packets >= direct.directV4.packets)
      #expect(end.relay.packets > fallen.relay.packets)
      await self.end(one, two, relay: relay)
    }

    @Test("A transfer goes on when the relay restarts", .timeLimit(.minutes(10)))
    func restart() async throws {
      let (one, two, relay) = try await relayed(tellsKey: false)
      _ = try await one.plane.ping(two.id, .tsmp).get()
      let count = 300 * 16_384
      async let transfer = Transfer.run(
        from: one.host,
        to: two.host,
        at: two.v4,
        count: count,
        pause: 0.01
      )
      for node in [one, two] { node.log.forget() }
      await relay.stop()
      for node in [one, two] {
        try await node.log.wait(for: "the loss of the relay") { $0.isRelayDown }
      }
      try await relay.start()
      for node in [one, two] { try await node.log.wait(for: "the relay") { $0.isRelayUp } }
      #expect(try await transfer == Transfer.Receipt(count: count, isIntact: true))
      await end(one, two, relay: relay)
    }

    @Test(
      "A home relay that cannot be trusted is told of, with the reason",
      .timeLimit(.minutes(10))
    )
    func untrusted() async throws {
      let relay = try TestRelay()
      try await relay.start()
      let node = try TestNode(6)
      try node.plane.start()
      await node.plane.networkChanged(addresses: [IPAddress(192, 0, 2, 1)], isMajor: true)
      await node.configure([], relays: relay.map(pin: String(repeating: "ab", count: 32)))
      try await node.log.wait(for: "the reason") {
        if case .relayDown(TestRelay.region, .some) = $0 { true } else { false }
      }
      #expect(relay.counters.accepts == 0)
      await end(node, relay: relay)
    }

    @Test("A relay that shows another certificate than the pinned one is not used")
    func wrongPin() async throws {
      let relay = try TestRelay()
      try await relay.start()
      let node = try #require(
        relay.map(pin: String(repeating: "ab", count: 32))
          .regions[TestRelay.region]?.nodes.first
      )
      await #expect(throws: (any Error).self) {
        try await node.dial(Dialer(), timeout: .seconds(5))
      }
      let right = try #require(relay.map().regions[TestRelay.region]?.nodes.first)
      let stream = try await right.dial(Dialer(mark: 0x1234), timeout: .seconds(5))
      // Our own traffic is known by its mark, relays included.
      let sockets = NamespaceHost.run("ss", ["-Htne", "dport = \(right.derpPort)"]).output
      #expect(sockets.contains("fwmark:0x1234"))
      stream.abort()
      await relay.stop()
    }

    @Test("A relay that hangs is found out when the network changes", .timeLimit(.minutes(10)))
    func hanging() async throws {
      let (one, two, relay) = try await relayed(tellsKey: false)
      one.log.forget()
      relay.mute()
      await one.plane.networkChanged(addresses: [one.wireV4], isMajor: true)
      try await one.log.wait(for: "the loss of the relay") { $0.isRelayDown }
      try await one.log.wait(for: "the relay") { $0.isRelayUp }
      await end(one, two, relay: relay)
    }

    @Test("The home relay is timed over HTTPS where no UDP comes back", .timeLimit(.minutes(10)))
    func probed() async throws {
      let (one, two, relay) = try await relayed(tellsKey: false, stunPort: 3478)
      #expect(relay.probes > 0)
      let report = try #require(await one.plane.netcheck())
      #expect(report.latency[TestRelay.region] != nil)
      await end(one, two, relay: relay)
    }
  }
}
