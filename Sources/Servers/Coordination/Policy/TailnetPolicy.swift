// SPDX-License-Identifier: Apache-2.0

package import Addressing
internal import ControlProtocol
internal import JSON
package import Timing

/// A policy that was in force, or is.
package struct PolicyVersion: Hashable, Sendable {
  /// Its number; the highest is in force.
  package var id: Int64
  /// Its text, as it was written.
  package var text: String
  /// Who put it in force.
  package var actor: String
  /// When.
  package var created: Timestamp

  /// A version with all its facts.
  package init(id: Int64, text: String, actor: String, created: Timestamp) {
    self.id = id
    self.text = text
    self.actor = actor
    self.created = created
  }
}

/// The policy of a network, and what it comes to for the network as it stands.
struct PolicyState: Sendable {
  var version: PolicyVersion?
  var policy: Policy?
  var compiled: CompiledPolicy?
  /// Whether the network has changed in something that a policy may speak of.
  var isStale = true
  var counters = PolicyCounters()
  /// Why nobody may reach anybody: a stored policy that cannot be read any more.
  var trouble: String?

  init(_ version: PolicyVersion? = nil) {
    guard let version else { return }
    self.version = version
    do throws(PolicyError) {
      policy = try Policy(restoring: Array(version.text.utf8))
    } catch {
      trouble = error.description
      policy = .denyingEverything
    }
  }
}

extension Policy {
  /// Nobody may reach anybody: what holds where a policy should be and cannot be read.
  static var denyingEverything: Policy? {
    // This text is a policy.
    try? Policy(restoring: Array("{\"acls\": []}".utf8))
  }
}

// MARK: - What an administrator does

extension Tailnet {
  /// The policy in force; none where everything is allowed.
  package var policyVersion: PolicyVersion? { policyState.version }
  /// Why nobody may reach anybody, when the stored policy cannot be read.
  package var policyTrouble: String? { policyState.trouble }
  /// How much was worked out anew, since the start.
  package var policyCounters: PolicyCounters { policyState.counters }
  /// What the policy comes to; nil without one.
  ///
  /// As of the last `refreshAccess(at:into:)`.
  package var access: CompiledPolicy? { policyState.compiled }

  /// Looks whether a text is a policy for this network, its tests included.
  package func check(policy text: String) throws(Refusal) -> Policy {
    do throws(PolicyError) {
      return try Policy(Array(text.utf8), for: policyWorld)
    } catch {
      throw .invalid(error.description)
    }
  }

  /// Puts a policy in force, unless it is wrong or one of its tests fails.
  package mutating func setPolicy(
    _ text: String,
    by actor: String,
    because reason: String = "",
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> PolicyVersion {
    let policy = try check(policy: text)
    let version = PolicyVersion(
      id: (policyState.version?.id ?? 0) + 1,
      text: text,
      actor: actor,
      created: now.time
    )
    policyState.version = version
    policyState.policy = policy
    policyState.trouble = nil
    policyState.isStale = true
    checks.forgetSuccesses()
    effects.mutations.append(.policy(version))
    audit(actor, "policy.set", "policy \(version.id)", reason, at: now, into: &effects)
    approveRoutes(at: now, into: &effects)
    note(.policy, at: now, into: &effects)
    refreshAccess(at: now, into: &effects)
    return version
  }

  /// Lets nobody reach anybody until there is a policy: where one was to be, and was wrong.
  package mutating func closePolicy(because reason: String) {
    guard policyState.version == nil else { return }
    policyState.policy = .denyingEverything
    policyState.trouble = reason
    policyState.isStale = true
  }

  /// Who gains and who loses access when `text` takes the place of `old`, or of what is in force.
  package func difference(
    from old: String?,
    to text: String
  ) throws(Refusal) -> PolicyDifference {
    let world = policyWorld
    let before: Policy
    if let old {
      before = try check(policy: old)
    } else if let policy = policyState.policy {
      before = policy
    } else {
      before = try check(policy: "{}")
    }
    let after = try check(policy: text)
    return PolicyDifference(
      from: before.compiled(for: before.approvingRoutes(in: world)),
      to: after.compiled(for: after.approvingRoutes(in: world))
    )
  }
}

// MARK: - Keeping up

extension Tailnet {
  /// Notes that something has changed that a policy may speak of.
  mutating func policyWorldChanged() { policyState.isStale = true }

  /// Works out anew what the policy comes to, when the network has changed since, and notes which
  /// nodes are to be told something else of themselves.
  ///
  /// Call before telling anybody anything. What was not concerned by the change is not looked at.
  package mutating func refreshAccess(at now: Moment, into effects: inout Effects) {
    guard policyState.isStale, let policy = policyState.policy else { return }
    policyState.isStale = false
    let old = policyState.compiled
    let new = policy.compiled(for: policyWorld, after: old)
    policyState.compiled = new
    policyState.counters.compilations += 1
    let concerned = old.map { new.concerned(since: $0) } ?? Set(nodes.keys)
    policyState.counters.examined += concerned.count
    let changed = old.map { new.changed(among: concerned, since: $0) } ?? concerned.sorted()
    policyState.counters.changed += changed.count
    for id in changed { note(.access(id), at: now, into: &effects) }
    // Who is told what it may do learns of all that route, but not of those that ceased to.
    for device in old?.routing ?? [] where new.device(device)?.isRouting == false {
      note(.node(device), at: now, into: &effects)
    }
  }

  /// Whether what the policy comes to for a node is out of date, rather than what it comes to for
  /// others: those can wait until there is more to work out at once.
  package func isAccessStale(for id: NodeID) -> Bool {
    guard policyState.isStale, policyState.policy != nil, let node = nodes[id] else { return false }
    guard let known = access?.device(id) else { return true }
    let now = device(node)
    return (known.addresses, known.user, known.tags, known.announced, known.approved)
      != (now.addresses, now.user, now.tags, now.announced, now.approved)
  }

  /// The users and devices that the policy speaks of, as they stand.
  package var policyWorld: PolicyWorld {
    let people = users.values.map { user in
      PolicyWorld.Person(
        id: user.id,
        name: user.name,
        email: user.email,
        role: user.role,
        groups: user.groups
      )
    }
    let devices = order.compactMap { nodes[$0] }.filter(\.isAuthorized).map(device)
    return PolicyWorld(people: people, devices: devices)
  }

  private func device(_ node: NodeRecord) -> PolicyWorld.Device {
    var device = PolicyWorld.Device(
      id: node.id,
      name: node.name,
      addresses: node.addresses,
      user: node.user,
      tags: node.tags,
      announced: node.announcedRoutes,
      approved: node.approvedRoutes,
      attributes: node.posture
    )
    device.primaryRoutes = routes.primaries(of: node.id)
    return device
  }

  /// Approves what the policy approves of the routes that nodes announce; takes none back.
  mutating func approveRoutes(at now: Moment, into effects: inout Effects) {
    guard let policy = policyState.policy else { return }
    let world = policyWorld
    for device in world.devices where !device.announced.isEmpty {
      let more = policy.approvedRoutes(device.announced, of: device, in: world)
      guard var node = nodes[device.id], !Set(more).isSubset(of: node.approvedRoutes) else {
        continue
      }
      node.approvedRoutes = Set(node.approvedRoutes + more).sorted()
      put(node, at: now, into: &effects)
    }
  }

  /// The routes of one node that the policy approves, besides those that are approved already.
  func approvedRoutes(of node: NodeRecord) -> [IPPrefix] {
    guard let policy = policyState.policy, !node.announcedRoutes.isEmpty else {
      return node.approvedRoutes
    }
    let more = policy.approvedRoutes(node.announcedRoutes, of: device(node), in: policyWorld)
    return Set(node.approvedRoutes + more).sorted()
  }

  /// Where a node of that owner gets its IPv4 address from; empty for anywhere.
  func addressPools(for owner: NodeRecord.Owner) -> [IPPrefix] {
    // The world is as large as the network, and seldom asked for here.
    guard let policy = policyState.policy, policy.hasAddressPools else { return [] }
    var device = PolicyWorld.Device(id: NodeID(0), name: "", addresses: [])
    switch owner {
    case .user(let user): device.user = user
    case .tags(let tags): device.tags = tags
    }
    return policy.addressPools(of: device, in: policyWorld)
  }

  /// The tags among `tags` that a user's node may not take; none without a policy, where only an
  /// administrator or a key gives tags.
  package func forbiddenTags(_ tags: [String], for user: UserID) -> [String] {
    guard let policy = policyState.policy else { return tags }
    let world = policyWorld
    return tags.filter { !policy.mayTag(user, with: $0, in: world) }
  }
}

extension NodeRecord {
  /// The routes that it offers to serve, whole prefixes only.
  package var announcedRoutes: [IPPrefix] {
    Set(hostinfo.routableIPs.map(\.masked)).sorted()
  }
}
