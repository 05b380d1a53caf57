// SPDX-License-Identifier: Apache-2.0

internal import Bytes
internal import Coordination
internal import Cryptography
internal import HTTPTransport
internal import JSON

/// Calls about the policy, which is told as it was written.
enum PolicyCalls {
  private static let hujson = "application/hujson"
  /// What is in force before there ever was a policy, in words of its own language.
  private static let nothing = #"{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}"#

  static func get(_ call: APICall) async throws -> APIAnswer {
    try await call.checkTailnet()
    let text = await call.coordinator.read { tailnet, _ in tailnet.policyVersion?.text }
    return shown(text ?? nothing)
  }

  static func set(_ call: APICall) async throws -> APIAnswer {
    try await call.checkTailnet()
    let (text, actor) = (try text(call), call.actor)
    let expected = call.headers["If-Match"]
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      let current = tailnet.policyVersion?.text
      let isExpected =
        switch expected {
        case nil, "*"?: true
        case "ts-default"?, "\"ts-default\""?: current == nil
        case let tag?: tag == Self.tag(of: current ?? nothing)
        }
      guard isExpected else {
        throw Refusal(.stale, "Somebody else has changed the policy meanwhile.")
      }
      _ = try tailnet.setPolicy(text, by: actor, at: now, into: &effects)
    }
    return shown(text)
  }

  static func validate(_ call: APICall) async throws -> APIAnswer {
    try await call.checkTailnet()
    let text = try text(call)
    do {
      _ = try await call.coordinator.read { tailnet, _ in try tailnet.check(policy: text) }
      return APIAnswer([:])
    } catch let refusal as Refusal {
      return APIAnswer(["message": .string(refusal.message)])
    }
  }

  private static func text(_ call: APICall) throws(Refusal) -> String {
    guard let text = String(validating: call.bytes, as: UTF8.self), !text.isEmpty else {
      throw .invalid("The body has to be a policy.")
    }
    return text
  }

  private static func shown(_ text: String) -> APIAnswer {
    APIAnswer(type: hujson, Array(text.utf8), headers: [("ETag", tag(of: text))])
  }

  private static func tag(of text: String) -> String {
    "\"" + Hex.encode(SHA256.hash(Array(text.utf8))) + "\""
  }
}
