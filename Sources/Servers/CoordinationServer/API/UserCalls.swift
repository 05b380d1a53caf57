// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import JSON
internal import Timing

/// Calls about users, and about who did what.
enum UserCalls {
  /// How many entries of the audit are looked through.
  private static let maximumEntries = 10_000

  static func list(_ call: APICall) async throws -> JSONValue {
    let (type, role) = (call.target.value("type"), call.target.value("role"))
    return await call.coordinator.read { tailnet, _ in
      let users = tailnet.users.values.sorted { $0.id < $1.id }.filter { user in
        (type ?? "all" == "all" || type == "member")
          && (role ?? "all" == "all" || role == user.role.rawValue)
      }
      return ["users": .array(users.map { V2Values.account($0, in: tailnet) })]
    }
  }

  static func get(_ call: APICall) async throws -> JSONValue {
    let id = call["user"]
    return try await call.coordinator.read { tailnet, _ in
      V2Values.account(try find(id, in: tailnet), in: tailnet)
    }
  }

  static func setRole(_ call: APICall) async throws -> JSONValue {
    let maker = call.principal.credential
    let (id, actor, name) = (call["user"], call.actor, try call.body.required("role"))
    guard let role = PolicyWorld.Role(rawValue: name) else {
      throw Refusal.invalid("There is no role '\(NodeName.printable(name))'.")
    }
    // Who owns the network is decided at the machine that the server runs on.
    guard role != .owner || call.principal.credential == nil else {
      throw Refusal(.forbidden, "A credential of the API cannot give the network away.")
    }
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      let user = try find(id, in: tailnet)
      // Roles are given by who may do everything: others would give themselves more.
      if let person = maker?.user, tailnet.users[person]?.role.scopes != [Scope(.all)] {
        throw Refusal(.forbidden, "Only owners and administrators of the network give roles.")
      }
      _ = try tailnet.setRole(role, of: user.id, by: actor, at: now, into: &effects)
    }
    return [:]
  }

  static func delete(_ call: APICall) async throws -> JSONValue {
    let (id, actor) = (call["user"], call.actor)
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      try tailnet.deleteUser(try find(id, in: tailnet).id, by: actor, at: now, into: &effects)
    }
    return [:]
  }

  static func logs(_ call: APICall) async throws -> JSONValue {
    let start = try time(call.target.value("start"), "start")
    let end = try time(call.target.value("end"), "end")
    let entries = try await call.coordinator.audit(limit: maximumEntries).filter { entry in
      (start.map { entry.time >= $0 } ?? true) && (end.map { entry.time <= $0 } ?? true)
    }
    return ["version": "1.1", "logs": .array(entries.reversed().map(V2Values.log))]
  }

  private static func time(_ text: String?, _ name: String) throws(Refusal) -> Timestamp? {
    guard let text else { return nil }
    // An offset's plus sign is a space to who did not quote it.
    guard let time = Timestamp(String(text.map { $0 == " " ? "+" : $0 })) else {
      throw .invalid("\(name) has to be a time such as 2026-01-31T12:00:00Z.")
    }
    return time
  }

  private static func find(_ id: String, in tailnet: Tailnet) throws(Refusal) -> User {
    guard let number = Int64(id), let user = tailnet.users[UserID(number)] else {
      throw .notFound("There is no such user.")
    }
    return user
  }
}
