// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import Testing
import Timing

@Suite("Routes and who serves them")
struct RoutingTests {
  private static func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

  /// A network with a viewer (1) and two routers (2, 3) that offer `routes`; all are connected.
  private func network(_ routes: [String], policy: String? = nil) throws -> World {
    var world = World()
    let user = try world.user()
    let prefixes = try routes.map(Self.prefix)
    for name in ["viewer", "one", "two"] {
      var machine = world.machine(name)
      if name != "viewer" { machine.hostinfo.routableIPs = prefixes }
      let node = try world.joined(machine, of: user)
      world.act { $0.connected(node.id, at: $1, into: &$3) }
    }
    if let policy {
      _ = try world.act { try $0.setPolicy(policy, by: "test", at: $1, into: &$3) }
    }
    return world
  }

  private func approve(_ world: inout World, _ id: Int64, _ change: RouteChange) throws {
    _ = try world.act {
      try $0.approveRoutes(of: NodeID(id), change, by: "test", at: $1, into: &$3)
    }
  }

  /// What the viewer is told of a router: what it may send to it, and its subnets.
  private func told(
    _ world: inout World,
    of id: Int64
  ) throws -> (allowed: [String], primary: [String]) {
    world.act { $0.refreshAccess(at: $1, into: &$3) }
    let map = try #require(MapBuilder(world.tailnet).full(for: NodeID(1), at: world.now))
    let peer = try #require(map.peers.first { $0.id == id })
    let allowed = try #require(peer.allowedIPs).filter { !peer.addresses.contains($0) }
    return (allowed.map(\.description).sorted(), peer.primaryRoutes.map(\.description).sorted())
  }

  /// What the viewer is told has changed since a number of the log.
  private func changed(_ world: inout World, since: Int64) throws -> Set<Int64> {
    world.act { $0.refreshAccess(at: $1, into: &$3) }
    let changes = world.tailnet.changes.changes(after: since, through: world.tailnet.changes.head)
    let told = world.tailnet.access?.audience(of: NodeID(1))
    let summary = ChangeSummary(try #require(changes))
    switch MapBuilder(world.tailnet).delta(summary, for: NodeID(1), told: told, at: world.now) {
    case .nothing: return []
    case .own(let response), .shared(let response):
      return Set(response.peersChanged.map(\.id))
    }
  }

  private static let policies: [String?] = [
    nil, #"{"grants": [{"src": ["*"], "dst": ["*", "10.0.0.0/8"], "ip": ["*"]}]}"#,
  ]

  @Test(
    "A route that is offered does nothing until it is approved, and nothing once it is revoked",
    arguments: policies
  )
  func approval(policy: String?) throws {
    var world = try network(["10.1.0.0/16"], policy: policy)
    #expect(try told(&world, of: 2).allowed.isEmpty)
    var before = world.tailnet.changes.head
    try approve(&world, 2, .replace([try Self.prefix("10.1.0.0/16")]))
    #expect(try changed(&world, since: before) == [2])
    #expect(try told(&world, of: 2) == (["10.1.0.0/16"], ["10.1.0.0/16"]))
    before = world.tailnet.changes.head
    try approve(&world, 2, .remove([try Self.prefix("10.1.0.0/16")]))
    #expect(try changed(&world, since: before) == [2])
    #expect(try told(&world, of: 2) == ([], []))
  }

  @Test(
    "Another router takes over when one goes, and keeps the subnet when it comes back",
    arguments: policies
  )
  func failover(policy: String?) throws {
    var world = try network(["10.1.0.0/16"], policy: policy)
    let route = RouteChange.replace([try Self.prefix("10.1.0.0/16")])
    try approve(&world, 2, route)
    try approve(&world, 3, route)
    #expect(try told(&world, of: 2).allowed == ["10.1.0.0/16"])
    #expect(try told(&world, of: 3).allowed.isEmpty)
    let before = world.tailnet.changes.head
    world.act { tailnet, now, _, _ in tailnet.disconnected(NodeID(2), at: now) }
    #expect(try told(&world, of: 2).allowed == ["10.1.0.0/16"])
    world.advance(by: .seconds(11))
    #expect(try told(&world, of: 2).allowed.isEmpty)
    #expect(try told(&world, of: 3) == (["10.1.0.0/16"], ["10.1.0.0/16"]))
    #expect(try changed(&world, since: before).isSuperset(of: [2, 3]))
    world.act { $0.connected(NodeID(2), at: $1, into: &$3) }
    #expect(try told(&world, of: 2).allowed.isEmpty)
    #expect(try told(&world, of: 3).allowed == ["10.1.0.0/16"])
    // Its key ends, its approval is taken back, it is deleted: each time the other takes over.
    _ = try world.act {
      try $0.expireNode(NodeID(3), at: $1.time, by: "test", at: $1, into: &$3)
    }
    #expect(try told(&world, of: 2).allowed == ["10.1.0.0/16"])
    _ = try world.act { try $0.expireNode(NodeID(3), at: nil, by: "test", at: $1, into: &$3) }
    _ = try world.act { try $0.authorizeNode(NodeID(2), false, by: "test", at: $1, into: &$3) }
    #expect(try told(&world, of: 3).allowed == ["10.1.0.0/16"])
    _ = try world.act { try $0.authorizeNode(NodeID(2), true, by: "test", at: $1, into: &$3) }
    try world.act { try $0.deleteNode(NodeID(3), by: "test", at: $1, into: &$3) }
    #expect(try told(&world, of: 2).allowed == ["10.1.0.0/16"])
  }

  @Test(
    "An exit node is approved for both families at once, and several may serve",
    arguments: [
      nil, #"{"grants": [{"src": ["*"], "dst": ["*", "autogroup:internet"], "ip": ["*"]}]}"#,
    ] as [String?]
  )
  func exitNodes(policy: String?) throws {
    var world = try network(["0.0.0.0/0", "::/0"], policy: policy)
    try approve(&world, 2, .add([try Self.prefix("0.0.0.0/0")]))
    try approve(&world, 3, .add([try Self.prefix("::/0")]))
    for id in [2, 3] as [Int64] {
      #expect(try told(&world, of: id) == (["0.0.0.0/0", "::/0"], []))
    }
    try approve(&world, 2, .remove([try Self.prefix("0.0.0.0/0")]))
    #expect(try told(&world, of: 2).allowed.isEmpty)
  }

  @Test("Prefixes that overlap are served each by its own router, and so are the sites of 4via6")
  func overlapping() throws {
    var world = try network(["10.0.0.0/8", "10.1.0.0/16", "fd7a:115c:a1e0:b1a:0:7:a01:0/112"])
    try approve(&world, 2, .add([try Self.prefix("10.0.0.0/8")]))
    try approve(&world, 3, .add([try Self.prefix("10.1.0.0/16")]))
    try approve(&world, 3, .add([try Self.prefix("fd7a:115c:a1e0:b1a:0:7:a01:0/112")]))
    #expect(try told(&world, of: 2).allowed == ["10.0.0.0/8"])
    #expect(try told(&world, of: 3).primary == ["10.1.0.0/16", "fd7a:115c:a1e0:b1a:0:7:a01:0/112"])
  }

  @Test("A policy approves by itself, and who may reach the subnet is told of it, and nobody else")
  func automatic() throws {
    var world = try network(
      ["10.1.0.0/16"],
      policy: """
        {
          "tagOwners": {"tag:router": []},
          "autoApprovers": {"routes": {"10.0.0.0/8": ["tag:router"]}},
          "grants": [{"src": ["alice@"], "dst": ["tag:router"], "ip": ["tcp:22"]},
                     {"src": ["alice@"], "dst": ["10.1.0.0/16"], "ip": ["*"]}],
        }
        """
    )
    #expect(world.tailnet.nodes[NodeID(2)]?.approvedRoutes == [])
    _ = try world.act {
      try $0.tagNode(NodeID(2), with: ["tag:router"], by: "test", at: $1, into: &$3)
    }
    #expect(try told(&world, of: 2).allowed == ["10.1.0.0/16"])
  }

  @Test("What is approved before it is offered is served once it is; what cannot be is refused")
  func before() throws {
    var world = try network(["10.1.0.0/16"])
    try approve(&world, 1, .add([try Self.prefix("10.2.0.1/16")]))
    #expect(world.tailnet.nodes[NodeID(1)]?.approvedRoutes.map(\.description) == ["10.2.0.0/16"])
    #expect(world.tailnet.nodes[NodeID(1)].map(world.tailnet.activeRoutes) == [])
    let many = try (0..<1025).map { try Self.prefix("10.\($0 / 256).\($0 % 256).0/24") }
    #expect(throws: Refusal.self) { try approve(&world, 1, .add(many)) }
  }
}

@Suite("The election of routers")
struct RouteTableTests {
  @Test(
    "Of many routers that come and go at random, one that is connected serves each subnet, and changes only when it must"
  )
  func random() throws {
    var random = SystemRandomNumberGenerator()
    let seed = UInt64.random(in: 0...UInt64.max, using: &random)
    var state = seed
    func next(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let prefixes = try ["10.0.0.0/8", "10.1.0.0/16", "fd00::/48"].map { try #require(IPPrefix($0)) }
    var table = RouteTable()
    var nodes: [NodeID: (serves: [IPPrefix], isUp: Bool)] = [:]
    for _ in 0..<3_000 {
      let node = NodeID(Int64(next(5) + 1))
      let serves = prefixes.filter { _ in next(2) == 0 }
      let isUp = next(3) > 0
      let before = prefixes.map { table.primary(of: $0) }
      let changed = table.set(node, serves: serves, isConnected: isUp)
      nodes[node] = (serves, isUp)
      for (prefix, old) in zip(prefixes, before) {
        let candidates = nodes.filter { $0.value.serves.contains(prefix) }
        let connected = candidates.filter(\.value.isUp).keys
        let new = table.primary(of: prefix)
        #expect(new.map { candidates[$0] != nil } ?? candidates.isEmpty, "seed \(seed)")
        if !connected.isEmpty { #expect(new.map(connected.contains) == true, "seed \(seed)") }
        if let old, connected.contains(old) { #expect(new == old, "seed \(seed)") }
        if new != old { #expect(!Set([old, new].compactMap(\.self)).isDisjoint(with: changed)) }
      }
    }
  }
}
