// SPDX-License-Identifier: Apache-2.0

import Coordination
import Testing
import Timing

@Suite("Presence")
struct PresenceTests {
  @Test("A node that reconnects within the grace is never told to be gone")
  func grace() throws {
    var world = World()
    let machine = world.machine()
    let node = try world.joined(machine, of: try world.user())
    world.act { $0.connected(node.id, at: $1, into: &$3) }
    let head = world.tailnet.changes.head
    world.act { tailnet, now, _, _ in tailnet.disconnected(node.id, at: now) }
    world.advance(by: .seconds(9))
    world.act { $0.connected(node.id, at: $1, into: &$3) }
    world.advance(by: .seconds(60))
    #expect(world.tailnet.isOnline(node.id) && world.tailnet.changes.head == head)
  }

  @Test("A node that stays away is told to be gone, since when it left")
  func offline() throws {
    var world = World()
    let machine = world.machine()
    let node = try world.joined(machine, of: try world.user())
    world.act { $0.connected(node.id, at: $1, into: &$3) }
    #expect(world.mutations.contains(.lastSeen(node.id, world.now.time)))
    world.advance(by: .seconds(100))
    let left = world.now.time
    world.act { tailnet, now, _, _ in tailnet.disconnected(node.id, at: now) }
    world.advance(by: .seconds(10))
    #expect(!world.tailnet.isOnline(node.id))
    #expect(world.tailnet.nodes[node.id]?.lastSeen == left)
    #expect(world.mutations.contains(.lastSeen(node.id, left)))
  }

  @Test("A node with two streams is connected until both have ended")
  func twoStreams() throws {
    var world = World()
    let machine = world.machine()
    let node = try world.joined(machine, of: try world.user())
    world.act { $0.connected(node.id, at: $1, into: &$3) }
    world.act { $0.connected(node.id, at: $1, into: &$3) }
    world.act { tailnet, now, _, _ in tailnet.disconnected(node.id, at: now) }
    world.advance(by: .seconds(60))
    #expect(world.tailnet.isOnline(node.id))
    world.act { tailnet, now, _, _ in tailnet.disconnected(node.id, at: now) }
    world.advance(by: .seconds(10))
    #expect(!world.tailnet.isOnline(node.id))
  }

  @Test("An ephemeral node is forgotten when it has been away, and not before")
  func ephemeral() throws {
    var world = World { $0.ephemeralTimeout = .seconds(600) }
    let user = try world.user()
    let machine = world.machine()
    _ = try world.answer(machine, key: try world.key(for: user, ephemeral: true))
    let node = try #require(world.tailnet.node(with: machine.nodeKey))
    world.act { $0.connected(node.id, at: $1, into: &$3) }
    world.advance(by: .seconds(6000))
    #expect(world.tailnet.nodes[node.id] != nil)
    world.act { tailnet, now, _, _ in tailnet.disconnected(node.id, at: now) }
    world.advance(by: .seconds(599))
    #expect(world.tailnet.nodes[node.id] != nil)
    world.advance(by: .seconds(11))
    #expect(world.tailnet.nodes[node.id] == nil && world.ended.contains(node.id))
  }

  @Test("An ephemeral node that never connects is forgotten too, also across a restart")
  func neverConnected() throws {
    var world = World { $0.ephemeralTimeout = .seconds(600) }
    let user = try world.user()
    let machine = world.machine()
    _ = try world.answer(machine, key: try world.key(for: user, ephemeral: true))
    var records = TailnetRecords()
    records.nodes = Array(world.tailnet.nodes.values)
    records.users = [user]
    world.tailnet = Tailnet(options: world.tailnet.options, records: records, at: world.now)
    world.advance(by: .seconds(599))
    #expect(world.tailnet.nodes.count == 1)
    world.advance(by: .seconds(1))
    #expect(world.tailnet.nodes.isEmpty)
  }
}
