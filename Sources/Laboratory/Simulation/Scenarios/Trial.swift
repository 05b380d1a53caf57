// SPDX-License-Identifier: Apache-2.0

package import Timing

/// One run of a scenario, and what is to be said of it.
package struct Trial: Sendable {
  /// What was found wrong; empty when all is well.
  package private(set) var violations: [String] = []
  /// How many questions were asked and answered.
  package private(set) var talks = (asked: 0, answered: 0)
  /// How many pairs ended with a direct path, and how many with a relayed one.
  package private(set) var pairs = (direct: 0, relayed: 0)
  /// How many of those with a relayed one ended at a node that carries their packets.
  package private(set) var carried = 0

  /// As many bytes as fit the tunnel, without the headers of IPv4 and UDP.
  static let largest = 1280 - 28

  /// A node that nobody talks to sends at most this many discovery messages a minute.
  static let discoveryBudget = 0
  /// A node that nobody talks to begins at most this many handshakes a minute.
  static let handshakeBudget = 0
  /// A node that nobody talks to asks at most this many STUN servers a minute.
  static let stunBudget = 0
  /// A node that nobody talks to is woken by its timers at most this often a minute.
  static let wakeupBudget = 2
  /// A node sends at most this many messages to its router a minute, whatever that answers.
  static let mapperMessageBudget = 20
  /// The part of a node that asks for ports is woken at most this often a minute.
  static let mapperWakeupBudget = 14

  /// Runs a scenario with a seed, and judges.
  package init(_ scenario: Scenario, seed: UInt64, trace: ((Instant, String) -> Void)? = nil) {
    let world = World(scenario.topology, seed: seed)
    world.trace = trace
    let begin = world.now
    for planned in scenario.changes { world.plan(planned.change, after: planned.after) }
    let pairs = Self.pairs(scenario.topology.nodes.count)
    let restless = Scenario.start + Scenario.unrest + Scenario.recovery
    Self.planTalks(in: world, among: pairs, from: .seconds(5), until: restless, every: .seconds(3))
    world.run(until: begin + restless)
    let watchedFrom = world.oracle.talks.count
    Self.planTalks(in: world, among: pairs, from: .zero, until: Scenario.watch, every: .seconds(1))
    Self.planTalks(
      in: world,
      among: pairs,
      size: Self.largest,
      from: .milliseconds(500),
      until: Scenario.watch,
      every: .seconds(1)
    )
    world.run(for: Scenario.watch + .seconds(5))
    judgeLiveness(of: pairs, in: world, since: watchedFrom)
    judgeEconomy(of: world)
    violations += world.oracle.violations
    talks.asked = world.oracle.talks.count
    talks.answered = world.oracle.talks.count { $0.answeredAt != nil }
  }

  private static func pairs(_ count: Int) -> [(Int, Int)] {
    (0..<count).flatMap { one in (0..<count).filter { $0 != one }.map { (one, $0) } }
  }

  private static func planTalks(
    in world: World,
    among pairs: [(Int, Int)],
    size: Int = 0,
    from: Duration,
    until: Duration,
    every: Duration
  ) {
    var at = from
    while at < until {
      for (one, other) in pairs { world.planTalk(from: one, to: other, size: size, after: at) }
      at = at + every
    }
  }

  /// Every permitted pair talks, directly exactly where its NATs allow it.
  private mutating func judgeLiveness(
    of pairs: [(Int, Int)],
    in world: World,
    since first: Int
  ) {
    // A question and its answer may pass every line that loses packets.
    let arriving = world.topology.networks.reduce(1.0) { share, network in
      let passing = 1 - Double(network.uplink.lossPerMille) / 1000
      return share * passing * passing
    }
    for (one, other) in pairs where !world.oracle.isRemoved(one) && !world.oracle.isRemoved(other) {
      let all = world.oracle.talks[first...].filter { $0.from == one && $0.to == other }
      let watched = all.filter { $0.size == 0 }
      let large = all.filter { $0.size > 0 }
      let answered = watched.filter { $0.answeredAt != nil }
      // Where much is lost a path is doubted now and then; what counts is that it is found again.
      let isDirect = watched.contains(where: \.wasDirect)
      let expected = world.expectation(one, other)
      if isDirect { self.pairs.direct += 1 } else { self.pairs.relayed += 1 }
      if Double(answered.count * 2) < Double(watched.count) * arriving {
        violations.append(
          "node\(one) asked node\(other) \(watched.count) times in peace, answered: \(answered.count)"
        )
      }
      let heard = large.count { $0.answeredAt != nil }
      if heard * 2 < large.count {
        violations.append(
          "node\(one) asked node\(other) \(large.count) large questions in peace, answered: \(heard)"
        )
      }
      let isCarried = all.contains { $0.way == .carried }
      if isCarried { carried += 1 }
      if expected == .relayed, !isCarried, world.canBeCarried(between: one, other) {
        violations.append(
          "node\(one) and node\(other) talk over DERP, though a node would carry it"
        )
      }
      if isCarried, world.topology.peerRelays.isEmpty {
        violations.append("node\(one) is carried to node\(other) by nobody")
      }
      if expected == .direct, !isDirect {
        world.tellPath(from: one, to: other)
        violations.append("node\(one) has no direct path to node\(other), though the NATs allow it")
      }
      if expected == .relayed, isDirect {
        violations.append("node\(one) has a direct path to node\(other), which cannot be")
      }
    }
  }

  /// Nodes that nobody talks to are quiet.
  private mutating func judgeEconomy(of world: World) {
    world.run(for: Scenario.calm)
    let before = world.topology.nodes.indices.map { world.economy(of: $0) }
    world.run(for: Scenario.calm)
    let minutes = Int(Scenario.calm.components.seconds / 60)
    for node in world.topology.nodes.indices {
      let spent = world.economy(of: node) - before[node]
      for (what, count, budget) in [
        ("discovery messages", spent.discoveryMessages, Self.discoveryBudget),
        ("handshakes", spent.handshakes, Self.handshakeBudget),
        ("requests to STUN servers", spent.stunRequests, Self.stunBudget),
        ("wake-ups", spent.wakeups, Self.wakeupBudget),
        ("messages to the router", spent.mapperMessages, Self.mapperMessageBudget),
        ("wake-ups for the router", spent.mapperWakeups, Self.mapperWakeupBudget),
      ] where count > budget * minutes {
        violations.append("node\(node) is idle: \(count) \(what) in \(minutes) minutes")
      }
    }
  }
}
