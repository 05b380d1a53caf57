// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import HTTPTransport
internal import JSON
internal import Timing

/// One address of the API and one method: who may ask, what is asked and answered, and who answers.
///
/// What the table of routes does not hold does not exist: doors, description and tests are made of it.
struct APIRoute: Sendable {
  /// A value in the query of an address.
  struct Parameter: Sendable {
    let name: String
    let summary: String
  }

  let method: String
  /// The path, with names in braces for what differs: `/api/v1/node/{id}`.
  let path: String
  /// What a caller must have; nil when anybody may ask.
  let scope: Scope?
  let summary: String
  var query: [Parameter] = []
  /// The form of the body; nil when there is none.
  var body: JSONValue?
  var bodyType = "application/json"
  /// The form of the answer.
  let result: JSONValue
  var resultType = "application/json"
  let answer: @Sendable (APICall) async throws -> APIAnswer

  private var segments: [Substring] { path.split(separator: "/") }

  /// What stands for the names in braces, when an address is this one.
  func match(_ address: [Substring]) -> [String: String]? {
    let segments = segments
    guard segments.count == address.count else { return nil }
    var values: [String: String] = [:]
    for (own, other) in zip(segments, address) {
      if own.first == "{" {
        values[String(own.dropFirst().dropLast())] = String(other)
      } else if own != other {
        return nil
      }
    }
    return values
  }

  /// The names in braces.
  var names: [String] {
    segments.filter { $0.first == "{" }.map { String($0.dropFirst().dropLast()) }
  }
}

/// One call of the API.
struct APICall: Sendable {
  let coordinator: Coordinator
  let principal: Principal
  let target: RequestTarget
  let parameters: [String: String]
  let headers: HTTPHeaders
  let bytes: [UInt8]
  let body: AdminBody
  let version: String

  var actor: String { principal.actor }

  /// What stands for a name in braces of the address.
  subscript(name: String) -> String { parameters[name] ?? "" }

  /// The acts that the command line asks for too.
  var admin: AdminCall {
    AdminCall(coordinator: coordinator, actor: actor, query: target, body: body)
  }
}

/// What is answered.
struct APIAnswer: Sendable {
  var status = 200
  var type = "application/json"
  var bytes: [UInt8]
  var headers: [(String, String)] = []

  init(_ value: JSONValue) { bytes = value.json }

  init(type: String, _ bytes: [UInt8], headers: [(String, String)] = []) {
    (self.type, self.bytes, self.headers) = (type, bytes, headers)
  }
}

/// A refusal with a status of its own.
struct APIError: Error {
  let status: Int
  let message: String
}
