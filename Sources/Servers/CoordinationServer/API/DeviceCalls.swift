// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import Cryptography
internal import JSON
internal import Timing

/// Calls about devices, which are nodes.
enum DeviceCalls {
  static func list(_ call: APICall) async throws -> JSONValue {
    let whole = call.target.value("fields") == "all"
    return await call.coordinator.read { tailnet, now in
      let shown = tailnet.order.compactMap { tailnet.nodes[$0] }
        .map { V2Values.device($0, in: tailnet, at: now, whole: whole) }
      return ["devices": .array(shown)]
    }
  }

  static func get(_ call: APICall) async throws -> JSONValue {
    let (id, whole) = (call["device"], call.target.value("fields") == "all")
    return try await call.coordinator.read { tailnet, now in
      V2Values.device(try find(id, in: tailnet), in: tailnet, at: now, whole: whole)
    }
  }

  static func delete(_ call: APICall) async throws -> JSONValue {
    try await change(call) { (tailnet, id, actor, now, effects) throws(Refusal) in
      try tailnet.deleteNode(id, by: actor, at: now, into: &effects)
    }
  }

  static func authorize(_ call: APICall) async throws -> JSONValue {
    let isAuthorized = try call.body.flag("authorized")
    return try await change(call) { (tailnet, id, actor, now, effects) throws(Refusal) in
      _ = try tailnet.authorizeNode(id, isAuthorized, by: actor, at: now, into: &effects)
    }
  }

  static func rename(_ call: APICall) async throws -> JSONValue {
    let name = try call.body.required("name")
    return try await change(call) { (tailnet, id, actor, now, effects) throws(Refusal) in
      let suffix = "." + tailnet.options.domain
      let label = name.hasSuffix(suffix) ? String(name.dropLast(suffix.count)) : name
      _ = try tailnet.renameNode(id, to: label, by: actor, at: now, into: &effects)
    }
  }

  static func tag(_ call: APICall) async throws -> JSONValue {
    let tags = try call.body.list("tags")
    try call.check(tags: tags)
    return try await change(call) { (tailnet, id, actor, now, effects) throws(Refusal) in
      // As the hosted service: tags are not taken away, a node's owner would have to log in again.
      guard !tags.isEmpty else { return }
      _ = try tailnet.tagNode(id, with: tags, by: actor, at: now, into: &effects)
    }
  }

  static func setExpiry(_ call: APICall) async throws -> JSONValue {
    let isDisabled = try call.body.flag("keyExpiryDisabled")
    return try await change(call) { (tailnet, id, actor, now, effects) throws(Refusal) in
      guard isDisabled || tailnet.nodes[id]?.expiry == nil else { return }
      let end = isDisabled ? nil : tailnet.options.keyLifetime.map { now.time + $0 }
      _ = try tailnet.expireNode(id, at: end, by: actor, at: now, into: &effects)
    }
  }

  static func expire(_ call: APICall) async throws -> JSONValue {
    try await change(call) { (tailnet, id, actor, now, effects) throws(Refusal) in
      _ = try tailnet.expireNode(id, at: now.time, by: actor, at: now, into: &effects)
    }
  }

  static func routes(_ call: APICall) async throws -> JSONValue {
    let id = call["device"]
    return try await call.coordinator.read { tailnet, _ in
      V2Values.routes(try find(id, in: tailnet))
    }
  }

  static func setRoutes(_ call: APICall) async throws -> JSONValue {
    let routes = try RouteCalls.prefixes(try call.body.list("routes"))
    _ = try await change(call) { (tailnet, id, actor, now, effects) throws(Refusal) in
      _ = try tailnet.approveRoutes(of: id, routes, by: actor, at: now, into: &effects)
    }
    return try await Self.routes(call)
  }

  static func attributes(_ call: APICall, _ method: String) async throws -> JSONValue {
    let id = call["device"]
    let node = try await call.coordinator.read { tailnet, _ in try find(id, in: tailnet).id }
    let name = call.parameters["attribute"].map { [$0] } ?? []
    let answer = try await call.admin.nodes(method, [node.description, "attributes"] + name)
    return answer ?? [:]
  }

  private static func change(
    _ call: APICall,
    _ act:
      @Sendable (
        inout Tailnet, NodeID, String, Moment, inout Effects
      ) throws(Refusal) -> Void
  ) async throws -> JSONValue {
    let (id, actor) = (call["device"], call.actor)
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      try act(&tailnet, try find(id, in: tailnet).id, actor, now, &effects)
    }
    return [:]
  }

  /// The node that a number or a stable name means; never a name that people give.
  private static func find(_ id: String, in tailnet: Tailnet) throws(Refusal) -> NodeRecord {
    if let number = Int64(id), let node = tailnet.nodes[NodeID(number)] { return node }
    guard let node = tailnet.nodes.values.first(where: { $0.stableID == id }) else {
      throw .notFound("There is no such device.")
    }
    return node
  }
}
