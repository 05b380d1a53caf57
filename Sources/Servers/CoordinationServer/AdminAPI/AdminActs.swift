// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import Bytes
internal import Coordination
internal import CoordinationStore
internal import Cryptography
internal import JSON
internal import Keys
internal import Timing

// What the API does. Each answers nil when there is no such address.

extension AdminCall {
  func users(_ method: String, _ path: [String]) async throws -> JSONValue? {
    let actor = actor
    switch (method, path.count) {
    case ("GET", 0):
      return await coordinator.read { tailnet, _ in
        let users = tailnet.users.values.sorted { $0.id < $1.id }.filter { user in
          (query.value("id").map { $0 == user.id.description } ?? true)
            && (query.value("name").map { $0 == user.name } ?? true)
            && (query.value("email").map { $0 == user.email } ?? true)
        }
        return ["users": .array(users.map(AdminValue.user))]
      }
    case ("POST", 0):
      let name = try body.required("name")
      let displayName = try body.text("displayName") ?? ""
      let email = try body.text("email") ?? ""
      let user = try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        try tailnet.createUser(
          name: name,
          displayName: displayName,
          email: email,
          by: actor,
          at: now,
          into: &effects
        )
      }
      return ["user": AdminValue.user(user)]
    case ("POST", 3) where path[1] == "rename":
      let user = try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        let user = try tailnet.user(called: path[0])
        return try tailnet.renameUser(user.id, to: path[2], by: actor, at: now, into: &effects)
      }
      return ["user": AdminValue.user(user)]
    case ("POST", 2) where path[1] == "role":
      let text = try body.required("role")
      guard let role = PolicyWorld.Role(rawValue: text) else {
        let known = PolicyWorld.Role.allCases.map(\.rawValue).joined(separator: ", ")
        throw Refusal.invalid("'\(NodeName.printable(text))' is no role: there are \(known).")
      }
      let user = try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        let user = try tailnet.user(called: path[0])
        return try tailnet.setRole(role, of: user.id, by: actor, at: now, into: &effects)
      }
      return ["user": AdminValue.user(user)]
    case ("DELETE", 1):
      try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        let user = try tailnet.user(called: path[0])
        try tailnet.deleteUser(user.id, by: actor, at: now, into: &effects)
      }
      return [:]
    default: return nil
    }
  }

  func nodes(_ method: String, _ path: [String]) async throws -> JSONValue? {
    let actor = actor
    switch (method, path.count) {
    case ("GET", 0):
      return try await coordinator.read { tailnet, now in
        let owner = try query.value("user").map { try tailnet.user(called: $0).id }
        let nodes = tailnet.nodes.values.sorted { $0.id < $1.id }
          .filter { owner == nil || $0.user == owner }
        return ["nodes": .array(nodes.map { AdminValue.node($0, in: tailnet, at: now) })]
      }
    case ("POST", 0): return try await addWireGuardPeer()
    case ("GET", 1):
      return try await coordinator.read { tailnet, now in
        ["node": AdminValue.node(try tailnet.node(called: path[0]), in: tailnet, at: now)]
      }
    case ("DELETE", 1):
      try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        let node = try tailnet.node(called: path[0])
        try tailnet.deleteNode(node.id, by: actor, at: now, into: &effects)
      }
      return [:]
    case ("POST", 2) where path[1] == "expire": return try await expire(path[0])
    case ("POST", 2) where path[1] == "tags":
      let tags = try body.list("tags")
      return try await changed(path[0]) { (tailnet, id, now, effects) throws(Refusal) in
        try tailnet.tagNode(id, with: tags, by: actor, at: now, into: &effects)
      }
    case ("POST", 3) where path[1] == "rename":
      return try await changed(path[0]) { (tailnet, id, now, effects) throws(Refusal) in
        try tailnet.renameNode(id, to: path[2], by: actor, at: now, into: &effects)
      }
    case ("POST", 2) where path[1] == "approve" || path[1] == "withhold":
      return try await changed(path[0]) { (tailnet, id, now, effects) throws(Refusal) in
        try tailnet.authorizeNode(id, path[1] == "approve", by: actor, at: now, into: &effects)
      }
    case ("POST", 2) where path[1] == "approve_routes":
      let change = try body.routeChange()
      return try await changed(path[0]) { (tailnet, id, now, effects) throws(Refusal) in
        try tailnet.approveRoutes(of: id, change, by: actor, at: now, into: &effects)
      }
    case ("POST", 2) where path[1] == "user":
      let name = try body.required("user")
      return try await changed(path[0]) { (tailnet, id, now, effects) throws(Refusal) in
        let user = try tailnet.user(called: name)
        return try tailnet.moveNode(id, to: user.id, by: actor, at: now, into: &effects)
      }
    case ("POST", 2) where path[1] == "ask": return try await ask(path[0])
    case (_, 2...3) where path[1] == "attributes":
      return try await attributes(method, of: path[0], path.count == 3 ? path[2] : nil)
    default: return nil
    }
  }

  private func attributes(
    _ method: String,
    of node: String,
    _ name: String?
  ) async throws -> JSONValue? {
    let actor = actor
    var (value, expiry): (PostureValue?, Timestamp?) = (nil, nil)
    switch (method, name) {
    case ("GET", nil):
      return try await coordinator.read { tailnet, _ in
        AdminValue.attributes(of: try tailnet.node(called: node))
      }
    case ("POST", .some):
      value = try body.posture("value")
      expiry = try body.time("expiry")
    case ("DELETE", .some): break
    default: return nil
    }
    return try await coordinator.perform {
      [value, expiry] (tailnet, now, _, effects) throws(Refusal) -> JSONValue in
      let changed = try tailnet.setAttribute(
        name ?? "",
        of: try tailnet.node(called: node).id,
        to: value,
        until: expiry,
        by: actor,
        at: now,
        into: &effects
      )
      return AdminValue.attributes(of: changed)
    }
  }

  private func expire(_ node: String) async throws -> JSONValue {
    let actor = actor
    let wish = try body.time("expiry")
    let never = try body.flag("disableExpiry")
    guard wish == nil || !never else {
      throw Refusal.invalid("Give expiry or disableExpiry, not both.")
    }
    return try await changed(node) { (tailnet, id, now, effects) throws(Refusal) in
      let expiry = never ? nil : wish ?? now.time
      return try tailnet.expireNode(id, at: expiry, by: actor, at: now, into: &effects)
    }
  }

  private func addWireGuardPeer() async throws -> JSONValue {
    let (actor, name) = (actor, try body.required("name"))
    let text = try body.required("nodeKey")
    let inBase64 = Base64.decode(text).flatMap { NodeKey(bytes: $0) }
    guard let key = NodeKey(text) ?? inBase64, !key.isZero else {
      throw Refusal.invalid(
        "The public key has to be 44 characters as 'wg show' prints them, or 'nodekey:' and 64 "
          + "hexadecimal digits."
      )
    }
    let endpoints = try body.list("endpoints").map { text throws(Refusal) in
      guard let endpoint = Endpoint(text), endpoint.port != 0 else {
        throw Refusal.invalid("An endpoint has to be like 192.0.2.1:51820.")
      }
      return endpoint
    }
    let (user, tags) = (try body.text("user"), try body.list("tags"))
    return try await shown { (tailnet, now, entropy, effects) throws(Refusal) in
      let owner = try user.map { name throws(Refusal) in try tailnet.user(called: name).id }
      return try tailnet.addWireGuardPeer(
        name: name,
        key: key,
        endpoints: endpoints,
        user: owner,
        tags: tags,
        by: actor,
        at: now,
        using: &entropy,
        into: &effects
      )
    }
  }

  private func changed(
    _ node: String,
    _ act: @Sendable (inout Tailnet, NodeID, Moment, inout Effects) throws(Refusal) -> NodeRecord
  ) async throws -> JSONValue {
    try await shown { (tailnet, now, _, effects) throws(Refusal) in
      try act(&tailnet, try tailnet.node(called: node).id, now, &effects)
    }
  }

  private func shown(
    _ act:
      @Sendable (
        inout Tailnet, Moment, inout Entropy, inout Effects
      ) throws(Refusal) -> NodeRecord
  ) async throws -> JSONValue {
    try await coordinator.perform { (tailnet, now, entropy, effects) throws(Refusal) -> JSONValue in
      let node = try act(&tailnet, now, &entropy, &effects)
      return ["node": AdminValue.node(node, in: tailnet, at: now)]
    }
  }

  func keys(_ method: String, _ path: [String]) async throws -> JSONValue? {
    let actor = actor
    switch (method, path) {
    case ("GET", []):
      return await coordinator.read { tailnet, _ in
        let keys = tailnet.keys.values.sorted { $0.id < $1.id }
        return [
          "preAuthKeys": .array(keys.map { AdminValue.key($0, in: tailnet, text: $0.masked) })
        ]
      }
    case ("POST", []): return try await createKey()
    case ("POST", ["expire"]):
      let id = try keyID(try body.required("id"))
      _ = try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        try tailnet.expireKey(id, by: actor, at: now, into: &effects)
      }
      return [:]
    case ("DELETE", []):
      let id = try keyID(query.value("id") ?? "")
      try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        try tailnet.deleteKey(id, by: actor, at: now, into: &effects)
      }
      return [:]
    default: return nil
    }
  }

  private func keyID(_ text: String) throws(Refusal) -> PreAuthKeyID {
    guard let number = Int64(text) else {
      throw .invalid("id has to be the number of a key; 'preauthkeys list' shows it.")
    }
    return PreAuthKeyID(number)
  }

  private func createKey() async throws -> JSONValue {
    let (actor, user, tags) = (actor, try body.text("user"), try body.list("aclTags"))
    let (isReusable, isEphemeral) = (try body.flag("reusable"), try body.flag("ephemeral"))
    let isPreauthorized = try body.flag("preauthorized")
    let (expiry, uses) = (try body.time("expiration"), try body.number("maximumUses"))
    return try await coordinator.perform {
      (tailnet, now, entropy, effects) throws(Refusal) -> JSONValue in
      let owner = try user.map { name throws(Refusal) in try tailnet.user(called: name).id }
      let (key, secret) = try tailnet.createKey(
        user: owner,
        tags: tags,
        isReusable: isReusable,
        maximumUses: uses.map { Int(clamping: $0) },
        isEphemeral: isEphemeral,
        isPreauthorized: isPreauthorized,
        expiry: expiry ?? now.time + .seconds(3600),
        by: actor,
        at: now,
        using: &entropy,
        into: &effects
      )
      return ["preAuthKey": AdminValue.key(key, in: tailnet, text: secret.text)]
    }
  }

  func logins(_ method: String, _ path: [String]) async throws -> JSONValue? {
    let actor = actor
    switch (method, path) {
    case ("GET", []):
      return await coordinator.read { tailnet, _ in
        [
          "authRequests": .array(tailnet.logins.pending.map(AdminValue.login)),
          "sshChecks": .array(
            tailnet.checks.pending.compactMap { AdminValue.check($0, in: tailnet) }
          ),
        ]
      }
    case ("POST", ["approve"]) where await isCheck(), ("POST", ["reject"]) where await isCheck():
      guard let id = CheckID(try body.required("authId")) else { return nil }
      try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        try tailnet.decide(id, passed: path == ["approve"], by: actor, at: now, into: &effects)
      }
      return [:]
    case ("POST", ["approve"]), ("POST", ["register"]):
      let (id, user, tags) = (try loginID(), try body.text("user"), try body.list("tags"))
      return try await shown { (tailnet, now, entropy, effects) throws(Refusal) in
        var owner = try user.map { name throws(Refusal) in try tailnet.user(called: name).id }
        // Where there is one user, there is nothing to ask.
        if owner == nil, tags.isEmpty, tailnet.users.count == 1 { owner = tailnet.users.keys.first }
        return try tailnet.approve(
          id,
          user: owner,
          tags: tags,
          by: actor,
          at: now,
          using: &entropy,
          into: &effects
        )
      }
    case ("POST", ["reject"]):
      let id = try loginID()
      try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        try tailnet.reject(id, by: actor, at: now, into: &effects)
      }
      return [:]
    default: return nil
    }
  }

  /// Whether it is a session of SSH that the call is about.
  private func isCheck() async -> Bool {
    // What cannot be read is refused by whoever asks for it next.
    guard let text = try? body.text("authId"), let id = CheckID(text) else { return false }
    return await coordinator.read { tailnet, _ in tailnet.checks[id] != nil }
  }

  private func loginID() throws(Refusal) -> LoginID {
    guard let id = LoginID(try body.required("authId")) else {
      throw .invalid("authId has to be the 32 digits at the end of the address of the login.")
    }
    return id
  }

  func audit() async throws -> JSONValue {
    let limit = query.value("limit").flatMap { Int($0) } ?? 100
    let entries = try await coordinator.audit(limit: min(max(limit, 1), 10_000))
    return ["entries": .array(entries.map(AdminValue.entry))]
  }
}
