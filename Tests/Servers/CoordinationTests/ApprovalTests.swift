// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import Coordination
import Cryptography
import Keys
import Testing
import Timing

@Suite("Approval of nodes")
struct ApprovalTests {
  private func delta(_ world: World, since: Int64, for node: NodeID) throws -> MapResponse {
    let changes = try #require(
      world.tailnet.changes.changes(after: since, through: world.tailnet.changes.head)
    )
    switch MapBuilder(world.tailnet).delta(ChangeSummary(changes), for: node, at: world.now) {
    case .nothing: return MapResponse()
    case .own(let response), .shared(let response): return response
    }
  }

  @Test(
    "Where nodes need approval, one that joins sees nobody and is seen by nobody until it has it"
  )
  func waits() throws {
    var world = World { $0.needsApproval = true }
    let user = try world.user()
    let key = try world.key(for: user, reusable: true)
    let (one, two) = (world.machine("one"), world.machine("two"))
    var answers = [try world.answer(one, key: key), try world.answer(two, key: key)]
    #expect(answers.allSatisfy { !$0.machineAuthorized && $0.error.isEmpty })
    let first = try #require(world.tailnet.node(with: one.nodeKey))
    let second = try #require(world.tailnet.node(with: two.nodeKey))
    let map = try #require(MapBuilder(world.tailnet).full(for: first.id, at: world.now))
    #expect(map.peers.isEmpty && map.node?.machineAuthorized == false)
    #expect(map.packetFilters["base"]??.isEmpty == true)
    _ = try world.act {
      try $0.authorizeNode(first.id, true, by: "test", at: $1, into: &$3)
    }
    let alone = try #require(MapBuilder(world.tailnet).full(for: first.id, at: world.now))
    #expect(alone.peers.isEmpty && alone.node?.machineAuthorized == true)
    let before = world.tailnet.changes.head
    _ = try world.act {
      try $0.authorizeNode(second.id, true, by: "test", at: $1, into: &$3)
    }
    #expect(try delta(world, since: before, for: first.id).peersChanged.map(\.id) == [2])
    let told = try delta(world, since: before, for: second.id)
    #expect(told.peers.map(\.id) == [1] && told.node?.machineAuthorized == true)
    answers = [try world.answer(one)]
    #expect(answers[0].machineAuthorized)
  }

  @Test("What is withheld again is gone for the others at once, and they for it")
  func withheld() throws {
    var world = World()
    let user = try world.user()
    let first = try world.joined(world.machine("one"), of: user)
    let second = try world.joined(world.machine("two"), of: user)
    let before = world.tailnet.changes.head
    _ = try world.act { try $0.authorizeNode(second.id, false, by: "test", at: $1, into: &$3) }
    #expect(try delta(world, since: before, for: first.id).peersRemoved == [2])
    let told = try delta(world, since: before, for: second.id)
    #expect(told.peersRemoved == [1] && told.node?.machineAuthorized == false)
    #expect(told.packetFilters["base"]??.isEmpty == true)
    // What it tells of itself meanwhile reaches nobody.
    let quiet = world.tailnet.changes.head
    world.act { $0.connected(second.id, at: $1, into: &$3) }
    world.advance(by: .seconds(1))
    #expect(world.tailnet.changes.head == quiet)
    _ = try world.act { try $0.authorizeNode(second.id, true, by: "test", at: $1, into: &$3) }
    #expect(try delta(world, since: before, for: first.id).peersChanged.map(\.id) == [2])
    #expect(try delta(world, since: before, for: first.id).peersRemoved.isEmpty)
  }

  @Test("A key that approves, and an administrator who lets a machine in, spare the waiting")
  func spared() throws {
    var world = World { $0.needsApproval = true }
    let user = try world.user()
    let text = try world.act {
      try $0.createKey(
        user: user.id,
        isPreauthorized: true,
        expiry: nil,
        by: "test",
        at: $1,
        using: &$2,
        into: &$3
      ).1.text
    }
    let byKey = try world.answer(world.machine("one"), key: text)
    #expect(byKey.machineAuthorized)
    let machine = world.machine("two")
    let url = try world.answer(machine).authURL
    let id = try #require(url.split(separator: "/").last.flatMap { LoginID($0) })
    let node = try world.act {
      try $0.approve(id, user: user.id, tags: [], by: "test", at: $1, using: &$2, into: &$3)
    }
    #expect(node.isAuthorized)
  }

  @Test("A new key of an approved machine needs no new approval; a new owner does")
  func renewal() throws {
    var world = World { $0.needsApproval = true }
    let user = try world.user()
    let other = try world.user("bob")
    var machine = world.machine("one")
    _ = try world.answer(machine, key: try world.key(for: user))
    let node = try #require(world.tailnet.node(with: machine.nodeKey))
    _ = try world.act { try $0.authorizeNode(node.id, true, by: "test", at: $1, into: &$3) }
    let old = machine.nodeKey
    machine.rotate(using: &world.entropy)
    // While nobody has let the new key in, the old one is in use.
    let url = try world.answer(machine).authURL
    #expect(!url.isEmpty && world.tailnet.node(with: old)?.mayTalk(at: world.now.time) == true)
    #expect(try world.answer(machine, key: try world.key(for: user)).machineAuthorized)
    #expect(world.tailnet.node(with: old) == nil)
    machine.rotate(using: &world.entropy)
    #expect(try !world.answer(machine, key: try world.key(for: other)).machineAuthorized)
  }

  @Test("One user owns the network: whoever did before administers it, and cannot be deleted")
  func roles() throws {
    var world = World()
    let (alice, bob) = (try world.user(), try world.user("bob"))
    #expect(alice.role == .owner && bob.role == .member)
    _ = try world.act { try $0.setRole(.auditor, of: bob.id, by: "test", at: $1, into: &$3) }
    #expect(throws: Refusal.self) {
      try world.act { try $0.setRole(.member, of: alice.id, by: "test", at: $1, into: &$3) }
    }
    #expect(throws: Refusal.self) {
      try world.act { try $0.deleteUser(alice.id, by: "test", at: $1, into: &$3) }
    }
    _ = try world.act { try $0.setRole(.owner, of: bob.id, by: "test", at: $1, into: &$3) }
    #expect(world.tailnet.users[alice.id]?.role == .admin)
    #expect(world.tailnet.users[bob.id]?.role == .owner)
    try world.act { try $0.deleteUser(alice.id, by: "test", at: $1, into: &$3) }
  }
}
