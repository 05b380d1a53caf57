// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Cryptography
package import Keys
package import Timing

// MARK: - Users

extension Tailnet {
  /// Makes a user.
  package mutating func createUser(
    name: String,
    displayName: String = "",
    email: String = "",
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> User {
    let name = try freeUserName(name, for: nil)
    let user = User(
      id: nextUserID(),
      name: name,
      displayName: try User.validText(displayName, for: "display name"),
      email: try User.validText(email, for: "mail address"),
      role: users.values.contains { $0.role == .owner } ? .member : .owner,
      created: now.time
    )
    users[user.id] = user
    policyWorldChanged()
    effects.mutations.append(.user(user))
    audit(actor, "user.create", "user \(user.name)", "", at: now, into: &effects)
    return user
  }

  /// Gives a user another name.
  package mutating func renameUser(
    _ id: UserID,
    to name: String,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> User {
    guard var user = users[id] else { throw .notFound("There is no user \(id).") }
    let old = user.name
    user.name = try freeUserName(name, for: id)
    users[id] = user
    policyWorldChanged()
    effects.mutations.append(.user(user))
    audit(actor, "user.rename", "user \(old)", "to \(user.name)", at: now, into: &effects)
    note(.user(id), at: now, into: &effects)
    return user
  }

  /// Forgets a user who has no nodes, with the keys that were made for it.
  package mutating func deleteUser(
    _ id: UserID,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    guard let user = users[id] else { throw .notFound("There is no user \(id).") }
    let owned = nodes.values.count { $0.user == id }
    guard owned == 0 else {
      throw .invalid(
        "User \(user.name) still has \(owned) node\(owned == 1 ? "" : "s"). Delete them first."
      )
    }
    guard user.role != .owner || users.count == 1 else {
      throw .invalid(
        "\(user.name) owns the network. Make somebody else the owner first: "
          + "'martlet-control users role NAME owner'."
      )
    }
    for credential in credentials.all where credential.user == id {
      try deleteCredential(credential.id, by: actor, at: now, into: &effects)
    }
    for key in keys.values.filter({ $0.user == id }).sorted(by: { $0.id < $1.id }) {
      keys[key.id] = nil
      effects.mutations.append(.keyRemoved(key.id))
    }
    users[id] = nil
    policyWorldChanged()
    effects.mutations.append(.userRemoved(id))
    audit(actor, "user.delete", "user \(user.name)", "", at: now, into: &effects)
  }

  func freeUserName(_ text: String, for id: UserID?) throws(Refusal) -> String {
    let name = try User.validName(text)
    let lower = name.lowercased()
    guard !users.values.contains(where: { $0.id != id && $0.name.lowercased() == lower }) else {
      throw .conflict("There is already a user '\(name)'.")
    }
    return name
  }
}

// MARK: - Pre-authentication keys

extension Tailnet {
  /// How many keys a network may have.
  package static let maximumKeys = 10_000
  /// How many nodes a key may be said to serve.
  package static let maximumKeyUses = 1_000_000

  /// Makes a key, and its secret, which nothing remembers afterwards.
  package mutating func createKey(
    user: UserID?,
    tags: [String] = [],
    isReusable: Bool = false,
    maximumUses: Int? = nil,
    isEphemeral: Bool = false,
    isPreauthorized: Bool = false,
    expiry: Timestamp?,
    by actor: String,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) throws(Refusal) -> (PreAuthKey, AuthSecret) {
    let tags = try Tag.valid(tags)
    if let user, users[user] == nil { throw .notFound("There is no user \(user).") }
    guard user != nil || !tags.isEmpty else {
      throw .invalid(
        "Say whose nodes the key makes with --user, or what they are tagged with. "
          + "'martlet-control users create NAME' makes a user."
      )
    }
    if let expiry, expiry <= now.time { throw .invalid("The key would already have expired.") }
    if let maximumUses {
      guard isReusable else { throw .invalid("Only a reusable key serves more than one node.") }
      guard (1...Self.maximumKeyUses).contains(maximumUses) else {
        throw .invalid("A key serves 1 to \(Self.maximumKeyUses) nodes.")
      }
    }
    guard keys.count < Self.maximumKeys else {
      throw Refusal(.exhausted, "There are \(Self.maximumKeys) keys already. Delete some first.")
    }
    let secret = AuthSecret(using: &entropy)
    let key = PreAuthKey(
      id: nextKeyID(),
      prefix: secret.prefix,
      hash: secret.hash,
      user: user,
      tags: tags,
      isReusable: isReusable,
      maximumUses: maximumUses,
      isEphemeral: isEphemeral,
      isPreauthorized: isPreauthorized,
      expiry: expiry,
      created: now.time
    )
    keys[key.id] = key
    effects.mutations.append(.key(key))
    audit(actor, "preauthkey.create", "key \(key.prefix)", "", at: now, into: &effects)
    return (key, secret)
  }

  /// Ends a key now; nodes that it let in stay.
  package mutating func expireKey(
    _ id: PreAuthKeyID,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> PreAuthKey {
    guard var key = keys[id] else { throw .notFound("There is no key \(id).") }
    if key.expiry.map({ $0 > now.time }) ?? true { key.expiry = now.time }
    keys[id] = key
    effects.mutations.append(.key(key))
    audit(actor, "preauthkey.expire", "key \(key.prefix)", "", at: now, into: &effects)
    return key
  }

  /// Forgets a key; nodes that it let in stay.
  package mutating func deleteKey(
    _ id: PreAuthKeyID,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    guard let key = keys.removeValue(forKey: id) else { throw .notFound("There is no key \(id).") }
    effects.mutations.append(.keyRemoved(id))
    audit(actor, "preauthkey.delete", "key \(key.prefix)", "", at: now, into: &effects)
  }
}

// MARK: - Nodes

extension Tailnet {
  /// Gives a node a name that its host name no longer changes.
  package mutating func renameNode(
    _ id: NodeID,
    to text: String,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    var node = try existing(id)
    let name = try NodeName.chosen(text)
    guard isFree(name: name, for: id) else {
      throw .conflict("There is already a node '\(name)'.")
    }
    let old = node.name
    node.name = name
    node.isNameChosen = true
    put(node, at: now, into: &effects)
    audit(actor, "node.rename", node, "from \(old)", at: now, into: &effects)
    return node
  }

  /// Makes a node tagged; its user owns it no longer, and its key does not end any more.
  package mutating func tagNode(
    _ id: NodeID,
    with tags: [String],
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    var node = try existing(id)
    let tags = try Tag.valid(tags)
    guard !tags.isEmpty else {
      throw .invalid(
        "A node needs at least one tag. To give it back to a user, log it in again as that user."
      )
    }
    if case .user = node.owner, !node.isExpired(at: now.time) { node.expiry = nil }
    node.owner = .tags(tags)
    node.approvedRoutes = approvedRoutes(of: node)
    put(node, at: now, into: &effects)
    audit(actor, "node.tag", node, tags.joined(separator: ","), at: now, into: &effects)
    return node
  }

  /// Gives a node that belongs to one user to another.
  package mutating func moveNode(
    _ id: NodeID,
    to user: UserID,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    var node = try existing(id)
    guard let new = users[user] else { throw .notFound("There is no user \(user).") }
    guard let old = node.user else {
      throw .invalid("A tagged node belongs to nobody. Log it in again as \(new.name).")
    }
    guard old != user else { return node }
    // A machine's nodes are told apart by their users.
    guard !nodes(on: node.machineKey).contains(where: { $0.id != id && $0.user == user }) else {
      throw .conflict("\(new.name) has a node on this machine already. Delete one of them first.")
    }
    node.owner = .user(user)
    node.approvedRoutes = approvedRoutes(of: node)
    put(node, at: now, into: &effects)
    audit(actor, "node.move", node, "from user \(old) to \(user)", at: now, into: &effects)
    return node
  }

  /// Says which routes a node may serve when it offers them, instead of those that it may so far.
  ///
  /// One default route stands for both: an exit node serves both families.
  package mutating func approveRoutes(
    of id: NodeID,
    _ routes: [IPPrefix],
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    var node = try existing(id)
    var approved = Set(routes.map(\.masked))
    guard approved.count <= Self.maximumRoutes else {
      throw .invalid("A node may serve at most \(Self.maximumRoutes) routes.")
    }
    if approved.contains(where: { $0.length == 0 }) {
      approved.formUnion(IPAddress.Family.allCases.map { IPPrefix.everything($0) })
    }
    node.approvedRoutes = approved.sorted()
    put(node, at: now, into: &effects)
    let details = node.approvedRoutes.map(\.description).joined(separator: ",")
    audit(actor, "node.routes", node, details, at: now, into: &effects)
    return node
  }

  /// How many routes of one node may be approved.
  package static let maximumRoutes = 1000

  /// Sets when a node's key ends; none for never.
  package mutating func expireNode(
    _ id: NodeID,
    at expiry: Timestamp?,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    var node = try existing(id)
    node.expiry = expiry
    put(node, at: now, into: &effects)
    let details = expiry.map(\.description) ?? "never"
    audit(actor, "node.expire", node, details, at: now, into: &effects)
    return node
  }

  /// Forgets a node.
  package mutating func deleteNode(
    _ id: NodeID,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    let node = try existing(id)
    remove(node, at: now, into: &effects)
    audit(actor, "node.delete", node, "", at: now, into: &effects)
  }

  /// Writes in a plain WireGuard peer, which never speaks to us.
  package mutating func addWireGuardPeer(
    name: String,
    key: NodeKey,
    endpoints: [Endpoint],
    user: UserID?,
    tags: [String],
    by actor: String,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    let name = try NodeName.chosen(name)
    let tags = try Tag.valid(tags)
    guard isFree(name: name) else { throw .conflict("There is already a node '\(name)'.") }
    guard node(with: key) == nil else { throw .conflict("This node key is in use.") }
    guard (1...Self.maximumEndpoints).contains(endpoints.count) else {
      throw .invalid("A plain WireGuard peer needs 1 to \(Self.maximumEndpoints) endpoints.")
    }
    let owner: NodeRecord.Owner
    if !tags.isEmpty {
      owner = .tags(tags)
    } else if let user, users[user] != nil {
      owner = .user(user)
    } else {
      throw .invalid("Say whose node it is with --user, or give it --tags.")
    }
    let addresses = try allocateAddresses(at: now)
    let node = NodeRecord(
      id: nextNodeID(),
      stableID: newStableID(using: &entropy),
      machineKey: .zero,
      nodeKey: key,
      owner: owner,
      method: .administrator,
      name: name,
      isNameChosen: true,
      addresses: addresses,
      endpoints: endpoints,
      endpointTypes: endpoints.map { _ in 5 },
      isWireGuardOnly: true,
      created: now.time
    )
    put(node, at: now, into: &effects)
    audit(actor, "node.add", node, "plain WireGuard", at: now, into: &effects)
    return node
  }

  func existing(_ id: NodeID) throws(Refusal) -> NodeRecord {
    guard let node = nodes[id] else { throw .notFound("There is no node \(id).") }
    return node
  }
}

// MARK: - Audit

extension Tailnet {
  /// Notes that everything was copied.
  package func noteBackup(
    to path: String,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) {
    audit(actor, "server.backup", NodeName.printable(path), "", at: now, into: &effects)
  }

  func audit(
    _ actor: String,
    _ action: String,
    _ subject: String,
    _ details: String,
    at now: Moment,
    into effects: inout Effects
  ) {
    let entry = AuditEntry(
      actor: actor,
      action: action,
      subject: subject,
      details: details,
      time: now.time
    )
    effects.mutations.append(.audit(entry))
  }

  func audit(
    _ actor: String,
    _ action: String,
    _ node: NodeRecord,
    _ details: String,
    at now: Moment,
    into effects: inout Effects
  ) {
    audit(actor, action, "node \(node.id) \(node.name)", details, at: now, into: &effects)
  }
}
