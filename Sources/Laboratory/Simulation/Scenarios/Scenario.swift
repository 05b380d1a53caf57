// SPDX-License-Identifier: Apache-2.0

import Cryptography
import PortMapping
import Timing

/// A topology, and what happens in it: while it lasts everything may break, afterwards all must be well.
package struct Scenario: Hashable, Sendable {
  /// A change, and when.
  package struct Planned: Hashable, Sendable {
    /// After how long.
    package var after: Duration
    /// What.
    package var change: Change
  }

  /// How long the nodes have before anything breaks.
  static let start = Duration.seconds(20)
  /// How long things break and heal.
  static let unrest = Duration.seconds(120)
  /// Until when after that every permitted pair must talk: a lost connection to a relay is noticed
  /// after two minutes at the latest, if nothing is sent over it.
  package static let recovery = Duration.seconds(180)
  /// How long pairs are watched after that.
  static let watch = Duration.seconds(30)
  /// How long nobody talks at the end, before and while economy is measured.
  static let calm = Duration.seconds(300)

  /// What the world is made of.
  package var topology: World.Topology
  /// What happens.
  package var changes: [Planned]

  /// The scenario that a seed stands for.
  package init(seed: UInt64) {
    var random = Entropy(seed: seed ^ 0x5EED)
    topology = Self.topology(using: &random)
    changes = []
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      changes += Self.trouble(in: topology, using: &random)
    }
    changes.sort { $0.after < $1.after }
    var services = Entropy(seed: seed ^ 0x9A99)
    for index in topology.networks.indices {
      topology.networks[index].nat?.portMapping = Self.portMapping(using: &services)
    }
  }

  /// A scenario of one's own.
  package init(topology: World.Topology, changes: [Planned]) {
    (self.topology, self.changes) = (topology, changes)
  }

  private static func topology(using random: inout Entropy) -> World.Topology {
    var networks: [World.Network] = []
    for _ in 0..<Int.random(in: 2...4, using: &random) {
      let inner = networks.indices.filter { networks[$0].nat != nil && networks[$0].above == nil }
      let above = chance(15, &random) ? inner.randomElement(using: &random) : nil
      let uplink = LinkConditions(
        latency: .milliseconds(Int.random(in: 2...60, using: &random)),
        jitter: .milliseconds(Int.random(in: 0...10, using: &random)),
        lossPerMille: chance(30, &random) ? Int.random(in: 1...100, using: &random) : 0,
        duplicatesPerMille: chance(20, &random) ? 20 : 0,
        latePerMille: chance(20, &random) ? 20 : 0
      )
      var line = uplink
      if chance(20, &random) { line.mtu = pick(Self.narrow, &random) }
      networks.append(
        World.Network(
          nat: above == nil && chance(15, &random) ? nil : behaviour(using: &random),
          above: above,
          hasV6: above == nil && chance(30, &random),
          uplink: line
        )
      )
    }
    let nodes = (0..<Int.random(in: 2...5, using: &random)).map { _ in
      Int.random(in: networks.indices, using: &random)
    }
    return World.Topology(
      networks: networks,
      nodes: nodes,
      relays: Int.random(in: 1...3, using: &random),
      peerRelays: nodes.indices.filter { _ in chance(25, &random) }
    )
  }

  /// What lines carry that carry less than others.
  private static let narrow = [576, 700, 900, 1100, 1280, 1320, 1400, 1492]

  private static func behaviour(using random: inout Entropy) -> NATBehaviour {
    NATBehaviour(
      mapping: pick(NATBehaviour.Dependence.allCases, &random),
      filtering: pick(NATBehaviour.Dependence.allCases, &random),
      allocation: pick(NATBehaviour.PortAllocation.allCases, &random),
      expiry: .seconds(pick([30, 60, 120, 300], &random)),
      isRefreshedInbound: chance(70, &random),
      hairpins: chance(30, &random)
    )
  }

  /// What a router offers: mostly nothing, often the truth, sometimes lies.
  private static func portMapping(using random: inout Entropy) -> PortMappingBehaviour? {
    guard chance(45, &random) else { return nil }
    let honesty = pick(PortMappingBehaviour.Honesty.allCases, &random)
    return PortMappingBehaviour(
      services: pick([[.pcp], [.pmp], [.pcp, .pmp]], &random),
      honesty: chance(60, &random) ? .honest : honesty,
      lifetime: .seconds(pick([60, 600, 7200], &random))
    )
  }

  /// One thing that breaks, and its healing where it does not stay.
  private static func trouble(
    in topology: World.Topology,
    using random: inout Entropy
  ) -> [Planned] {
    let begins = start + .seconds(Int.random(in: 0..<80, using: &random))
    let ends = begins + .seconds(Int.random(in: 1...40, using: &random))
    let node = Int.random(in: topology.nodes.indices, using: &random)
    let other = (node + 1) % topology.nodes.count
    let network = Int.random(in: topology.networks.indices, using: &random)
    let relay = Int.random(in: 0..<topology.relays, using: &random)
    let isBehind = topology.networks[network].nat != nil
    func lasting(_ change: Change) -> [Planned] { [Planned(after: begins, change: change)] }
    func passing(_ change: Change, _ healing: Change) -> [Planned] {
      [Planned(after: begins, change: change), Planned(after: ends, change: healing)]
    }
    switch Int.random(in: 0..<14, using: &random) {
    case 0: return lasting(.roam(node: node, to: network))
    case 1: return passing(.link(node: node, isUp: false), .link(node: node, isUp: true))
    case 2: return passing(.sleep(node: node, true), .sleep(node: node, false))
    case 3:
      return lasting(.clock(node: node, by: .seconds(Int.random(in: -7200...7200, using: &random))))
    case 4: return isBehind ? lasting(.routerRestart(network: network)) : []
    case 5: return isBehind ? lasting(.routerMove(network: network)) : []
    case 13:
      return isBehind ? lasting(.mtu(network: network, pick(narrow, &random))) : []
    case 6:
      guard isBehind else { return [] }
      return passing(.blockUDP(network: network, true), .blockUDP(network: network, false))
    case 7:
      guard isBehind else { return [] }
      return passing(.uplink(network: network, isUp: false), .uplink(network: network, isUp: true))
    case 8:
      return passing(
        .cut(node: node, other: other, true),
        .cut(node: node, other: other, false)
      )
    case 9: return passing(.relay(relay, isUp: false), .relay(relay, isUp: true))
    case 10: return passing(.coordination(isUp: false), .coordination(isUp: true))
    case 11:
      let bad = LinkConditions(
        latency: .milliseconds(Int.random(in: 1...300, using: &random)),
        jitter: .milliseconds(30),
        lossPerMille: Int.random(in: 20...400, using: &random)
      )
      let good = LinkConditions(latency: .milliseconds(1))
      return passing(.conditions(node: node, bad), .conditions(node: node, good))
    default:
      return topology.nodes.count > 2 && chance(30, &random)
        ? lasting(.remove(node: node))
        : passing(.shields(node: node, true), .shields(node: node, false))
    }
  }

  private static func chance(_ percent: Int, _ random: inout Entropy) -> Bool {
    Int.random(in: 0..<100, using: &random) < percent
  }

  private static func pick<Value>(_ values: [Value], _ random: inout Entropy) -> Value {
    values[Int.random(in: values.indices, using: &random)]
  }
}
