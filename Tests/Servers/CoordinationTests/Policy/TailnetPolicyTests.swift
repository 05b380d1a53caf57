// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import JSON
import Testing

@Suite("A network with a policy")
struct TailnetPolicyTests {
  /// A network of `count` nodes of one user, and `tagged` with the tag.
  private func world(count: Int, tagged: Int) throws -> (World, [NodeID], [NodeID]) {
    var world = World()
    let user = try world.user("ann")
    let key = try world.key(for: user, reusable: true)
    let tagKey = try world.key(for: user, reusable: true, tags: ["tag:t"])
    var (plain, special): ([NodeID], [NodeID]) = ([], [])
    for _ in 0..<count {
      let machine = world.machine("plain")
      _ = try world.answer(machine, key: key)
      plain.append(try #require(world.tailnet.node(with: machine.nodeKey)).id)
    }
    for _ in 0..<tagged {
      let machine = world.machine("tagged")
      _ = try world.answer(machine, key: tagKey)
      special.append(try #require(world.tailnet.node(with: machine.nodeKey)).id)
    }
    return (world, plain, special)
  }

  private func set(_ text: String, in world: inout World) throws {
    _ = try world.act { try $0.setPolicy(text, by: "test", at: $1, into: &$3) }
  }

  private func refresh(_ world: inout World) {
    world.act { $0.refreshAccess(at: $1, into: &$3) }
  }

  private static func policy(_ port: Int) -> String {
    """
    {"tagOwners": {"tag:t": []}, "grants": [
      {"src": ["autogroup:member"], "dst": ["autogroup:member"], "ip": ["443"]},
      {"src": ["tag:t"], "dst": ["tag:t"], "ip": ["\(port)"]}]}
    """
  }

  @Test("A change that touches one tag of 20 nodes works those out anew, and no others")
  func counters() throws {
    var (world, _, _) = try world(count: 180, tagged: 20)
    try set(Self.policy(22), in: &world)
    let before = world.tailnet.policyCounters
    try set(Self.policy(23), in: &world)
    let after = world.tailnet.policyCounters
    #expect(after.compilations == before.compilations + 1)
    #expect(after.examined == before.examined + 20)
    #expect(after.changed == before.changed + 20)
  }

  @Test("A node is told what it lets in and whom it sees, and the difference when it changes")
  func deltas() throws {
    var (world, plain, special) = try world(count: 3, tagged: 2)
    try set(Self.policy(22), in: &world)
    let builder = MapBuilder(world.tailnet)
    let full = try #require(builder.full(for: plain[0], at: world.now))
    #expect(full.peers.map(\.id) == [plain[1], plain[2]].map(\.rawValue))
    let rule = try #require(full.packetFilters["base"]??.first)
    #expect(rule.dstPorts.first?.ports == PortRange(first: 443, last: 443))
    let told = builder.audience(of: plain[0])
    let head = world.tailnet.changes.head
    try set(
      """
      {"tagOwners": {"tag:t": []}, "grants": [
        {"src": ["autogroup:member"], "dst": ["tag:t"], "ip": ["443"]}]}
      """,
      in: &world
    )
    let changes = try #require(
      world.tailnet.changes.changes(after: head, through: world.tailnet.changes.head)
    )
    let delta = MapBuilder(world.tailnet).delta(
      ChangeSummary(changes),
      for: plain[0],
      told: told,
      at: world.now
    )
    guard case .own(let response) = delta else {
      Issue.record("nothing of its own")
      return
    }
    #expect(response.peersChanged.map(\.id) == special.map(\.rawValue))
    #expect(response.peersRemoved == [plain[1], plain[2]].map(\.rawValue))
    #expect(response.packetFilters["base"]??.isEmpty == true)
  }

  @Test("What does not concern a node's own rules is shared by all who see the same")
  func sharing() throws {
    var (world, plain, _) = try world(count: 4, tagged: 2)
    try set(Self.policy(22), in: &world)
    let told = MapBuilder(world.tailnet).audience(of: plain[0])
    #expect(told == MapBuilder(world.tailnet).audience(of: plain[1]))
    let head = world.tailnet.changes.head
    _ = try world.act {
      try $0.renameNode(plain[3], to: "other", by: "test", at: $1, into: &$3)
    }
    refresh(&world)
    #expect(told == MapBuilder(world.tailnet).audience(of: plain[0]))
    let changes = try #require(
      world.tailnet.changes.changes(after: head, through: world.tailnet.changes.head)
    )
    let summary = ChangeSummary(changes)
    let builder = MapBuilder(world.tailnet)
    guard
      case .shared(let first) = builder.delta(summary, for: plain[0], told: told, at: world.now),
      case .shared(let second) = builder.delta(summary, for: plain[1], told: told, at: world.now)
    else {
      Issue.record("not shared")
      return
    }
    #expect(first == second && first.peersChanged.map(\.id) == [plain[3].rawValue])
  }

  @Test("A node that nobody may reach is told to nobody")
  func hidden() throws {
    var (world, plain, special) = try world(count: 2, tagged: 1)
    try set(Self.policy(22), in: &world)
    let told = MapBuilder(world.tailnet).audience(of: plain[0])
    let head = world.tailnet.changes.head
    _ = try world.act {
      try $0.renameNode(special[0], to: "secret", by: "test", at: $1, into: &$3)
    }
    refresh(&world)
    let changes = try #require(
      world.tailnet.changes.changes(after: head, through: world.tailnet.changes.head)
    )
    let delta = MapBuilder(world.tailnet).delta(
      ChangeSummary(changes),
      for: plain[0],
      told: told,
      at: world.now
    )
    guard case .nothing = delta else {
      Issue.record("\(delta)")
      return
    }
  }

  @Test("A wrong policy changes nothing, and the last good one stays")
  func wrong() throws {
    var (world, plain, _) = try world(count: 2, tagged: 1)
    try set(Self.policy(22), in: &world)
    let (version, head) = (world.tailnet.policyVersion, world.tailnet.changes.head)
    for wrong in [
      "{", "{\"acls\": [{\"action\": \"accept\", \"src\": [\"tag:none\"], \"dst\": [\"*:*\"]}]}",
      "{\"acls\": [], \"tests\": [{\"src\": \"ann@\", \"accept\": [\"100.64.0.1:22\"]}]}",
    ] {
      #expect(throws: Refusal.self) { try set(wrong, in: &world) }
    }
    #expect(world.tailnet.policyVersion == version)
    #expect(world.tailnet.changes.head == head)
    #expect(MapBuilder(world.tailnet).full(for: plain[0], at: world.now)?.peers.count == 1)
  }

  @Test("The policy is there again after a restart; one that cannot be read lets nobody through")
  func restart() throws {
    var (world, plain, _) = try world(count: 2, tagged: 1)
    try set(Self.policy(22), in: &world)
    var records = TailnetRecords()
    records.users = Array(world.tailnet.users.values)
    records.nodes = Array(world.tailnet.nodes.values)
    records.policy = world.tailnet.policyVersion
    var again = world
    again.tailnet = Tailnet(options: world.tailnet.options, records: records, at: world.now)
    refresh(&again)
    #expect(MapBuilder(again.tailnet).full(for: plain[0], at: world.now)?.peers.count == 1)
    records.policy?.text = "{\"from\": \"the future\"}"
    again.tailnet = Tailnet(options: world.tailnet.options, records: records, at: world.now)
    refresh(&again)
    #expect(again.tailnet.policyTrouble != nil)
    #expect(MapBuilder(again.tailnet).full(for: plain[0], at: world.now)?.peers.isEmpty == true)
  }

  @Test("Routes are approved when they are announced, and when the policy comes to allow them")
  func approval() throws {
    var (world, plain, special) = try world(count: 1, tagged: 1)
    var node = try #require(world.tailnet.nodes[special[0]])
    func announce(_ routes: [String]) {
      var request = MapRequest()
      request.nodeKey = node.nodeKey
      request.version = 138
      request.hostinfo = node.hostinfo
      request.hostinfo?.routableIPs = routes.compactMap { IPPrefix($0) }
      world.act { (tailnet, now, _, effects) in
        _ = tailnet.update(by: request, from: node.machineKey, at: now, into: &effects)
      }
    }
    announce(["10.1.0.0/16", "192.168.0.0/24"])
    #expect(world.tailnet.nodes[special[0]]?.approvedRoutes == [])
    try set(
      """
      {"tagOwners": {"tag:t": []}, "autoApprovers": {"routes": {"10.0.0.0/8": ["tag:t"]}},
       "acls": [{"action": "accept", "src": ["ann@"], "dst": ["10.1.2.0/24:22"]}]}
      """,
      in: &world
    )
    node = try #require(world.tailnet.nodes[special[0]])
    #expect(node.approvedRoutes.map(\.description) == ["10.1.0.0/16"])
    announce(["10.1.0.0/16", "10.2.0.0/16", "192.168.0.0/24"])
    refresh(&world)
    let routes = world.tailnet.nodes[special[0]]?.approvedRoutes.map(\.description)
    #expect(routes == ["10.1.0.0/16", "10.2.0.0/16"])
    let full = try #require(MapBuilder(world.tailnet).full(for: plain[0], at: world.now))
    let router = try #require(full.peers.first)
    #expect(router.id == special[0].rawValue)
    #expect(router.allowedIPs?.map(\.description).contains("10.1.0.0/16") == true)
    #expect(router.allowedIPs?.map(\.description).contains("10.2.0.0/16") == false)
  }

  @Test("A user may take the tags that the policy lets it own, directly, by a group or by a tag")
  func ownership() throws {
    var world = World()
    let ann = try world.user("ann")
    let bob = try world.user("bob")
    try set(
      """
      {"groups": {"group:g": ["ann@"]},
       "tagOwners": {"tag:a": ["group:g"], "tag:b": ["tag:a"], "tag:c": ["bob@"], "tag:d": []}}
      """,
      in: &world
    )
    let tags = ["tag:a", "tag:b", "tag:c", "tag:d", "tag:none"]
    #expect(world.tailnet.forbiddenTags(tags, for: ann.id) == ["tag:c", "tag:d", "tag:none"])
    #expect(
      world.tailnet.forbiddenTags(tags, for: bob.id) == ["tag:a", "tag:b", "tag:d", "tag:none"]
    )
  }

  @Test("A difference names the pairs that gain and lose access, and with what")
  func difference() throws {
    var (world, _, _) = try world(count: 2, tagged: 2)
    try set(Self.policy(22), in: &world)
    let report = try world.tailnet.difference(from: nil, to: Self.policy(23)).json
    func pairs(_ name: String) -> [String] {
      (report[name]?.array ?? []).map { access in
        let what = (access["access"]?.array ?? []).compactMap(\.string).joined(separator: ",")
        return "\(access["src"]?.string ?? "") \(access["dst"]?.string ?? "") \(what)"
      }
    }
    #expect(pairs("gained") == ["tagged tagged-1 23", "tagged-1 tagged 23"])
    #expect(pairs("lost") == ["tagged tagged-1 22", "tagged-1 tagged 22"])
  }

  @Test("A node that comes in gets its address from the pool of the policy, until that is empty")
  func pools() throws {
    var world = World()
    let user = try world.user("ann")
    try set(
      """
      {"tagOwners": {"tag:t": []},
       "nodeAttrs": [{"target": ["tag:t"], "ipPool": ["100.80.0.0/30"]}]}
      """,
      in: &world
    )
    let tagged = try world.key(for: user, reusable: true, tags: ["tag:t"])
    var addresses: [String] = []
    for _ in 0..<2 {
      let machine = world.machine()
      _ = try world.answer(machine, key: tagged)
      let node = try #require(world.tailnet.node(with: machine.nodeKey))
      addresses.append(node.addresses[0].description)
    }
    #expect(addresses == ["100.80.0.1", "100.80.0.2"])
    let third = world.machine()
    #expect(try world.answer(third, key: tagged).error.contains("ipPool"))
    let plain = try world.joined(world.machine(), of: user)
    #expect(!plain.addresses[0].description.hasPrefix("100.80."))
  }
}
