// SPDX-License-Identifier: Apache-2.0

internal import Addressing

/// Devices that see each other device of a list; the same object for all that see the same.
package final class Audience: Sendable {
  /// The devices that are seen, by number; who looks may be among them.
  package let nodes: [NodeID]

  init(_ nodes: [NodeID]) { self.nodes = nodes }

  /// Whether a device is among them.
  package func holds(_ node: NodeID) -> Bool { nodes.holds(node) }
}

extension Audience: Hashable {
  /// Whether they are one object.
  package static func == (left: Audience, right: Audience) -> Bool { left === right }
  /// By which object it is.
  package func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(self)) }
}

/// How much a change of the policy or of the network made to be worked out anew.
package struct PolicyCounters: Hashable, Sendable {
  /// How often the policy was compiled.
  package var compilations = 0
  /// How many devices were looked at because a rule that they take part in was new, different or
  /// gone.
  package var examined = 0
  /// For how many of them what they are told came out different.
  package var changed = 0

  /// Nothing yet.
  package init() {}
}

extension CompiledPolicy {
  /// The devices that take part in a rule that is in one of two compilations only.
  func concerned(since old: CompiledPolicy) -> Set<NodeID> {
    var nodes: Set<NodeID> = []
    for rule in Set(rules).symmetricDifference(old.rules) {
      nodes.formUnion(rule.nodes)
      nodes.formUnion(rule.sources.nodes)
    }
    for rule in Set(sshRules).symmetricDifference(old.sshRules) {
      nodes.formUnion(rule.nodes)
      nodes.formUnion(rule.sources)
      if rule.leadsToOwn {
        for person in Set(rule.sources.compactMap { device($0)?.person }) {
          nodes.formUnion(personNodes(person))
        }
      }
    }
    for grant in Set(grants).symmetricDifference(old.grants) { nodes.formUnion(grant.nodes) }
    if document.commonAttributes != old.document.commonAttributes {
      nodes.formUnion(world.devices.map(\.id))
    }
    for device in world.devices where old.device(device.id) != device {
      nodes.insert(device.id)
      // Who sees a router is told its routes.
      if device.isRouting || old.device(device.id)?.isRouting ?? false {
        nodes.formUnion(peersAndSelf(of: device.id))
        nodes.formUnion(old.peersAndSelf(of: device.id))
      }
    }
    return nodes.filter { device($0) != nil }
  }

  /// The devices that are told something else of themselves than before.
  package func changed(since old: CompiledPolicy) -> [NodeID] {
    changed(among: concerned(since: old), since: old)
  }

  /// The devices that are told something else of themselves than before, in order: what they let
  /// in, who may log in, what they may do, and what others route for them.
  func changed(
    among nodes: Set<NodeID>,
    since old: CompiledPolicy
  ) -> [NodeID] {
    nodes.sorted().filter { node in
      filter(of: node) != old.filter(of: node)
        || sshRules(of: node) != old.sshRules(of: node)
        || attributes(of: node) != old.attributes(of: node)
        || routesSeen(by: node) != old.routesSeen(by: node)
    }
  }

  /// The routes that others serve for a device.
  func routesSeen(by node: NodeID) -> [NodeID: [IPPrefix]] {
    var seen: [NodeID: [IPPrefix]] = [:]
    for router in routing where sees(node, router) {
      seen[router] = allowedIPs(of: router, for: node)
    }
    return seen
  }
}

extension PolicyWorld.Device {
  /// Whether others may send more to it than what is for itself.
  package var isRouting: Bool { !primaryRoutes.isEmpty || isExitNode }
}
