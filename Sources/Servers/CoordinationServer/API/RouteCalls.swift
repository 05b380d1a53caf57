// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import Coordination
internal import JSON
internal import Timing

/// Calls about the routes of nodes.
enum RouteCalls {
  /// How many bits of a route's number tell which of its node's routes it is.
  private static let bits: Int64 = 16

  static func list(_ call: APICall, of name: String?) async throws -> JSONValue {
    try await call.coordinator.read { tailnet, now in
      let nodes: [NodeRecord]
      if let name {
        nodes = [try tailnet.node(called: name)]
      } else {
        nodes = tailnet.nodes.values.sorted { $0.id < $1.id }
      }
      let shown = nodes.flatMap { node in
        let routes = Self.routes(of: node)
        let value = routes.isEmpty ? .null : AdminValue.node(node, in: tailnet, at: now)
        let device = tailnet.access?.device(node.id)
        return routes.enumerated().map { index, route -> JSONValue in
          let isEnabled =
            node.approvedRoutes.contains(route) && node.announcedRoutes.contains(route)
          return [
            "id": .string(String(node.id.rawValue << bits | Int64(index))), "node": value,
            "prefix": .string(route.description),
            "advertised": .bool(node.announcedRoutes.contains(route)),
            "enabled": .bool(isEnabled),
            "isPrimary": .bool(isEnabled && device?.primaryRoutes.contains(route) ?? false),
            "createdAt": .string(node.created.description),
            "updatedAt": .string(node.created.description), "deletedAt": .null,
          ]
        }
      }
      return ["routes": .array(shown)]
    }
  }

  /// Approves one route, or takes its approval back.
  static func set(_ call: APICall, isApproved: Bool) async throws -> JSONValue {
    guard let number = Int64(call["route"]), number > 0 else {
      throw Refusal.notFound("There is no such route.")
    }
    let actor = call.actor
    _ = try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      let index = Int(number & (1 << bits - 1))
      guard let node = tailnet.nodes[NodeID(number >> bits)], index < routes(of: node).count else {
        throw Refusal.notFound("There is no such route.")
      }
      let route = routes(of: node)[index]
      var approved = Set(node.approvedRoutes)
      if isApproved { approved.insert(route) } else { approved.remove(route) }
      return try tailnet.approveRoutes(
        of: node.id,
        approved.sorted(),
        by: actor,
        at: now,
        into: &effects
      )
    }
    return [:]
  }

  static func approve(_ call: APICall) async throws -> JSONValue {
    let (name, actor) = (call["node"], call.actor)
    let routes = try prefixes(try call.body.list("routes"))
    return try await call.coordinator.perform {
      (tailnet, now, _, effects) throws(Refusal) -> JSONValue in
      let node = try tailnet.approveRoutes(
        of: try tailnet.node(called: name).id,
        routes,
        by: actor,
        at: now,
        into: &effects
      )
      return ["node": AdminValue.node(node, in: tailnet, at: now)]
    }
  }

  static func prefixes(_ texts: [String]) throws(Refusal) -> [IPPrefix] {
    var prefixes: [IPPrefix] = []
    for text in texts {
      guard let prefix = IPPrefix(text), prefix == prefix.masked else {
        throw .invalid("'\(NodeName.printable(text))' is not a prefix such as 10.1.0.0/16.")
      }
      prefixes.append(prefix)
    }
    return prefixes
  }

  private static func routes(of node: NodeRecord) -> [IPPrefix] {
    Set(node.announcedRoutes + node.approvedRoutes).sorted()
  }
}
