// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import Coordination
internal import CoordinationStore
internal import HTTPTransport
internal import JSON
internal import Logging
internal import Synchronization
internal import Timing

/// Answers calls of the API: who calls, whether it may, what it asks; refusals are written down.
struct APIDoor: Sendable {
  let coordinator: Coordinator
  let logger: Logger
  let version: String
  /// How many refusals are written down: a stranger must not fill the audit.
  let refusals = RefusalBudget()

  /// Whether an address is one of the API's.
  static func isAPI(_ path: String) -> Bool {
    path == "/api" || path.hasPrefix("/api/") || path == "/openapi.json"
  }

  /// Answers one call; `local` is who calls over the socket.
  func answer(_ request: HTTPRequest, local: Principal? = nil) async -> HTTPResponse {
    guard let target = RequestTarget(request.path) else {
      return Self.refusal(400, "The address of the request cannot be read.", at: "")
    }
    let address = target.segments
    let here = APIRoutes.all.compactMap { route in route.match(address).map { (route, $0) } }
    // An address in full goes before one with names.
    guard let best = here.map(\.1.count).min() else {
      return Self.refusal(404, "There is nothing here.", at: target.path)
    }
    let known = here.filter { $0.1.count == best }
    guard let (route, parameters) = known.first(where: { $0.0.method == request.method }) else {
      let methods = Set(known.map(\.0.method)).sorted().joined(separator: ", ")
      return Self.refusal(
        405,
        "Only \(methods) is answered here.",
        at: target.path,
        ("Allow", methods)
      )
    }
    do {
      let principal: Principal
      if let local {
        principal = local
      } else if let scope = route.scope {
        principal = try await admit(request, to: route, needing: scope)
      } else {
        principal = .local(user: .max)
      }
      let call = APICall(
        coordinator: coordinator,
        principal: principal,
        target: target,
        parameters: parameters,
        headers: request.headers,
        bytes: request.body,
        body: AdminBody(try Self.object(request, for: route)),
        version: version
      )
      let answer = try await route.answer(call)
      if answer.status == 401, local == nil {
        await note("nobody", "\(route.method) \(route.path)", "a secret that is not valid", request)
      }
      return Answer.bytes(answer.status, answer.type, answer.bytes, answer.headers)
    } catch let refusal as Refusal {
      return Self.refusal(refusal.status, refusal.message, at: target.path)
    } catch let error as APIError {
      let challenge = ("WWW-Authenticate", "Bearer realm=\"martlet\"")
      guard error.status == 401 else {
        return Self.refusal(error.status, error.message, at: target.path)
      }
      return Self.refusal(401, error.message, at: target.path, challenge)
    } catch {
      logger.warning("a call of the API failed", metadata: ["reason": "\(error)"])
      // Who has no socket is not told what the database says.
      let told = local == nil ? "The server cannot do this now. Try again." : "\(error)"
      return Self.refusal(local == nil ? 503 : 500, told, at: target.path)
    }
  }

  /// Who calls, when it may.
  private func admit(
    _ request: HTTPRequest,
    to route: APIRoute,
    needing scope: Scope
  ) async throws -> Principal {
    let what = "\(route.method) \(route.path)"
    guard let shown = ShownSecret.read(request.headers) else {
      await note("nobody", what, "no credential", request)
      throw APIError(status: 401, message: "Show a credential: Authorization: Bearer SECRET.")
    }
    guard let credential = try await coordinator.authenticate(shown) else {
      await note("nobody", what, "a credential that is not valid", request)
      throw APIError(status: 401, message: "The credential is not valid, or has expired.")
    }
    let principal = Principal.program(credential)
    guard principal.may(scope) else {
      await note(principal.actor, what, "needs \(scope)", request)
      throw APIError(status: 403, message: "The credential lacks the scope \(scope).")
    }
    return principal
  }

  private func note(
    _ actor: String,
    _ what: String,
    _ reason: String,
    _ request: HTTPRequest
  ) async {
    let place = request.remote.endpoint.map { " from \($0.address)" } ?? ""
    logger.notice(
      "refused a call of the API",
      metadata: ["actor": "\(actor)", "call": "\(what)", "reason": "\(reason)\(place)"]
    )
    guard refusals.take() else { return }
    do {
      try await coordinator.perform { tailnet, now, _, effects in
        tailnet.refuse(actor, what, because: reason + place, at: now, into: &effects)
      }
    } catch {
      logger.warning("a refusal was not written down", metadata: ["reason": "\(error)"])
    }
  }

  /// The body of a call that has one, as an object.
  private static func object(
    _ request: HTTPRequest,
    for route: APIRoute
  ) throws(Refusal) -> JSONValue {
    guard route.body != nil, route.bodyType == "application/json", !request.body.isEmpty else {
      return .null
    }
    do {
      let value = try JSONValue(json: request.body)
      guard value.object != nil else { throw Refusal.invalid("The body is not a JSON object.") }
      return value
    } catch let refusal as Refusal {
      throw refusal
    } catch {
      throw .invalid("The body is not JSON: \(error)")
    }
  }

  /// What is answered instead: as clients of each API expect it.
  static func refusal(
    _ status: Int,
    _ message: String,
    at path: String,
    _ more: (String, String)...
  ) -> HTTPResponse {
    guard path.hasPrefix("/api/v2") else {
      let value: JSONValue = [
        "title": .string(titles[status] ?? "Error"), "status": .integer(Int64(status)),
        "detail": .string(message),
      ]
      return Answer.bytes(status, "application/problem+json", value.json, more)
    }
    let value: JSONValue = ["message": .string(message), "status": .integer(Int64(status))]
    return Answer.bytes(status, "application/json", value.json, more)
  }

  private static let titles = [
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 412: "Precondition Failed",
    500: "Internal Server Error", 503: "Service Unavailable", 507: "Insufficient Storage",
  ]
}

/// How many refusals may still be written down.
final class RefusalBudget: Sendable {
  /// How many at once.
  static let burst = 1000
  /// How many a second.
  static let rate = 5

  private struct State {
    var left = RefusalBudget.burst
    var filled = SystemClock.now().instant
    var dropped = 0
  }

  private let state = Mutex(State())

  /// How many were not written down.
  var dropped: Int { state.withLock { $0.dropped } }

  /// Takes a place, if there is one.
  func take() -> Bool {
    let now = SystemClock.now().instant
    return state.withLock { state in
      let seconds = Int((now - state.filled).components.seconds)
      if seconds > 0 {
        state.left = min(Self.burst, state.left + seconds * Self.rate)
        state.filled = now
      }
      guard state.left > 0 else {
        state.dropped += 1
        return false
      }
      state.left -= 1
      return true
    }
  }
}

extension Coordinator {
  /// What a program proves itself by, if it does.
  func authenticate(_ secret: String) async throws -> Credential? {
    guard let (credential, needsNote) = tailnet.opened(by: secret, at: now) else { return nil }
    guard needsNote else { return credential }
    return try await perform { tailnet, now, _, effects in
      tailnet.authenticate(secret, at: now, into: &effects)
    }
  }
}
