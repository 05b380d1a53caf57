// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import CoordinationStore
internal import JSON
internal import Timing

// What the API does with the policy.

extension AdminCall {
  /// How many policies a list of them may have.
  private static let maximumHistory = 1000

  func policy(_ method: String, _ path: [String]) async throws -> JSONValue? {
    switch (method, path) {
    case ("GET", []): return try await currentPolicy()
    case ("PUT", []), ("POST", []): return try await setPolicy(try body.required("policy"))
    case ("POST", ["check"]):
      let text = try body.required("policy")
      _ = try await coordinator.read { tailnet, _ in try tailnet.check(policy: text) }
      return [:]
    case ("GET", ["history"]): return try await history()
    case ("GET", ["counters"]): return await counters()
    case ("POST", ["rollback"]):
      let version = try await version(try body.required("id"))
      return try await setPolicy(version.text, because: "back to policy \(version.id)")
    case ("POST", ["diff"]):
      var old: String?
      if let id = try body.text("id") { old = try await version(id).text }
      let (before, text) = (old, try body.required("policy"))
      return try await coordinator.read { tailnet, _ in
        try tailnet.difference(from: before, to: text).json
      }
    default: return nil
    }
  }

  private func currentPolicy() async throws -> JSONValue {
    if let id = query.value("id") { return try await Self.shown(version(id)) }
    guard let current = await coordinator.read({ tailnet, _ in tailnet.policyVersion }) else {
      throw Refusal.notFound("There is no policy: everybody may reach everybody.")
    }
    return Self.shown(current)
  }

  private func setPolicy(_ text: String, because reason: String = "") async throws -> JSONValue {
    let (actor, expected) = (actor, try body.text("expected"))
    let version = try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      // Who edits a policy must not undo what somebody else did meanwhile.
      if let expected, expected != String(tailnet.policyVersion?.id ?? 0) {
        throw .conflict(
          "Somebody else has changed the policy meanwhile. Look at it, and try again."
        )
      }
      return try tailnet.setPolicy(text, by: actor, because: reason, at: now, into: &effects)
    }
    return Self.shown(version)
  }

  private func version(_ id: String) async throws -> PolicyVersion {
    let versions = try await coordinator.policies(limit: Self.maximumHistory)
    guard let version = versions.first(where: { String($0.id) == id }) else {
      throw Refusal.notFound(
        "There is no policy \(NodeName.printable(id)); 'policy history' lists those there are."
      )
    }
    return version
  }

  private func history() async throws -> JSONValue {
    let limit = query.value("limit").flatMap { Int($0) } ?? 100
    let versions = try await coordinator.policies(limit: min(max(limit, 1), Self.maximumHistory))
    let shown = versions.map { version -> JSONValue in
      [
        "id": .string(String(version.id)), "actor": .string(version.actor),
        "createdAt": .string(version.created.description),
        "bytes": .integer(Int64(version.text.utf8.count)),
      ]
    }
    return ["policies": .array(shown)]
  }

  /// How much changes have made to be worked out anew, since the start.
  private func counters() async -> JSONValue {
    await coordinator.read { tailnet, _ in
      let counters = tailnet.policyCounters
      return [
        "compilations": .integer(Int64(counters.compilations)),
        "examined": .integer(Int64(counters.examined)),
        "changed": .integer(Int64(counters.changed)),
        "nodes": .integer(Int64(tailnet.nodes.count)),
      ]
    }
  }

  private static func shown(_ version: PolicyVersion) -> JSONValue {
    [
      "policy": .string(version.text), "updatedAt": .string(version.created.description),
      "id": .string(String(version.id)), "actor": .string(version.actor),
    ]
  }
}
