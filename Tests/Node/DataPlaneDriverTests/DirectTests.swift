// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import Keys
import Logging
import Magicsock
import PacketPipeline
import Testing
import WireGuard

@testable import DataPlaneDriver

extension DataPlaneTests {
  @Suite("Directly")
  struct Direct {
    @Test(
      "Two nodes on one wire find each other, and their hosts talk through the tunnel",
      .timeLimit(.minutes(10)),
      arguments: IPAddress.Family.allCases
    )
    func direct(over family: IPAddress.Family) async throws {
      let (one, two) = try await TestNode.pair(over: family)
      _ = try await one.plane.ping(two.id, .tsmp).get()
      let disco = try await one.plane.ping(two.id, .disco).get()
      #expect(disco.endpoint == two.endpoint(family))
      _ = try await two.plane.ping(one.id, .icmp, size: 100).get()
      for target in ["\(two.v4)", "\(two.v6)", "100.100.100.100"] {
        let ping = try one.host.launch(["ping", "-c", "3", "-i", "0.1", "-W", "3", target])
        #expect(await ping.status() == 0)
      }
      let count = 16 << 20
      for (from, to) in [(one, two), (two, one)] {
        for address in [to.v4, to.v6] {
          let receipt = try await Transfer.run(
            from: from.host,
            to: to.host,
            at: address,
            count: count
          )
          #expect(receipt == Transfer.Receipt(count: count, isIntact: true))
        }
      }
      for node in [one, two] {
        let status = try #require(await node.plane.status())
        let (seen, other) =
          family == .v4
          ? (status.pipeline.counters.inbound.directV4, status.pipeline.counters.inbound.directV6)
          : (status.pipeline.counters.inbound.directV6, status.pipeline.counters.inbound.directV4)
        #expect(seen.bytes > UInt64(2 * count))
        #expect(other.packets == 0 && status.pipeline.counters.inbound.relay.packets == 0)
        // Packets of one flow reach the host joined.
        #expect(status.pipeline.counters.deliveries < seen.packets / 2)
        #expect(status.host.interfaceRefused == 0 && status.host.sendFailed == 0)
        #expect(status.sockets.allSatisfy { $0.trainsRefused == 0 && $0.truncated == 0 })
        #expect(status.pipeline.counters.inboundDrops[.notAuthentic] == nil)
      }
      await one.plane.shutdown()
      await two.plane.shutdown()
    }

    @Test("A transfer goes on when one side's address changes", .timeLimit(.minutes(10)))
    func addressChange() async throws {
      let (one, two) = try await TestNode.pair()
      _ = try await one.plane.ping(two.id, .tsmp).get()
      async let transfer = Transfer.run(
        from: one.host,
        to: two.host,
        at: two.v4,
        count: 250 * 16_384,
        pause: 0.02
      )
      try await two.log.wait(for: "a direct path") { $0.isUpgrade() }
      two.host.ip("address", "del", "\(two.wireV4)/24", "dev", "wire0")
      two.host.ip("address", "add", "10.77.0.99/24", "dev", "wire0")
      two.log.forget()
      one.log.forget()
      let new = IPAddress(10, 77, 0, 99)
      await two.plane.networkChanged(addresses: [new], isMajor: true)
      try await one.log.wait(for: "a direct path") {
        $0.isUpgrade(to: Endpoint(new, port: two.plane.port))
      }
      #expect(try await transfer == Transfer.Receipt(count: 250 * 16_384, isIntact: true))
      #expect(await one.counters().inbound.relay.packets == 0)
      await one.plane.shutdown()
      await two.plane.shutdown()
    }

    @Test(
      "What strangers send is counted and dropped, and the tunnel goes on",
      .timeLimit(.minutes(10))
    )
    func strangers() async throws {
      let (one, two) = try await TestNode.pair()
      _ = try await one.plane.ping(two.id, .tsmp).get()
      let before = await two.counters()
      let program = """
        import random, socket, sys
        stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        random.seed(7)
        heads = [b"", b"\\1\\0\\0\\0", b"\\2\\0\\0\\0", b"\\3\\0\\0\\0", b"\\4\\0\\0\\0",
                 b"TS\\xf0\\x9f\\x92\\xac", b"\\0\\1\\0\\0\\x21\\x12\\xa4\\x42", b"\\x08\\0\\x7a\\x12\\0\\0\\0\\0"]
        for round in range(2000):
            size = random.choice([0, 1, 3, 31, 32, 61, 62, 92, 148, 149, 1400, 9000])
            tail = random.randbytes(size)
            stranger.sendto(random.choice(heads) + tail, (sys.argv[1], int(sys.argv[2])))
        """
      let stranger = try one.host.launch(
        ["python3", "-c", program, "\(two.wireV4)", "\(two.plane.port)"]
      )
      #expect(await stranger.status() == 0)
      _ = try await one.plane.ping(two.id, .tsmp).get()
      let status = try #require(await two.plane.status())
      let drops = status.pipeline.counters.inboundDrops
      #expect(drops[.notAuthentic, default: 0] > 500)
      #expect(status.pipeline.pathCounters.unknownSender > 50)
      #expect(status.pipeline.pathCounters.strayResponses > 50)
      #expect(status.pipeline.counters.deliveries == before.deliveries)
      let receipt = try await Transfer.run(from: one.host, to: two.host, at: two.v4, count: 1 << 20)
      #expect(receipt.isIntact)
      await one.plane.shutdown()
      await two.plane.shutdown()
    }

    @Test("After the end nothing is left: no thread, no socket, no interface, no object")
    func end() async throws {
      var nodes: (TestNode, TestNode)? = try await TestNode.pair()
      let hosts = nodes.map { [$0.0.host, $0.1.host] } ?? []
      weak let plane = nodes?.0.plane
      if let (one, two) = nodes {
        _ = try await one.plane.ping(two.id, .tsmp).get()
        #expect(ProcessFacts.threads(named: "data-tunnel0").count == 2)
        #expect(hosts.allSatisfy { $0.execute("ss", "-Huan").output.contains(":41641") })
        await one.plane.shutdown()
        await two.plane.shutdown()
        #expect(await one.plane.status() == nil)
        await one.plane.shutdown()
      }
      #expect(ProcessFacts.threads(named: "data-tunnel0").isEmpty)
      for host in hosts {
        #expect(host.ip("link", "show", "tunnel0").status != 0)
        #expect(host.execute("ss", "-Huan").output.isEmpty)
      }
      nodes = nil
      #expect(plane == nil)
    }

    @Test("A data plane that was never started leaves nothing either")
    func neverStarted() async throws {
      let node = try TestNode(4)
      #expect(node.host.ip("link", "show", "tunnel0").status == 0)
      await node.plane.shutdown()
      #expect(node.host.ip("link", "show", "tunnel0").status != 0)
    }

    @Test("The owner is told when somebody takes the interface away", .timeLimit(.minutes(10)))
    func interfaceLost() async throws {
      let node = try TestNode(5)
      try node.plane.start()
      node.host.ip("link", "del", "tunnel0")
      try await node.log.wait(for: "the loss of the interface") {
        if case .interfaceLost = $0 { true } else { false }
      }
      #expect(await node.plane.status() != nil)
      await node.plane.shutdown()
    }

    @Test("A second daemon on the port is told so, and takes another where it may")
    func portTaken() async throws {
      let node = try TestNode(3)
      var options = DataPlaneOptions(
        interfaceName: "tunnel1",
        port: node.plane.port,
        nodeKey: node.key,
        discoKey: node.disco
      )
      do {
        _ = try node.host.within { [options] in
          try DataPlane(options, logger: Logger(label: "test"))
        }
        Issue.record("the port was bound twice")
      } catch let error as HostError {
        #expect(error.description.hasPrefix("cannot bind UDP port 41641: address already in use"))
      }
      options.isPortRequired = false
      let other = try node.host.within { [options] in
        try DataPlane(options, logger: Logger(label: "test"))
      }
      #expect(other.isPortSubstituted && other.port != node.plane.port)
      await other.shutdown()
      await node.plane.shutdown()
    }
  }
}
