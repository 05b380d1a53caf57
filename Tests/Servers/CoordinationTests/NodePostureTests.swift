// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import Coordination
import Keys
import Testing
import Timing

@Suite("Posture of nodes")
struct NodePostureTests {
  private static let policy = """
    {
      "postures": {"posture:gold": ["custom:tier == 'gold'", "node:os == 'linux'"]},
      "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"], "srcPosture": ["posture:gold"]}],
      "nodeAttrs": [{"target": ["bob@"], "attr": ["set-device-attr"]}],
    }
    """

  private func pair() throws -> (World, NodeRecord, NodeRecord, Machine) {
    var world = World()
    let (alice, bob) = (try world.user(), try world.user("bob"))
    var (one, two) = (world.machine("one"), world.machine("two"))
    one.hostinfo.os = "linux"
    two.hostinfo.os = "linux"
    let first = try world.joined(one, of: alice)
    let second = try world.joined(two, of: bob)
    _ = try world.act { try $0.setPolicy(Self.policy, by: "test", at: $1, into: &$3) }
    return (world, first, second, two)
  }

  private func sees(_ world: inout World, _ one: NodeRecord, _ other: NodeRecord) -> Bool {
    world.act { $0.refreshAccess(at: $1, into: &$3) }
    return world.tailnet.access?.sees(one.id, other.id) ?? true
  }

  @Test("Access follows what an administrator writes down, until it ends")
  func administrator() throws {
    var (world, first, second, _) = try pair()
    #expect(!sees(&world, first, second))
    let end = world.now.time + .seconds(60)
    _ = try world.act {
      try $0.setAttribute(
        "custom:tier",
        of: first.id,
        to: .text("gold"),
        until: end,
        by: "test",
        at: $1,
        into: &$3
      )
    }
    #expect(sees(&world, first, second))
    world.advance(by: .seconds(61))
    #expect(!sees(&world, first, second))
    #expect(world.tailnet.nodes[first.id]?.attributes.isEmpty == true)
  }

  @Test(
    "A node says of itself only what the policy lets it, and nothing that an administrator said"
  )
  func own() throws {
    var (world, first, second, machine) = try pair()
    func request(_ key: NodeKey, _ update: String) throws -> SetDeviceAttributesRequest {
      let text = #"{"Version":138,"NodeKey":"\#(key)","Update":\#(update)}"#
      return try SetDeviceAttributesRequest(json: Array(text.utf8))
    }
    func set(_ world: inout World, _ request: SetDeviceAttributesRequest, _ key: MachineKey) throws
    {
      try world.act { try $0.setOwnAttributes(request, from: key, at: $1, into: &$3) }
    }
    let gold = try request(
      second.nodeKey,
      #"{"custom:tier":"gold","custom:n":2.5,"custom:b":true}"#
    )
    try set(&world, gold, machine.machineKey)
    #expect(sees(&world, first, second))
    let left = try request(second.nodeKey, #"{"custom:tier":null,"custom:n":null}"#)
    try set(&world, left, machine.machineKey)
    #expect(!sees(&world, first, second))
    #expect(world.tailnet.nodes[second.id]?.attributes.keys.sorted() == ["custom:b"])
    // Another machine, another node, another name.
    #expect(throws: Refusal.self) { try set(&world, gold, first.machineKey) }
    let foreign = try request(first.nodeKey, #"{"custom:tier":"gold"}"#)
    #expect(throws: Refusal.self) { try set(&world, foreign, first.machineKey) }
    let forged = try request(second.nodeKey, #"{"node:os":"plan9"}"#)
    #expect(throws: Refusal.self) { try set(&world, forged, machine.machineKey) }
    _ = try world.act {
      try $0.setAttribute(
        "custom:tier",
        of: second.id,
        to: .text("tin"),
        by: "test",
        at: $1,
        into: &$3
      )
    }
    #expect(throws: Refusal.self) { try set(&world, gold, machine.machineKey) }
    #expect(!sees(&world, first, second))
  }

  @Test(
    "Names and values that cannot be are refused",
    arguments: [
      ("tier", "a"), ("custom:", "a"), ("custom:a b", "a"), ("node:os", "a"),
      ("custom:a", "x\u{1B}[31m"), ("custom:a", String(repeating: "x", count: 200)),
    ]
  )
  func refused(name: String, value: String) throws {
    var (world, first, _, _) = try pair()
    #expect(throws: Refusal.self) {
      try world.act {
        try $0.setAttribute(name, of: first.id, to: .text(value), by: "test", at: $1, into: &$3)
      }
    }
  }

  @Test(
    "A node's own report gives release track and updates",
    arguments: [
      ("1.80.3-t1", "stable"), ("1.81.0", "unstable"),
    ]
  )
  func report(version: String, track: String) throws {
    var world = World()
    let user = try world.user()
    var machine = world.machine()
    machine.hostinfo.ipnVersion = version
    machine.hostinfo.allowsUpdate = true
    let node = try world.joined(machine, of: user)
    #expect(node.posture["node:tsReleaseTrack"] == .text(track))
    #expect(node.posture["node:tsAutoUpdate"] == .flag(true))
  }
}
