// SPDX-License-Identifier: Apache-2.0

internal import Addressing
package import ControlProtocol
package import Keys
internal import Timing

/// One private network: its users, nodes, keys and waiting logins, and who is connected.
///
/// The core of the coordination server. It decides at once and in memory; what has to last comes out
/// as `Effects.mutations`, and nobody is answered before the store has them. When the store refuses
/// them, this value is built anew from what the store has.
///
/// Invariant: the indexes (names, keys, machines, addresses, views) say exactly what `nodes` says;
/// only `put(_:at:into:)` and `remove(_:at:into:)` write either.
package struct Tailnet: Sendable {
  /// Which network this is.
  package let id: TailnetID
  /// What the operator decided.
  package private(set) var options: TailnetOptions
  /// Its users.
  package internal(set) var users: [UserID: User] = [:]
  /// Its pre-authentication keys.
  package internal(set) var keys: [PreAuthKeyID: PreAuthKey] = [:]
  /// Its credentials of the API.
  package internal(set) var credentials = Credentials()
  /// Whom it tells of what happens.
  package internal(set) var webhooks: [WebhookID: Webhook] = [:]
  /// Its nodes.
  package private(set) var nodes: [NodeID: NodeRecord] = [:]
  /// Machines that wait to be let in.
  package internal(set) var logins = LoginRequests()
  /// Sessions of SSH that wait for their users.
  package internal(set) var checks = SessionChecks()
  /// What nodes are to be told.
  package internal(set) var changes: ChangeLog
  /// How many endpoints were not kept because a node named too many.
  package internal(set) var droppedEndpoints = 0

  var presence: [NodeID: Presence] = [:]
  /// How many nodes each key has let in of late.
  var keyWatch = KeyWatch()
  /// What an administrator said about names; nil where the server's file counts.
  var ownNames: NameOptions?
  /// Which routers are reached for which subnets.
  var routes = RouteTable()
  /// The policy in force, and what it comes to.
  var policyState: PolicyState
  /// What other nodes are shown of each node.
  private(set) var views: [NodeID: Node] = [:]
  /// Every node, by number.
  package private(set) var order: [NodeID] = []

  private var names: [String: NodeID] = [:]
  private var nodeKeys: [NodeKey: NodeID] = [:]
  private var machines: [MachineKey: Set<NodeID>] = [:]
  private var ipv4: AddressAllocation
  private var ipv6: AddressAllocation
  private var lastUser: Int64
  private var lastNode: Int64
  private var lastKey: Int64
  private var lastCredential: Int64
  private var lastWebhook: Int64

  /// The network that `records` tell of; nobody is connected yet.
  package init(
    id: TailnetID = .first,
    options: TailnetOptions,
    records: TailnetRecords = TailnetRecords(),
    at now: Moment
  ) {
    self.id = id
    self.options = options
    ipv4 = AddressAllocation(prefix: options.ipv4Prefix, rest: options.addressRest)
    ipv6 = AddressAllocation(prefix: options.ipv6Prefix, rest: options.addressRest)
    policyState = PolicyState(records.policy)
    (lastUser, lastNode, lastKey) = (records.lastUser, records.lastNode, records.lastKey)
    (lastCredential, lastWebhook) = (records.lastCredential, records.lastWebhook)
    changes = ChangeLog(head: records.lastChange)
    for user in records.users { users[user.id] = user }
    for key in records.keys { keys[key.id] = key }
    for credential in records.credentials { credentials.put(credential) }
    ownNames = records.names.flatMap { NameOptions(kept: $0) }
    for webhook in records.webhooks { webhooks[webhook.id] = webhook }
    for (address, since) in records.resting {
      if address.isV4 {
        ipv4.restore(resting: address, since: since)
      } else {
        ipv6.restore(resting: address, since: since)
      }
    }
    for node in records.nodes.sorted(by: { $0.id < $1.id }) { restore(node, at: now) }
  }

  private mutating func restore(_ node: NodeRecord, at now: Moment) {
    nodes[node.id] = node
    order.append(node.id)
    index(node)
    for address in node.addresses {
      if address.isV4 { ipv4.restore(used: address) } else { ipv6.restore(used: address) }
    }
    if node.isEphemeral { awaitReturn(of: node.id, at: now) }
    var effects = Effects()
    refreshRoutes(of: node, at: now, into: &effects)
    if node.isAuthorized { views[node.id] = view(of: node, at: now.time) }
  }

  /// Takes over who is connected and who waits, from the value that this one replaces.
  package mutating func adoptRuntime(of other: Tailnet, at now: Moment) {
    logins = other.logins
    checks = other.checks
    keyWatch = other.keyWatch
    presence = other.presence.filter { nodes[$0.key] != nil }
    changes = ChangeLog(head: max(changes.head, other.changes.head))
    changes.restart()
    policyState.counters = other.policyState.counters
    policyState.isStale = true
    routes.adopt(other.routes)
    var effects = Effects()
    for node in nodes.values { refreshRoutes(of: node, at: now, into: &effects) }
    for node in nodes.values where node.isAuthorized {
      views[node.id] = view(of: node, at: now.time)
    }
  }
}

// MARK: - Looking things up

extension Tailnet {
  /// The node that holds `key`.
  package func node(with key: NodeKey) -> NodeRecord? { nodeKeys[key].flatMap { nodes[$0] } }

  /// The nodes that live on a machine, by number.
  package func nodes(on machine: MachineKey) -> [NodeRecord] {
    (machines[machine] ?? []).sorted().compactMap { nodes[$0] }
  }

  /// The node that `text` means to an administrator: its number, its name, or its whole name.
  ///
  /// A number is a number first: a machine that calls itself `7` must not be taken for node 7.
  package func node(called text: String) throws(Refusal) -> NodeRecord {
    if let number = Int64(text), let node = nodes[NodeID(number)] { return node }
    let lower = text.lowercased()
    let label =
      lower.hasSuffix("." + options.domain)
      ? String(lower.dropLast(options.domain.count + 1)) : lower
    guard let id = names[label], let node = nodes[id] else {
      throw .notFound("There is no node '\(NodeName.printable(text))'.")
    }
    return node
  }

  /// The user that `text` means to an administrator: its name or its number.
  package func user(called text: String) throws(Refusal) -> User {
    let lower = text.lowercased()
    if let user = users.values.first(where: { $0.name.lowercased() == lower }) { return user }
    guard let number = Int64(text), let user = users[UserID(number)] else {
      throw .notFound("There is no user '\(NodeName.printable(text))'.")
    }
    return user
  }

  /// The whole name of a node, without a dot at its end.
  package func qualifiedName(of node: NodeRecord) -> String { node.name + "." + options.domain }

  /// The names that clients show for a user.
  package func profile(of id: UserID) -> UserProfile {
    guard id != .taggedDevices, let user = users[id] else {
      return UserProfile(
        id: id.rawValue,
        loginName: "tagged-devices",
        displayName: "Tagged Devices"
      )
    }
    return UserProfile(
      id: id.rawValue,
      loginName: user.loginName,
      displayName: user.shownName
    )
  }
}

// MARK: - The one way in and out

extension Tailnet {
  /// Keeps a node, new or different, and notes what others are to be told of it.
  mutating func put(_ node: NodeRecord, at now: Moment, into effects: inout Effects) {
    let old = nodes.updateValue(node, forKey: node.id)
    if let old { unindex(old) } else { order.append(node.id) }
    index(node)
    if old.map({ !$0.isSameToPolicy(as: node) }) ?? true { policyWorldChanged() }
    effects.mutations.append(.node(node))
    if let old, old.nodeKey != node.nodeKey {
      effects.endedStreams.append(node.id)
      effects.lostKeys.append(old.nodeKey)
    }
    refreshView(of: node, at: now, into: &effects)
  }

  /// Notes when a node was last connected.
  mutating func putLastSeen(
    _ time: Timestamp,
    of id: NodeID,
    at now: Moment,
    into effects: inout Effects
  ) {
    nodes[id]?.lastSeen = time
    guard let node = nodes[id] else { return }
    effects.mutations.append(.lastSeen(id, time))
    refreshView(of: node, at: now, into: &effects)
  }

  /// Forgets a node; its addresses begin to rest.
  mutating func remove(_ node: NodeRecord, at now: Moment, into effects: inout Effects) {
    nodes[node.id] = nil
    policyWorldChanged()
    unindex(node)
    removeRoutes(of: node.id, at: now, into: &effects)
    order.removeAll { $0 == node.id }
    views[node.id] = nil
    presence[node.id] = nil
    for address in node.addresses {
      if address.isV4 {
        ipv4.release(address, at: now.time)
      } else {
        ipv6.release(address, at: now.time)
      }
      effects.mutations.append(.addressReleased(address, now.time))
    }
    effects.mutations.append(.nodeRemoved(node.id))
    effects.endedStreams.append(node.id)
    effects.lostKeys.append(node.nodeKey)
    note(.removed(node.id), at: now, into: &effects)
  }

  /// Works out anew what others are shown of a node, and notes how it differs.
  mutating func refreshView(of node: NodeRecord, at now: Moment, into effects: inout Effects) {
    refreshRoutes(of: node, at: now, into: &effects)
    refreshOwnView(of: node, at: now, into: &effects)
  }

  /// Works out anew what others are shown of a node, whoever routes what.
  mutating func refreshOwnView(
    of node: NodeRecord,
    at now: Moment,
    into effects: inout Effects
  ) {
    guard node.isAuthorized else {
      guard views.removeValue(forKey: node.id) != nil else { return }
      effects.lostKeys.append(node.nodeKey)
      return note(.withheld(node.id), at: now, into: &effects)
    }
    let new = view(of: node, at: now.time)
    guard let old = views.updateValue(new, forKey: node.id) else {
      return note(.node(node.id), at: now, into: &effects)
    }
    switch ViewDifference(from: old, to: new) {
    case .none: break
    case .facts(let facts): note(.patch(node.id, facts), at: now, into: &effects)
    case .everything: note(.node(node.id), at: now, into: &effects)
    }
    if new.expired, !old.expired { effects.lostKeys.append(node.nodeKey) }
    if old.expired, !new.expired { note(.readmitted(node.id), at: now, into: &effects) }
  }

  /// Numbers a change; what outlives connections is written down too.
  mutating func note(_ change: Change, at now: Moment, into effects: inout Effects) {
    let number = changes.append(change)
    effects.hasChanges = true
    if case .patch(_, .online) = change { return }
    effects.mutations.append(.change(number, change, now.time))
  }

  /// Tells every node about other relays.
  package mutating func apply(
    relayMap: DERPMap,
    at now: Moment,
    into effects: inout Effects
  ) {
    guard relayMap != options.relayMap else { return }
    options.relayMap = relayMap
    note(.relayMap, at: now, into: &effects)
  }

  mutating func setRecords(_ records: [DNSRecord]) { options.names.records = records }

  private mutating func index(_ node: NodeRecord) {
    names[node.name] = node.id
    nodeKeys[node.nodeKey] = node.id
    machines[node.machineKey, default: []].insert(node.id)
  }

  private mutating func unindex(_ node: NodeRecord) {
    names[node.name] = nil
    nodeKeys[node.nodeKey] = nil
    machines[node.machineKey]?.remove(node.id)
    if machines[node.machineKey]?.isEmpty ?? false { machines[node.machineKey] = nil }
  }
}

// MARK: - What is given once

extension Tailnet {
  mutating func nextUserID() -> UserID {
    lastUser += 1
    return UserID(lastUser)
  }

  mutating func nextNodeID() -> NodeID {
    lastNode += 1
    return NodeID(lastNode)
  }

  mutating func nextCredentialID() -> CredentialID {
    lastCredential += 1
    return CredentialID(lastCredential)
  }

  mutating func nextWebhookID() -> WebhookID {
    lastWebhook += 1
    return WebhookID(lastWebhook)
  }

  mutating func nextKeyID() -> PreAuthKeyID {
    lastKey += 1
    return PreAuthKeyID(lastKey)
  }

  /// Whether no node but `node` has a name.
  func isFree(name: String, for node: NodeID? = nil) -> Bool {
    names[name].map { $0 == node } ?? true
  }

  /// An address of each family that no other node has; the IPv4 one of one of `pools`, where there
  /// are any.
  mutating func allocateAddresses(
    at now: Moment,
    from pools: [IPPrefix] = []
  ) throws(Refusal) -> [IPAddress] {
    let next =
      pools.isEmpty ? ipv4.allocate(at: now.time) : ipv4.allocate(in: pools, at: now.time)
    guard let first = next else {
      let place = pools.isEmpty ? ipv4.prefix.description : "the ipPool of the policy"
      throw Refusal(.exhausted, "No IPv4 address is left in \(place).")
    }
    guard let second = ipv6.allocate(at: now.time) else {
      ipv4.release(first, at: now.time)
      throw Refusal(.exhausted, "No IPv6 address is left in \(ipv6.prefix).")
    }
    return [first, second]
  }

  /// Addresses that have rested long enough.
  mutating func endAddressRests(at now: Moment) -> [IPAddress] {
    ipv4.endRests(at: now.time) + ipv6.endRests(at: now.time)
  }
}
