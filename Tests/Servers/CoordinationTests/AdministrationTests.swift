// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import Cryptography
import Keys
import Testing
import Timing

@Suite("Administration")
struct AdministrationTests {
  @Test("User names are unique whatever their case, and leave an audit row")
  func users() throws {
    var world = World()
    let alice = try world.user("alice")
    #expect(throws: Refusal.self) { try world.user("Alice") }
    let renamed = try world.act {
      try $0.renameUser(alice.id, to: "alicia", by: "uid 0", at: $1, into: &$3)
    }
    #expect(renamed.name == "alicia")
    let audit = world.mutations.compactMap { if case .audit(let entry) = $0 { entry } else { nil } }
    #expect(audit.map(\.action) == ["user.create", "user.rename"])
    #expect(audit.last?.actor == "uid 0")
  }

  @Test("A user with nodes cannot be deleted; one without goes with its keys")
  func deleteUser() throws {
    var world = World()
    let user = try world.user()
    let machine = world.machine()
    let node = try world.joined(machine, of: user)
    #expect(throws: Refusal.self) {
      try world.act { try $0.deleteUser(user.id, by: "test", at: $1, into: &$3) }
    }
    try world.act { try $0.deleteNode(node.id, by: "test", at: $1, into: &$3) }
    try world.act { try $0.deleteUser(user.id, by: "test", at: $1, into: &$3) }
    #expect(world.tailnet.users.isEmpty && world.tailnet.keys.isEmpty)
  }

  @Test("A key needs somebody to make nodes for; nothing is made by itself")
  func keyNeedsOwner() {
    var world = World()
    #expect(throws: Refusal.self) { try world.key(for: nil) }
    #expect(world.tailnet.users.isEmpty)
  }

  @Test("A chosen name sticks, follows no host name, and is nobody else's")
  func rename() throws {
    var world = World()
    let user = try world.user()
    var (one, two) = (world.machine("one"), world.machine("two"))
    let first = try world.joined(one, of: user)
    let second = try world.joined(two, of: user)
    _ = try world.act {
      try $0.renameNode(first.id, to: "Printer", by: "test", at: $1, into: &$3)
    }
    #expect(throws: Refusal.self) {
      try world.act { try $0.renameNode(second.id, to: "printer", by: "test", at: $1, into: &$3) }
    }
    one.hostinfo.hostname = "else"
    one.rotate(using: &world.entropy)
    _ = try world.joined(one, of: user)
    #expect(world.tailnet.nodes[first.id]?.name == "printer")
    two.hostinfo.hostname = "printer"
    two.rotate(using: &world.entropy)
    _ = try world.joined(two, of: user)
    #expect(world.tailnet.nodes[second.id]?.name == "printer-1")
  }

  @Test("A tagged node belongs to no user, and cannot lose its last tag")
  func tag() throws {
    var world = World { $0.keyLifetime = .seconds(3600) }
    let machine = world.machine()
    let node = try world.joined(machine, of: try world.user())
    let tagged = try world.act {
      try $0.tagNode(node.id, with: ["tag:web"], by: "test", at: $1, into: &$3)
    }
    #expect(tagged.user == nil && tagged.expiry == nil && tagged.shownUser == .taggedDevices)
    #expect(throws: Refusal.self) {
      try world.act { try $0.tagNode(node.id, with: [], by: "test", at: $1, into: &$3) }
    }
  }

  @Test("A plain WireGuard peer is written in with addresses, and is always there")
  func wireGuardPeer() throws {
    var world = World()
    let user = try world.user()
    let key = NodePrivateKey.generate(using: &world.entropy).publicKey
    let endpoint = Endpoint(IPAddress(192, 0, 2, 1), port: 51_820)
    let node = try world.act {
      try $0.addWireGuardPeer(
        name: "old-router",
        key: key,
        endpoints: [endpoint],
        user: user.id,
        tags: [],
        by: "test",
        at: $1,
        using: &$2,
        into: &$3
      )
    }
    #expect(node.isWireGuardOnly && node.addresses.count == 2)
    world.advance(by: .seconds(1_000_000))
    #expect(world.tailnet.nodes[node.id] == node)
  }

  @Test("A number is a number before it is a name")
  func references() throws {
    var world = World()
    let user = try world.user()
    let (one, two) = (world.machine("2"), world.machine("other"))
    _ = try world.joined(one, of: user)
    let second = try world.joined(two, of: user)
    #expect(try world.tailnet.node(called: "2").id == second.id)
    #expect(try world.tailnet.node(called: "other.lab.example").id == second.id)
    #expect(throws: Refusal.self) { try world.tailnet.node(called: "nobody") }
  }
}
