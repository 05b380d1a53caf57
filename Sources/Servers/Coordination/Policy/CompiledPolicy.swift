// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol

/// A policy with every word resolved for one state of the network.
///
/// Rules and the sets of addresses in them are worked out once and shared; what one device is told
/// is made of them when it is asked for. The work is proportional to rules and the sizes of their
/// sets; which devices see each other is worked out once for all devices that play the same part.
package struct CompiledPolicy: Sendable {
  /// What it was compiled for.
  package let world: PolicyWorld
  let document: PolicyDocument
  let rules: [AccessRule]
  let sshRules: [SSHAccess]
  let grants: [AttributeGrant]
  let devices: [NodeID: PolicyWorld.Device]
  private let kin: [UserID: [NodeID]]
  /// Which rules have a device among their sources, and which lead to it.
  private var parts: [NodeID: Part] = [:]
  private let audiences: [Part: Audience]
  /// The devices that others may send more to than what is for them.
  let routing: [NodeID]

  /// Which rules a device takes part in; devices of one part see the same devices.
  struct Part: Hashable, Sendable {
    var sources: [Int] = []
    var targets: [Int] = []
    /// The user, where a rule among the devices of one user counts.
    var person: UserID?
  }

  /// A policy compiled for a world; who sees the same as in the last compilation is told by the same
  /// object.
  init(_ document: PolicyDocument, for world: PolicyWorld, after last: CompiledPolicy? = nil) {
    self.world = world
    self.document = document
    var resolver = Resolver(document, world)
    rules = RuleCompiler.compile(&resolver)
    sshRules = SSHAccess.compile(&resolver)
    grants = AttributeGrant.compile(&resolver)
    devices = Dictionary(world.devices.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    var kin: [UserID: [NodeID]] = [:]
    for device in world.devices {
      if let person = device.person { kin[person, default: []].append(device.id) }
    }
    self.kin = kin
    var parts: [NodeID: Part] = [:]
    for (index, rule) in rules.enumerated() {
      for node in rule.sources.nodes { parts[node, default: Part()].sources.append(index) }
      for node in rule.nodes {
        parts[node, default: Part()].targets.append(index)
        if rule.isOwn { parts[node]?.person = devices[node]?.person }
      }
    }
    self.parts = parts
    var known: [[NodeID]: Audience] = [:]
    for audience in last?.audiences.values.map(\.self) ?? [] { known[audience.nodes] = audience }
    var audiences: [Part: Audience] = [:]
    for part in Set(parts.values) {
      let nodes = Self.peers(of: part, rules, kin)
      let audience = known[nodes] ?? Audience(nodes)
      known[nodes] = audience
      audiences[part] = audience
    }
    self.audiences = audiences
    routing = world.devices.filter(\.isRouting).map(\.id)
  }

  private static func peers(
    of part: Part,
    _ rules: [AccessRule],
    _ kin: [UserID: [NodeID]]
  ) -> [NodeID] {
    var lists: [[NodeID]] = []
    for index in part.sources where !rules[index].isOwn { lists.append(rules[index].nodes) }
    for index in part.targets {
      let rule = rules[index]
      guard rule.isOwn else {
        lists.append(rule.sources.nodes)
        continue
      }
      guard let person = part.person, let own = kin[person] else { continue }
      // Who is among the sources reaches all of its user's devices, and is reached by the others.
      lists.append(part.sources.contains(index) ? own : own.filter(rule.sources.contains))
    }
    return .union(lists)
  }
}

// MARK: - What a device is told

extension CompiledPolicy {
  /// The device of that number.
  package func device(_ node: NodeID) -> PolicyWorld.Device? { devices[node] }

  /// The devices that a device sees, by number, itself perhaps among them.
  ///
  /// The same object for all devices that see the same, and after a compilation that left it so.
  package func audience(of node: NodeID) -> Audience {
    parts[node].flatMap { audiences[$0] } ?? Self.nobody
  }

  private static let nobody = Audience([])

  /// The devices that a device sees, by number, itself perhaps among them.
  func peersAndSelf(of node: NodeID) -> [NodeID] { audience(of: node).nodes }

  /// The devices that a device sees, by number.
  package func peers(of node: NodeID) -> [NodeID] { peersAndSelf(of: node).filter { $0 != node } }

  /// Whether one device sees another.
  package func sees(_ node: NodeID, _ other: NodeID) -> Bool {
    node != other && peersAndSelf(of: node).holds(other)
  }

  /// What a device lets in.
  package func filter(of node: NodeID) -> [FilterRule] {
    guard let device = devices[node], let part = parts[node] else { return [] }
    var merged: [FilterRule] = []
    for index in part.targets {
      for rule in rules[index].filterRules(at: device, kin: kinSources(of: device, in: index)) {
        if rule.capGrant.isEmpty, let last = merged.last, last.capGrant.isEmpty,
          last.ipProto == rule.ipProto, last.srcIPs == rule.srcIPs
        {
          let known = Set(last.dstPorts)
          merged[merged.count - 1].dstPorts += rule.dstPorts.filter { !known.contains($0) }
        } else {
          merged.append(rule)
        }
      }
    }
    return merged
  }

  /// The devices of a device's user that a rule among one user's devices lets in.
  func kinSources(of device: PolicyWorld.Device, in index: Int) -> SourceSet? {
    guard rules[index].isOwn, let person = device.person else { return nil }
    let nodes = (kin[person] ?? []).filter(rules[index].sources.contains)
    let addresses = nodes.flatMap { devices[$0]?.addresses ?? [] }
    return SourceSet(
      texts: (addresses.filter(\.isV4) + addresses.filter { !$0.isV4 }).map(\.description),
      ranges: AddressRanges(addresses.map { AddressRange($0) }),
      nodes: nodes,
      own: nodes
    )
  }

  /// The addresses that `viewer` may send to `peer`: its own, and what it routes for the viewer.
  package func allowedIPs(of peer: NodeID, for viewer: NodeID) -> [IPPrefix] {
    guard let device = devices[peer] else { return [] }
    let own = device.addresses.map { IPPrefix(host: $0) }
    let subnets = device.primaryRoutes.filter { routes($0, through: device, for: viewer) }
    let out =
      device.isExitNode && leadsOut(viewer, through: device)
      ? IPAddress.Family.allCases.map { IPPrefix.everything($0) } : []
    return own + subnets.sorted() + out
  }

  private func routes(
    _ route: IPPrefix,
    through router: PolicyWorld.Device,
    for viewer: NodeID
  ) -> Bool {
    let range = AddressRange(route)
    // Who serves the same subnet learns of it, to stand in.
    if let own = devices[viewer]?.routes, own.contains(route) { return true }
    guard let part = parts[viewer] else { return false }
    let steered = part.sources.filter { rules[$0].via != nil && rules[$0].leads(to: range) }
    if !steered.isEmpty {
      return steered.contains { rules[$0].nodes.holds(router.id) }
    }
    return part.sources.contains { !rules[$0].isOwn && rules[$0].leads(to: range) }
      || part.targets.contains { !rules[$0].isOwn && rules[$0].sources.ranges.overlaps(range) }
  }

  private func leadsOut(_ viewer: NodeID, through exit: PolicyWorld.Device) -> Bool {
    let ways = (parts[viewer]?.sources ?? []).filter { !rules[$0].isOwn && rules[$0].leadsOut }
    let steered = ways.filter { rules[$0].via != nil && rules[$0].destinations.contains(.internet) }
    if !steered.isEmpty { return steered.contains { rules[$0].nodes.holds(exit.id) } }
    return ways.contains { rules[$0].via == nil }
  }

  /// The SSH rules of a device, checks first.
  package func sshRules(of node: NodeID) -> [SSHPolicyRule] {
    guard let device = devices[node] else { return [] }
    let own = sshRules.flatMap { access in
      access.rules(at: device, in: self).map { (access.isCheck, $0) }
    }
    return own.filter(\.0).map(\.1) + own.filter { !$0.0 }.map(\.1)
  }

  /// The capabilities that the policy gives a device, with their values as JSON.
  package func attributes(of node: NodeID) -> [String: [[UInt8]]] {
    var result: [String: [[UInt8]]] = [:]
    for name in document.commonAttributes { result[name] = [] }
    for grant in grants where grant.nodes.holds(node) {
      for (name, values) in grant.values { result[name, default: []] += values }
    }
    return result
  }

  func personNodes(_ person: UserID) -> [NodeID] { kin[person] ?? [] }
}
