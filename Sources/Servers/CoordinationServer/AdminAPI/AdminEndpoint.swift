// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import Coordination
internal import CoordinationStore
internal import Cryptography
internal import HTTPTransport
internal import JSON
internal import Logging
internal import Timing

/// The administrator's door: `/api/v1` as JSON, over a socket that only root and we ourselves may use.
///
/// Shapes follow the API of headscale where it has them, so that its clients can be used: names in
/// camel case, 64-bit numbers as strings, empty lists as `[]`, times in RFC 3339 or null, errors as
/// `application/problem+json`.
struct AdminEndpoint: Sendable {
  let coordinator: Coordinator
  let logger: Logger
  /// Answers what the command line does not ask for in a form of its own.
  let door: APIDoor
  /// Copies everything that is kept into a directory.
  let backUp: @Sendable (String) async throws -> [String]
  /// Where counters are told.
  let metrics: Metrics
  /// The user that this server runs as; root may always.
  let ownUser: UInt32

  private static let marksOfBrowsers = ["Origin", "Referer", "Sec-Fetch-Site", "Sec-Fetch-Mode"]

  /// Answers one request of an administrator.
  func answer(_ request: HTTPRequest) async -> HTTPResponse {
    guard let user = request.remote.credentials?.userID, user == 0 || user == ownUser else {
      return problem(403, "Only root may administer this server.")
    }
    // No browser has business here, whoever runs it and whatever page it shows.
    guard Self.marksOfBrowsers.allSatisfy({ request.headers[$0] == nil }) else {
      return problem(403, "This interface is not for browsers.")
    }
    guard let target = RequestTarget(request.path) else {
      return problem(400, "The address of the request cannot be read.")
    }
    if target.path == "/metrics" { return await metrics.answer() }
    guard target.path.hasPrefix("/api/v1/") else {
      return await door.answer(request, local: .local(user: user))
    }
    var body = JSONValue.null
    if !request.body.isEmpty {
      do {
        body = try JSONValue(json: request.body)
      } catch { return problem(400, "The body is not JSON: \(error)") }
      guard body.object != nil else { return problem(400, "The body is not a JSON object.") }
    }
    let call = AdminCall(
      coordinator: coordinator,
      actor: "uid \(user)",
      query: target,
      body: AdminBody(body)
    )
    do {
      guard let result = try await route(request.method, target.segments.map(String.init), call)
      else { return await door.answer(request, local: .local(user: user)) }
      return Answer.json(200, result.json)
    } catch let refusal as Refusal {
      return problem(refusal.status, refusal.message)
    } catch {
      logger.warning("an administrative act failed", metadata: ["reason": "\(error)"])
      return problem(500, "\(error)")
    }
  }

  private func route(
    _ method: String,
    _ path: [String],
    _ call: AdminCall
  ) async throws -> JSONValue? {
    guard path.count >= 3, path[0] == "api", path[1] == "v1" else { return nil }
    let rest = Array(path.dropFirst(3))
    switch path[2] {
    case "user": return try await call.users(method, rest)
    case "node": return try await call.nodes(method, rest)
    case "preauthkey": return try await call.keys(method, rest)
    case "auth": return try await call.logins(method, rest)
    case "policy": return try await call.policy(method, rest)
    case "backup" where method == "POST" && rest.isEmpty:
      let path = try call.body.required("path")
      let files = try await backUp(path)
      try await coordinator.noteBackup(to: path, by: call.actor)
      return ["path": .string(path), "files": .array(files.map { .string($0) })]
    case "audit" where method == "GET" && rest.isEmpty: return try await call.audit()
    case "health" where method == "GET" && rest.isEmpty:
      try await coordinator.check()
      return ["databaseConnectivity": true]
    default: return nil
    }
  }

  private func problem(_ status: Int, _ detail: String) -> HTTPResponse {
    let value: JSONValue = [
      "title": .string(Self.titles[status] ?? "Error"), "status": .integer(Int64(status)),
      "detail": .string(detail),
    ]
    return Answer.bytes(status, "application/problem+json", value.json)
  }

  private static let titles = [
    400: "Bad Request", 403: "Forbidden", 404: "Not Found", 409: "Conflict",
    500: "Internal Server Error", 507: "Insufficient Storage",
  ]
}

extension Refusal {
  /// The status that the API answers it with.
  var status: Int {
    switch kind {
    case .notFound: 404
    case .invalid: 400
    case .conflict: 409
    case .exhausted: 507
    case .forbidden: 403
    case .stale: 412
    }
  }
}

/// One call of the API.
struct AdminCall: Sendable {
  let coordinator: Coordinator
  let actor: String
  let query: RequestTarget
  let body: AdminBody
}

/// The body of a call, whose fields are asked for by name and kind.
struct AdminBody: Sendable {
  private let value: JSONValue

  init(_ value: JSONValue) { self.value = value }

  /// A text, or a number that stands for one; nil when it is absent, null or empty.
  func text(_ name: String) throws(Refusal) -> String? {
    switch value[name] {
    case nil, .null?: return nil
    case .string(let text)?: return text.isEmpty ? nil : text
    case .integer(let number)?: return String(number)
    default: throw .invalid("\(name) has to be a text.")
    }
  }

  /// A text that has to be there.
  func required(_ name: String) throws(Refusal) -> String {
    guard let text = try text(name) else { throw .invalid("\(name) is missing.") }
    return text
  }

  /// A time; nil when it is absent, null or empty.
  func time(_ name: String) throws(Refusal) -> Timestamp? {
    guard let text = try text(name) else { return nil }
    guard let time = Timestamp(text) else {
      throw .invalid("\(name) has to be a time such as 2026-01-31T12:00:00Z.")
    }
    return time
  }

  /// What is known of a node's posture: a text, a number or a truth value.
  func posture(_ name: String) throws(Refusal) -> PostureValue {
    switch value[name] {
    case .string(let text)?: return .text(text)
    case .bool(let flag)?: return .flag(flag)
    case .integer(let number)?: return .number(Double(number))
    case .number(let number)?: return .number(number)
    default: throw .invalid("\(name) has to be a text, a number, true or false.")
    }
  }

  /// A whole number; nil when it is absent or null.
  func number(_ name: String) throws(Refusal) -> Int64? {
    switch value[name] {
    case nil, .null?: return nil
    case .integer(let number)?: return number
    default: throw .invalid("\(name) has to be a whole number.")
    }
  }

  /// An object; one with nothing in it when it is absent or null.
  func object(_ name: String) throws(Refusal) -> AdminBody {
    switch value[name] {
    case nil, .null?: return AdminBody([:])
    case .object(let object)?: return AdminBody(.object(object))
    default: throw .invalid("\(name) has to be an object.")
    }
  }

  /// The objects of a list; none when it is absent or null.
  func objects(_ name: String) throws(Refusal) -> [AdminBody] {
    switch value[name] {
    case nil, .null?: return []
    case .array(let items)? where items.allSatisfy({ $0.object != nil }):
      return items.map { AdminBody($0) }
    default: throw .invalid("\(name) has to be a list of objects.")
    }
  }

  /// The names of all fields, in order.
  var names: [String] { (value.object ?? [:]).map(\.0) }

  /// Whether a field is there and null.
  func isNull(_ name: String) -> Bool { value[name]?.isNull ?? false }

  /// A truth value; nil when it is absent or null.
  func flagIfAny(_ name: String) throws(Refusal) -> Bool? {
    value[name].map(\.isNull) ?? true ? nil : try flag(name)
  }

  /// What becomes of a node's approved routes: `routes` for these alone, or `add`, or `remove`.
  func routeChange() throws(Refusal) -> RouteChange {
    let given = ["routes", "add", "remove"].filter { value[$0] != nil }
    guard given.count == 1 else { throw .invalid("Give one of routes, add and remove.") }
    var prefixes: [IPPrefix] = []
    for text in try list(given[0]) {
      guard let prefix = IPPrefix(text) ?? IPAddress(text).map({ IPPrefix(host: $0) }) else {
        throw .invalid("'\(NodeName.printable(text))' is not a route: write 10.0.0.0/8.")
      }
      prefixes.append(prefix)
    }
    switch given[0] {
    case "add": return .add(prefixes)
    case "remove": return .remove(prefixes)
    default: return .replace(prefixes)
    }
  }

  /// A truth value; false when it is absent or null.
  func flag(_ name: String) throws(Refusal) -> Bool {
    switch value[name] {
    case nil, .null?: return false
    case .bool(let flag)?: return flag
    default: throw .invalid("\(name) has to be true or false.")
    }
  }

  /// A list of texts; empty when it is absent or null.
  func list(_ name: String) throws(Refusal) -> [String] {
    switch value[name] {
    case nil, .null?: return []
    case .array(let items)?:
      let texts = items.compactMap(\.string)
      guard texts.count == items.count else { throw .invalid("\(name) has to be a list of texts.") }
      return texts
    default: throw .invalid("\(name) has to be a list of texts.")
    }
  }
}
