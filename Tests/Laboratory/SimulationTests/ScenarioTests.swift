// SPDX-License-Identifier: Apache-2.0

import Magicsock
import Testing
import Timing

@testable import Simulation

@Suite("Simulated networks of real nodes")
struct ScenarioTests {
  private static func world(_ networks: [World.Network], _ nodes: [Int], seed: UInt64 = 1) -> World
  {
    World(World.Topology(networks: networks, nodes: nodes), seed: seed)
  }

  @Test("Two hosts behind home routers find each other and talk directly")
  func punch() {
    let home = World.Network(nat: .easy)
    let world = Self.world([home, home], [0, 1])
    for second in 5..<30 { world.planTalk(from: 0, to: 1, after: .seconds(second)) }
    world.run(for: .seconds(35))
    #expect(world.oracle.violations == [])
    #expect(world.oracle.talks.count { $0.answeredAt != nil } > 20)
    #expect(world.isDirect(from: 0, to: 1) && world.isDirect(from: 1, to: 0))
  }

  @Test(
    "Two hosts behind symmetric routers meet at a third that carries their packets, and leave it"
  )
  func carried() {
    let hard = World.Network(nat: .hard)
    let open = World.Network(nat: nil)
    let world = World(
      World.Topology(networks: [hard, hard, open], nodes: [0, 1, 2], peerRelays: [2]),
      seed: 3
    )
    for second in 5..<80 { world.planTalk(from: 0, to: 1, size: 1252, after: .seconds(second)) }
    world.run(for: .milliseconds(30_500))
    #expect(world.oracle.talks.suffix(15).allSatisfy { $0.way == .carried })
    #expect(world.economy(of: 2).carriedBytes > 10_000)
    // Without the third they talk all the same.
    world.plan(.link(node: 2, isUp: false), after: .zero)
    world.run(for: .seconds(40))
    let late = world.oracle.talks.suffix(20)
    #expect(late.allSatisfy { $0.answeredAt != nil && $0.way == .relayed })
    #expect(world.oracle.violations == [])
  }

  @Test(
    "A line that swallows large packets, from the start or later, holds no question up for long",
    arguments: [576, 620, 800, 1000, 1200, 1300, 1340, 1400]
  )
  func narrow(mtu: Int) {
    var line = LinkConditions(latency: .milliseconds(8))
    line.mtu = mtu
    let home = World.Network(nat: .easy)
    for isLate in [false, true] {
      let first = isLate ? home : World.Network(nat: .easy, uplink: line)
      let world = Self.world([first, home], [0, 1])
      for second in 5..<90 { world.planTalk(from: 0, to: 1, size: 1252, after: .seconds(second)) }
      if isLate { world.plan(.mtu(network: 0, mtu), after: .seconds(40)) }
      world.run(for: .seconds(95))
      #expect(world.isDirect(from: 0, to: 1))
      let unanswered = world.oracle.talks.count { $0.answeredAt == nil }
      #expect(unanswered <= 9, "of 85, late: \(isLate)")
      #expect(world.oracle.talks.suffix(20).allSatisfy { $0.answeredAt != nil })
      #expect(world.oracle.violations == [])
    }
  }

  @Test("A run is the same when it is run again")
  func deterministic() {
    func run() -> [Instant?] {
      let world = Self.world([.init(nat: .easy), .init(nat: .hard)], [0, 1], seed: 7)
      for second in 5..<30 { world.planTalk(from: 0, to: 1, after: .seconds(second)) }
      world.run(for: .seconds(35))
      return world.oracle.talks.map(\.answeredAt)
    }
    #expect(run() == run())
  }

  @Test("The oracle notices plaintext, counters used twice, and data to where nothing arrived")
  func oracle() {
    var oracle = Oracle()
    let endpoint = InternetTests.outside
    let data: [UInt8] = [4, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    oracle.sent(
      Oracle.Content(id: 0, isAnswer: false).bytes,
      by: 0,
      to: .direct(endpoint),
      at: .origin
    )
    #expect(oracle.violations.count == 1)
    oracle.sent(data + [UInt8](repeating: 1, count: 16), by: 0, to: .direct(endpoint), at: .origin)
    #expect(oracle.violations.count == 2)
    oracle.reached(endpoint, by: 0)
    oracle.sent(data + [UInt8](repeating: 1, count: 16), by: 0, to: .direct(endpoint), at: .origin)
    #expect(oracle.violations.count == 2)
    oracle.sent(data + [UInt8](repeating: 2, count: 16), by: 0, to: .direct(endpoint), at: .origin)
    #expect(oracle.violations.count == 3)
  }
}
