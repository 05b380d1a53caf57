// SPDX-License-Identifier: Apache-2.0

import Addressing
import PacketPipeline
import Testing

@testable import DataPlaneDriver

extension DataPlaneTests {
  /// More helpers than this machine may have cores: what is shown is that they work, not how fast.
  @Suite("With helpers")
  struct Helped {
    struct Setting: Sendable, CustomTestStringConvertible {
      var shards: Int
      var helpers: Int
      var testDescription: String { "\(shards) shards with \(helpers) helpers each" }
    }

    private func end(_ nodes: [TestNode]) async {
      for node in nodes { await node.plane.shutdown() }
    }

    private func partsHelped(_ node: TestNode) async -> UInt64 {
      await node.plane.status()?.host.partsHelped ?? 0
    }

    @Test(
      "What helpers seal and open arrives whole and in order",
      .timeLimit(.minutes(10)),
      arguments: [Setting(shards: 1, helpers: 3), Setting(shards: 2, helpers: 2)]
    )
    func order(_ setting: Setting) async throws {
      let (one, two) = try await TestNode.pair(shards: setting.shards, helpers: setting.helpers)
      _ = try await one.plane.ping(two.id, .tsmp).get()
      let count = 16 << 20
      // Whether helpers are there in time is the system's to say: until they were, a few times.
      for round in 0..<10 {
        for (from, to) in [(one, two), (two, one)] {
          let address = round % 2 == 0 ? to.v4 : to.v6
          let receipt = try await Transfer.run(
            from: from.host,
            to: to.host,
            at: address,
            count: count
          )
          #expect(receipt == Transfer.Receipt(count: count, isIntact: true))
        }
        if await partsHelped(one) > 0, await partsHelped(two) > 0 { break }
      }
      #expect(await partsHelped(one) > 0)
      #expect(await partsHelped(two) > 0)
      let outcome = try await Sequence.run(from: one, to: two, port: 6000, flows: 3, rounds: 40)
      #expect(outcome.count == 3 * 40 * Sequence.burst && outcome.isAcknowledged)
      #expect(outcome.late == 0 && outcome.lost * 100 < outcome.count)
      for node in [one, two] {
        let status = try #require(await node.plane.status())
        #expect(status.pipeline.counters.inboundDrops[.notAuthentic] == nil)
        #expect(status.host.interfaceRefused == 0 && status.host.sendFailed == 0)
      }
      await end([one, two])
    }

    @Test("A peer may go and come again while helpers work for it", .timeLimit(.minutes(10)))
    func reconfiguration() async throws {
      let (one, two) = try await TestNode.pair(helpers: 3)
      _ = try await one.plane.ping(two.id, .tsmp).get()
      let told = Transfer.End()
      async let transfer = Transfer.run(
        from: one.host,
        to: two.host,
        at: two.v4,
        count: 8 * Transfer.endless,
        pause: 0.0005,
        until: told
      )
      // What fails below must not wait for the end of the transfer; if it cannot be told, it ends by itself.
      defer { try? told.tell() }
      for _ in 0..<4 {
        await one.configure([])
        #expect(await one.plane.ping(two.id, .tsmp) == .failure(.unknownPeer))
        let before = await two.counters().inbound.directV4.packets
        await one.configure([two])
        // A new session with new keys; single pings may be lost among so much else.
        while await two.counters().inbound.directV4.packets < before + 1000, !Task.isCancelled {
          _ = await one.plane.ping(two.id, .tsmp, timeout: .milliseconds(200))
        }
      }
      try told.tell()
      #expect(try await transfer.isIntact)
      await end([one, two])
    }

    @Test(
      "Helpers end with the data plane, also in the middle of a transfer",
      .timeLimit(.minutes(10))
    )
    func shutdown() async throws {
      let (one, two) = try await TestNode.pair(helpers: 3)
      _ = try await one.plane.ping(two.id, .tsmp).get()
      #expect(ProcessFacts.threads(named: "help2-tunnel0").count == 2)
      // Trains of datagrams for nobody, until the interface is gone.
      let program = """
        import socket, sys
        flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        flood.setsockopt(socket.IPPROTO_UDP, 103, 1200)
        print("flooding", flush=True)
        try:
            while True: flood.sendto(bytes(48000), (sys.argv[1], 9))
        except OSError: pass
        """
      let flood = try one.host.launch(["python3", "-c", program, "\(two.v4)"])
      _ = await flood.line()
      while await two.counters().inbound.directV4.packets < 5000, !Task.isCancelled {}
      await end([one, two])
      for index in 0..<3 {
        #expect(ProcessFacts.threads(named: "help\(index)-tunnel0").isEmpty)
      }
      #expect(await flood.status() == 0)
    }

    @Test("Nobody helps on one or two processors")
    func defaults() {
      #expect((1...2).allSatisfy { DataPlaneOptions.defaultHelpers(cores: $0) == 0 })
      #expect((3...64).allSatisfy { DataPlaneOptions.defaultHelpers(cores: $0) == 1 })
    }
  }
}
