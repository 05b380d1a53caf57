// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import Keys
import Testing
import Timing

@Suite("What nodes are told")
struct MapBuilderTests {
  /// A network of three nodes, all connected, and the number of its youngest change.
  private static func three() throws -> (World, [Machine], [NodeRecord]) {
    var world = World()
    let user = try world.user()
    let machines = ["one", "two", "three"].map { world.machine($0) }
    var nodes: [NodeRecord] = []
    for machine in machines {
      nodes.append(try world.joined(machine, of: user))
      world.act { $0.connected(nodes[nodes.count - 1].id, at: $1, into: &$3) }
    }
    return (world, machines, nodes)
  }

  @Test("The first response says everything, and of the receiver only as itself")
  func full() throws {
    let (world, machines, nodes) = try Self.three()
    let builder = MapBuilder(world.tailnet)
    let response = try #require(builder.full(for: nodes[1].id, at: world.now))
    #expect(response.node?.key == machines[1].nodeKey)
    #expect(response.peers.map(\.key) == [machines[0].nodeKey, machines[2].nodeKey])
    #expect(response.packetFilters["base"]??.count == 1 && response.derpMap != nil)
    #expect(response.domain == "lab.example" && response.dnsConfig != nil)
    #expect(response.userProfiles.map(\.loginName) == ["alice"])
    #expect(builder.full(for: NodeID(99), at: world.now) == nil)
  }

  @Test("Those whom a change does not concern are told the same words")
  func shared() throws {
    let (made, machines, nodes) = try Self.three()
    var world = made
    let head = world.tailnet.changes.head
    world.update(machines[0]) { $0.endpoints = [Endpoint("192.0.2.1:1")].compactMap(\.self) }
    let summary = try world.summary(after: head)
    let builder = MapBuilder(world.tailnet)
    for node in nodes[1...] {
      guard case .shared(let response) = builder.delta(summary, for: node.id, at: world.now) else {
        Issue.record("not shared")
        continue
      }
      #expect(response.peersChangedPatch.map(\.nodeID) == [nodes[0].id.rawValue])
      #expect(response.peersChanged.isEmpty && response.node == nil)
    }
    guard case .nothing = builder.delta(summary, for: nodes[0].id, at: world.now) else {
      Issue.record("a node was told of its own endpoints")
      return
    }
  }

  @Test("Nobody is told of a patch to itself, alone or beside others")
  func ownPatch() throws {
    let (made, machines, nodes) = try Self.three()
    var world = made
    let head = world.tailnet.changes.head
    for machine in machines[..<2] {
      world.update(machine) { $0.endpoints = [Endpoint("192.0.2.1:1")].compactMap(\.self) }
    }
    let summary = try world.summary(after: head)
    let builder = MapBuilder(world.tailnet)
    for (index, others) in [[1], [0], [0, 1]].enumerated() {
      let told: [Int64]
      switch builder.delta(summary, for: nodes[index].id, at: world.now) {
      case .nothing: told = []
      case .own(let response), .shared(let response):
        told = response.peersChangedPatch.map(\.nodeID)
      }
      #expect(told == others.map { nodes[$0].id.rawValue })
    }
  }

  @Test("A new discovery key comes with news of when its node was seen")
  func discoKey() throws {
    var world = World()
    let user = try world.user()
    let (watcher, machine) = (world.machine("watcher"), world.machine("one"))
    let receiver = try world.joined(watcher, of: user)
    let node = try world.joined(machine, of: user)
    var head = world.tailnet.changes.head
    let keys = (0..<2).map { _ in DiscoPrivateKey.generate(using: &world.entropy).publicKey }
    world.update(machine) { $0.discoKey = keys[0] }
    let told = try world.patch(of: node.id, for: receiver.id, after: head)
    #expect(told.discoKey == keys[0] && told.online == false && told.lastSeen == world.now.time)
    world.act { $0.connected(node.id, at: $1, into: &$3) }
    head = world.tailnet.changes.head
    world.update(machine) { $0.discoKey = keys[1] }
    let next = try world.patch(of: node.id, for: receiver.id, after: head)
    #expect(next.discoKey == keys[1] && next.online == true && next.lastSeen == nil)
  }

  @Test("What a patch cannot say is said by the whole node")
  func wholeNode() throws {
    let (made, machines, nodes) = try Self.three()
    var world = made
    let head = world.tailnet.changes.head
    world.update(machines[0]) { $0.hostinfo?.hostname = "other" }
    let summary = try world.summary(after: head)
    let builder = MapBuilder(world.tailnet)
    guard case .shared(let response) = builder.delta(summary, for: nodes[1].id, at: world.now)
    else {
      Issue.record("not shared")
      return
    }
    #expect(response.peersChanged.map(\.name) == ["other.lab.example."])
    guard case .own(let own) = builder.delta(summary, for: nodes[0].id, at: world.now) else {
      Issue.record("a node was not told its new name")
      return
    }
    #expect(own.node?.name == "other.lab.example." && own.peersChanged.isEmpty)
  }

  @Test("Who is locked out is told so once, then nothing, and everything when let in again")
  func lockedOut() throws {
    let (made, machines, nodes) = try Self.three()
    var world = made
    func told(_ index: Int, after head: Int64) throws -> MapDelta {
      let summary = try world.summary(after: head)
      return MapBuilder(world.tailnet).delta(summary, for: nodes[index].id, at: world.now)
    }
    var head = world.tailnet.changes.head
    let now = world.now.time
    try world.act { _ = try $0.expireNode(nodes[0].id, at: now, by: "test", at: $1, into: &$3) }
    guard case .own(let out) = try told(0, after: head) else { throw Unexpected() }
    #expect(out.peersRemoved == nodes[1...].map(\.id.rawValue))
    #expect(out.packetFilters["base"]??.isEmpty == true && out.node?.expired == true)
    guard case .shared(let others) = try told(1, after: head) else { throw Unexpected() }
    #expect(others.peersChanged.map(\.expired) == [true])
    head = world.tailnet.changes.head
    world.update(machines[1]) { $0.hostinfo?.hostname = "secret" }
    guard case .nothing = try told(0, after: head) else { throw Unexpected() }
    try world.act { _ = try $0.expireNode(nodes[0].id, at: nil, by: "test", at: $1, into: &$3) }
    guard case .own(let again) = try told(0, after: head) else { throw Unexpected() }
    #expect(again.peers.count == 2 && again.packetFilters["base"]??.count == 1)
  }
}

extension World {
  /// A request by which a node tells of itself.
  mutating func update(_ machine: Machine, _ change: (inout MapRequest) -> Void) {
    var request = MapRequest()
    request.version = 138
    request.nodeKey = machine.nodeKey
    request.hostinfo = machine.hostinfo
    request.omitPeers = true
    change(&request)
    let outcome = act { tailnet, now, _, effects in
      tailnet.update(by: request, from: machine.machineKey, at: now, into: &effects)
    }
    guard case .accepted = outcome else {
      Issue.record("the update was refused: \(outcome)")
      return
    }
  }

  /// What happened since change `head`.
  func summary(after head: Int64) throws -> ChangeSummary {
    ChangeSummary(
      try #require(tailnet.changes.changes(after: head, through: tailnet.changes.head))
    )
  }

  /// The patch of `node` that `receiver` is told of what happened since change `head`.
  func patch(of node: NodeID, for receiver: NodeID, after head: Int64) throws -> PeerChange {
    let told = MapBuilder(tailnet).delta(try summary(after: head), for: receiver, at: now)
    guard case .shared(let response) = told else { throw Unexpected() }
    return try #require(response.peersChangedPatch.first { $0.nodeID == node.rawValue })
  }
}
