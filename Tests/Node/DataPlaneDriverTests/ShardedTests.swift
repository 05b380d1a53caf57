// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import HostIO
import Logging
import Magicsock
import PacketPipeline
import Testing
import WireGuard

@testable import DataPlaneDriver

extension DataPlaneTests {
  /// More shards than this machine may have cores: what is shown is that they work, not how fast.
  @Suite("With several shards")
  struct Sharded {
    struct Setting: Sendable, CustomTestStringConvertible {
      var shards: Int
      var isSteered: Bool
      var testDescription: String { "\(shards) shards, \(isSteered ? "" : "not ")steered" }
    }

    static let settings = [
      Setting(shards: 4, isSteered: true), Setting(shards: 8, isSteered: true),
      Setting(shards: 3, isSteered: false),
    ]

    private func end(_ nodes: [TestNode]) async {
      for node in nodes { await node.plane.shutdown() }
    }

    /// Numbered flows between the hub and each leaf, both ways at once.
    private func exchange(
      _ hub: TestNode,
      _ leaves: [TestNode],
      flows: Int = 3,
      rounds: Int = 60
    ) async throws {
      try await withThrowingTaskGroup(of: Sequence.Outcome.self) { group in
        for (index, leaf) in leaves.enumerated() {
          let port = 6000 + 20 * index
          group.addTask {
            try await Sequence.run(from: leaf, to: hub, port: port, flows: flows, rounds: rounds)
          }
          group.addTask {
            try await Sequence.run(
              from: hub,
              to: leaf,
              port: port + 10,
              flows: flows,
              rounds: rounds
            )
          }
        }
        for try await outcome in group {
          #expect(outcome.count == flows * rounds * Sequence.burst && outcome.isAcknowledged)
          #expect(outcome.late == 0 && outcome.lost * 100 < outcome.count)
        }
      }
    }

    @Test(
      "Many peers' flows arrive whole and in order, and several shards carry them",
      .timeLimit(.minutes(10)),
      arguments: settings
    )
    func order(_ setting: Setting) async throws {
      let (hub, leaves) = try await TestNode.star(
        leaves: 5,
        shards: setting.shards,
        isSteeringWanted: setting.isSteered
      )
      for leaf in leaves { _ = try await hub.plane.ping(leaf.id, .tsmp).get() }
      try await exchange(hub, leaves)
      let status = try #require(await hub.plane.status())
      #expect(status.pipeline.peers.count == leaves.count)
      #expect(status.shards.count == setting.shards)
      let shard = Shard(0, of: setting.shards)
      let owners = Set(leaves.map { shard.owner(of: $0.id) })
      #expect(owners.count > 2)
      for (index, figures) in status.shards.enumerated() {
        let own = leaves.filter { shard.owner(of: $0.id) == index }
        #expect(figures.peers == own.count)
        let packets = figures.traffic.inbound.directV4.packets
        #expect(packets >= UInt64(own.count * 3 * 60 * Sequence.burst * 99 / 100))
        #expect(own.isEmpty == (packets == 0))
        #expect(figures.host.handoverDropped == 0)
      }
      let handedOver = status.host.handedOver
      // Handshakes and discovery always pass through the first; data only where the host does not steer.
      #expect(setting.isSteered ? (1..<1000).contains(handedOver) : handedOver > 5000)
      #expect(status.host.interfaceRefused == 0 && status.host.sendFailed == 0)
      let receipt = try await Transfer.run(
        from: leaves[0].host,
        to: hub.host,
        at: hub.v4,
        count: 16 << 20
      )
      #expect(receipt == Transfer.Receipt(count: 16 << 20, isIntact: true))
      let back = try await Transfer.run(
        from: hub.host,
        to: leaves[1].host,
        at: leaves[1].v6,
        count: 16 << 20
      )
      #expect(back == Transfer.Receipt(count: 16 << 20, isIntact: true))
      await end([hub] + leaves)
    }

    @Test(
      "Peers come, go and change their keys while the flows of others stay in order",
      .timeLimit(.minutes(10))
    )
    func reconfiguration() async throws {
      let (hub, leaves) = try await TestNode.star(leaves: 4, shards: 4)
      for leaf in leaves { _ = try await hub.plane.ping(leaf.id, .tsmp).get() }
      let (steady, moving) = (Array(leaves.prefix(2)), Array(leaves.suffix(2)))
      async let exchanged: Void = exchange(hub, steady, rounds: 150)
      for _ in 0..<4 {
        await hub.configure(steady)
        #expect(await hub.plane.ping(moving[0].id, .tsmp) == .failure(.unknownPeer))
        await hub.configure(leaves)
        // A new session: the old one went with the peer. An initiation that follows another within 20 ms
        // is refused, and the next comes after five seconds.
        for leaf in moving {
          _ = try await hub.plane.ping(leaf.id, .tsmp, timeout: .seconds(30)).get()
        }
      }
      try await exchanged
      try await exchange(hub, moving, rounds: 10)
      await end([hub] + leaves)
    }

    @Test(
      "Through a relay, and then directly, shards reach the owners of peers",
      .timeLimit(.minutes(10))
    )
    func relayed() async throws {
      let relay = try TestRelay(tellsKey: true)
      try await relay.start()
      let (one, two) = try await TestNode.pair(shards: 4)
      one.blockUDP(true)
      for (node, peer) in [(one, two), (two, one)] {
        await node.configure([peer], relays: relay.map(stunPort: -1))
        try await node.log.wait(for: "the relay") { $0.isRelayUp }
      }
      let pong = try await one.plane.ping(two.id, .tsmp).get()
      #expect(pong.endpoint == nil && pong.region == TestRelay.region)
      let count = 2 << 20
      for (from, to) in [(one, two), (two, one)] {
        let receipt = try await Transfer.run(from: from.host, to: to.host, at: to.v4, count: count)
        #expect(receipt == Transfer.Receipt(count: count, isIntact: true))
      }
      // Only one shard looks at the network, whoever's peers they are.
      #expect(relay.counters.homeClients == 2)
      one.blockUDP(false)
      async let transfer = Transfer.run(
        from: one.host,
        to: two.host,
        at: two.v4,
        count: 300 * 16_384,
        pause: 0.02
      )
      try await one.log.wait(for: "a direct path") { $0.isUpgrade() }
      #expect(try await transfer.isIntact)
      await end([one, two])
      await relay.stop()
    }

    @Test("When one shard ends so do all, and nothing is left")
    func oneEnds() async throws {
      let (one, two) = try await TestNode.pair(shards: 3)
      _ = try await one.plane.ping(two.id, .tsmp).get()
      #expect(ProcessFacts.threads(named: "data2-tunnel0").count == 2)
      let shards = one.plane.shards
      shards.post.post(.stop, to: 2)
      try await withCheckedThrowingContinuation { continuation in
        do {
          _ = try DataThread(name: "join") {
            shards.join()
            continuation.resume()
          }
        } catch { continuation.resume(throwing: error) }
      }
      #expect(await one.plane.status() == nil)
      #expect(one.host.ip("link", "show", "tunnel0").status != 0)
      #expect(one.host.execute("ss", "-Huan").output.isEmpty)
      await end([one, two])
      for index in 0..<3 {
        #expect(ProcessFacts.threads(named: "data\(index)-tunnel0").isEmpty)
      }
    }

    @Test("A second daemon does not join a shared port")
    func portTaken() async throws {
      let node = try TestNode(3, shards: 2)
      var options = DataPlaneOptions(
        interfaceName: "tunnel1",
        port: node.plane.port,
        nodeKey: node.key,
        discoKey: node.disco
      )
      options.shards = 2
      #expect(throws: HostError.self) {
        try node.host.within { [options] in
          try DataPlane(options, logger: Logger(label: "test"))
        }
      }
      await node.plane.shutdown()
    }
  }
}
