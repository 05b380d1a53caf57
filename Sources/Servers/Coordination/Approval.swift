// SPDX-License-Identifier: Apache-2.0

// What an administrator decides about people and machines besides making and forgetting them.

extension Tailnet {
  /// Lets a node talk to others, or withholds it again.
  package mutating func authorizeNode(
    _ id: NodeID,
    _ isAuthorized: Bool,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    var node = try existing(id)
    guard node.isAuthorized != isAuthorized else { return node }
    node.isAuthorized = isAuthorized
    put(node, at: now, into: &effects)
    // It has been told of nobody so far.
    if isAuthorized { note(.readmitted(id), at: now, into: &effects) }
    let act = isAuthorized ? "node.approve" : "node.withhold"
    audit(actor, act, node, "", at: now, into: &effects)
    return node
  }

  /// Says what a user may do to the network.
  ///
  /// One user owns it: whoever did before administers it from then on.
  package mutating func setRole(
    _ role: PolicyWorld.Role,
    of id: UserID,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> User {
    guard var user = users[id] else { throw .notFound("There is no user \(id).") }
    guard user.role != role else { return user }
    guard user.role != .owner else {
      throw .invalid(
        "\(user.name) owns the network, and somebody has to: make somebody else the owner instead."
      )
    }
    if role == .owner {
      for var other in users.values where other.role == .owner {
        other.role = .admin
        users[other.id] = other
        effects.mutations.append(.user(other))
        audit(actor, "user.role", "user \(other.name)", "admin", at: now, into: &effects)
      }
    }
    user.role = role
    users[id] = user
    policyWorldChanged()
    effects.mutations.append(.user(user))
    audit(actor, "user.role", "user \(user.name)", role.rawValue, at: now, into: &effects)
    return user
  }
}
