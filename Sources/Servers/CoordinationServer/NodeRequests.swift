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

  /// `POST /machine/id-token`: a proof for somebody else of who a node is.
  func idToken(_ body: [UInt8], from machine: MachineKey) async -> HTTPResponse {
    await perform(body) { request, key in
      let audience = request["Audience"]?.string ?? ""
      guard (1...TokenIssuer.maximumAudience).contains(audience.utf8.count),
        NodeName.printable(audience) == audience
      else { throw Refusal.invalid("Audience has to name who will read the token.") }
      guard tokens.budget.take() else {
        return Answer.text(429, "Too many tokens. Try again later.")
      }
      let subject = await coordinator.read { tailnet, now in
        tailnet.member(key, on: machine, at: now).map {
          TokenIssuer.Subject($0, in: tailnet, at: now)
        }
      }
      guard let subject else {
        throw Refusal.notFound("No such node is registered by this machine.")
      }
      let token = try tokens.token(for: subject, audience: audience)
      return Answer.json(200, (["id_token": .string(token)] as JSONValue).json)
    }
  }

  /// `HEAD /machine/ping-response?id=ID`: a node says that it lives.
  func sign(_ target: RequestTarget, from machine: MachineKey) async -> HTTPResponse {
    guard let id = target.value("id").flatMap({ CheckID($0) }) else { return Answer.empty(400) }
    return Answer.empty(await coordinator.answer(id, nil, from: machine) ? 200 : 404)
  }

  /// `POST /machine/c2n/ID`: what a node answers an administrator.
  func answered(
    _ target: RequestTarget,
    _ body: [UInt8],
    from machine: MachineKey
  ) async -> HTTPResponse {
    guard target.segments.count == 3, let id = CheckID(target.segments[2]) else {
      return Answer.text(404, "There is nothing here.")
    }
    guard await coordinator.answer(id, body, from: machine) else {
      return Answer.text(404, "Nobody waits for this answer.")
    }
    return Answer.empty(204)
  }

  /// `POST /machine/webclient/init/SOURCE/to/TARGET` begins a check of a session of the web interface,
  /// and `POST /machine/webclient/wait/SOURCE/to/TARGET/ID` waits for its end.
  func webSession(_ target: RequestTarget, from machine: MachineKey) async -> HTTPResponse {
    let path = target.segments
    guard path.count >= 6, path[4] == "to", let source = Int64(path[3]),
      let place = Int64(path[5])
    else { return Answer.text(404, "There is nothing here.") }
    do {
      switch (path[2], path.count) {
      case ("init", 6):
        let check = try await coordinator.perform {
          (tailnet, now, entropy, effects) throws(Refusal) in
          tailnet.refreshAccess(at: now, into: &effects)
          return try tailnet.webSession(
            from: NodeID(source),
            to: NodeID(place),
            for: machine,
            at: now,
            using: &entropy,
            into: &effects
          )
        }
        return await told(check)
      case ("wait", 7):
        guard let id = CheckID(path[6]) else { return Answer.text(404, "There is nothing here.") }
        let found: @Sendable (Tailnet, Moment) -> SessionCheck? = { tailnet, _ in
          tailnet.webSession(id, from: NodeID(source), to: NodeID(place), for: machine)
        }
        guard await coordinator.read(found) != nil else { return Self.unknownSession }
        await coordinator.waitForVerdict(on: id)
        try Task.checkCancellation()
        guard let check = await coordinator.read(found) else { return Self.unknownSession }
        guard check.verdict != .rejected else {
          return Answer.text(403, "The check of this session was not passed.")
        }
        return await told(check)
      default: return Answer.text(404, "There is nothing here.")
      }
    } catch let refusal as Refusal {
      return Answer.text(refusal.status, refusal.message)
    } catch { return unavailable(error) }
  }

  private static let unknownSession = Answer.text(404, "This session is not known, or is over.")

  private func told(_ check: SessionCheck) async -> HTTPResponse {
    let url = await coordinator.read { tailnet, _ in tailnet.options.url }
    let answer: JSONValue = [
      "ID": .string(check.id.description), "URL": .string("\(url)/auth/\(check.id)"),
      "Complete": .bool(check.verdict == .passed),
    ]
    return Answer.json(200, answer.json)
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
