// SPDX-License-Identifier: Apache-2.0

internal import ControlProtocol
internal import Coordination
internal import HTTPTransport
internal import JSON
internal import Keys

// The smaller requests of nodes, inside their Noise connection.

extension MachineEndpoint {
  /// `GET /machine/whoami`: as whom the server knows the machine that asks.
  func whoAmI(_ machine: MachineKey) async -> HTTPResponse {
    let nodes = await coordinator.read { tailnet, now in
      tailnet.nodes(on: machine).map { node -> JSONValue in
        [
          "ID": .integer(node.id.rawValue), "StableID": .string(node.stableID),
          "Name": .string(tailnet.qualifiedName(of: node)),
          "User": .string(tailnet.profile(of: node.shownUser).loginName),
          "MachineAuthorized": .bool(node.mayTalk(at: now.time)),
        ]
      }
    }
    let answer: JSONValue = ["MachineKey": .string(machine.description), "Nodes": .array(nodes)]
    return Answer.json(200, answer.json)
  }

  /// `POST /machine/audit-log`: what a person did at a node.
  func auditLog(_ body: [UInt8], from machine: MachineKey) async -> HTTPResponse {
    await perform(body) { request, key in
      guard reports.take() else { return Answer.text(429, "Too many reports. Try again later.") }
      let (action, details) = (request["Action"]?.string ?? "", request["Details"]?.string ?? "")
      try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        try tailnet.report(action, details, by: key, on: machine, at: now, into: &effects)
      }
      return Answer.json(200, Array("{}".utf8))
    }
  }

  /// `POST /machine/feature/query`: whether a feature is there, and what to do where it is not.
  ///
  /// This server switches nothing on at the wish of a node: the policy says what each may do.
  func queryFeature(_ body: [UInt8], from machine: MachineKey) async -> HTTPResponse {
    await perform(body) { request, key in
      let feature = NodeName.printable(request["Feature"]?.string ?? "")
      let isMember = await coordinator.read { tailnet, now in
        tailnet.member(key, on: machine, at: now) != nil
      }
      guard isMember else {
        throw Refusal.notFound("No such node is registered by this machine.")
      }
      let answer: JSONValue = [
        "Complete": false, "ShouldWait": false,
        "Text": .string(
          "'\(feature)' is not on for this node. An administrator can give it the attribute by "
            + "nodeAttrs in the policy: martlet-control policy edit."
        ),
      ]
      return Answer.json(200, answer.json)
    }
  }

  private func perform(
    _ body: [UInt8],
    _ answer: (JSONValue, NodeKey) async throws -> HTTPResponse
  ) async -> HTTPResponse {
    let request: JSONValue
    do {
      request = try JSONValue(json: body)
    } catch { return Answer.text(400, "The request cannot be read: \(error)") }
    guard let key = request["NodeKey"]?.string.flatMap({ NodeKey($0) }), !key.isZero else {
      return Answer.text(400, "The request names no node key.")
    }
    do {
      return try await answer(request, key)
    } catch let refusal as Refusal {
      return Answer.text(refusal.status, refusal.message)
    } catch { return unavailable(error) }
  }
}
