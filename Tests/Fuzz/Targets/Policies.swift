// SPDX-License-Identifier: Apache-2.0

import Addressing
import Coordination
import JSON

extension FuzzTarget {
  static let policies = [
    FuzzTarget("Policy") { bytes in
      do throws(PolicyError) {
        let policy = try Policy(bytes, for: world)
        let compiled = policy.compiled(for: policy.approvingRoutes(in: world))
        for device in world.devices {
          let peers = compiled.peers(of: device.id)
          for peer in peers {
            claim(compiled.sees(peer, device.id), "one node sees another that does not see it")
            _ = compiled.allowedIPs(of: peer, for: device.id)
          }
          _ = compiled.filter(of: device.id)
          _ = compiled.sshRules(of: device.id).map(\.json)
          _ = compiled.attributes(of: device.id)
        }
        let again = policy.compiled(for: compiled.world, after: compiled)
        claim(again.changed(since: compiled).isEmpty, "a compilation differs from itself")
      } catch {
        claim(error.position.line > 0 && error.position.column > 0, "a refusal has no place")
        claim(!error.description.utf8.contains { $0 < 0x20 }, "a refusal moves the cursor")
      }
    },
    FuzzTarget("Topology") { bytes in
      let topology = try JSONValue(parsing: bytes)
      _ = try PolicyEvaluation.evaluate(policy: Array("{}".utf8), topology: topology)
    },
  ]

  private static let world = PolicyWorld(
    people: [
      PolicyWorld.Person(id: UserID(1), name: "ann", email: "ann@a.example", role: .owner),
      PolicyWorld.Person(id: UserID(2), name: "bob", email: "bob@a.example", groups: ["ops"]),
    ],
    devices: [
      PolicyWorld.Device(
        id: NodeID(1),
        name: "one",
        addresses: [IPAddress(100, 64, 0, 1), IPAddress(high: 0xFD7A_115C_A1E0_0000, low: 1)],
        user: UserID(1),
        attributes: ["node:os": .text("linux"), "node:tsVersion": .text("1.60.0")]
      ),
      PolicyWorld.Device(
        id: NodeID(2),
        name: "two",
        addresses: [IPAddress(100, 64, 0, 2), IPAddress(high: 0xFD7A_115C_A1E0_0000, low: 2)],
        user: UserID(2)
      ),
      PolicyWorld.Device(
        id: NodeID(3),
        name: "three",
        addresses: [IPAddress(100, 64, 0, 3)],
        tags: ["tag:t"],
        announced: ["10.0.0.0/8", "0.0.0.0/0", "::/0"].compactMap { IPPrefix($0) }
      ),
    ]
  )
}
