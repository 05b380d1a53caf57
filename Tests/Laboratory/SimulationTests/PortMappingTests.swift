// SPDX-License-Identifier: Apache-2.0

import Magicsock
import PortMapping
import Testing
import Timing

@testable import Simulation

@Suite("Routers that map ports")
struct RouterServicesTests {
  /// Two hosts, the first behind a router that offers something, the second behind a symmetric NAT.
  private static func world(
    _ offer: PortMappingBehaviour?,
    behind nat: NATBehaviour = .hard,
    seed: UInt64 = 1
  ) -> World {
    var mapping = nat
    mapping.portMapping = offer
    let networks = [World.Network(nat: mapping), World.Network(nat: .hard)]
    return World(World.Topology(networks: networks, nodes: [0, 1]), seed: seed)
  }

  private static func talk(_ world: World, for seconds: Int) {
    for second in 0..<seconds { world.planTalk(from: 0, to: 1, after: .seconds(second)) }
    world.run(for: .seconds(seconds + 2))
  }

  @Test(
    "A router that maps ports lets two hosts behind symmetric NATs talk directly",
    arguments: [MappingService.pcp, .pmp]
  )
  func honest(service: MappingService) {
    let world = Self.world(PortMappingBehaviour(services: [service]))
    Self.talk(world, for: 30)
    #expect(world.oracle.violations == [])
    #expect(world.isDirect(from: 0, to: 1) && world.isDirect(from: 1, to: 0))
    #expect(world.nodes[0].endpoints.contains { $0.kind == .portMapped })
    let without = Self.world(nil)
    Self.talk(without, for: 30)
    #expect(!without.isDirect(from: 0, to: 1))
  }

  @Test("A router that lies makes nothing worse", arguments: PortMappingBehaviour.Honesty.allCases)
  func lies(honesty: PortMappingBehaviour.Honesty) {
    for seed in 1...5 {
      let offer = PortMappingBehaviour(honesty: honesty)
      let relayed = Self.world(offer, seed: UInt64(seed))
      Self.talk(relayed, for: 30)
      #expect(relayed.oracle.violations == [])
      #expect(relayed.oracle.talks.suffix(20).allSatisfy { $0.answeredAt != nil })
      let direct = Self.world(offer, behind: .open, seed: UInt64(seed))
      Self.talk(direct, for: 30)
      #expect(direct.oracle.violations == [] && direct.isDirect(from: 0, to: 1))
    }
  }

  @Test("A router that restarts, or gets another address, is asked again before long")
  func restart() {
    for change in [Change.routerRestart(network: 0), .routerMove(network: 0)] {
      let world = Self.world(PortMappingBehaviour())
      Self.talk(world, for: 30)
      #expect(world.isDirect(from: 0, to: 1))
      world.plan(change, after: .zero)
      Self.talk(world, for: 90)
      #expect(world.isDirect(from: 0, to: 1), "\(change)")
      #expect(world.oracle.violations == [])
    }
  }

  @Test("The mapping of a router behind another NAT is not told")
  func doubleNAT() {
    var inner = NATBehaviour.easy
    inner.portMapping = PortMappingBehaviour()
    let networks = [
      World.Network(nat: .easy), World.Network(nat: inner, above: 0), World.Network(nat: .easy),
    ]
    let world = World(World.Topology(networks: networks, nodes: [1, 2]), seed: 1)
    Self.talk(world, for: 30)
    #expect(world.nodes[0].mapper.mapping?.isBehindAnotherNAT == true)
    #expect(!world.nodes[0].endpoints.contains { $0.kind == .portMapped })
    #expect(world.oracle.violations == [])
  }
}
