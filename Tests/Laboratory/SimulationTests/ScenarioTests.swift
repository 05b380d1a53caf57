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
