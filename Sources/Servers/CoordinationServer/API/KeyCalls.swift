// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import Cryptography
internal import JSON
internal import Timing

/// Calls about keys that let machines join, and about credentials of the API.
///
/// The number of the former begins with `a`, of the latter with `c`.
enum KeyCalls {
  /// How long a key works when nothing is said.
  private static let lifetime = 90 * 86_400
  private static let maximumLifetime: Int64 = 100 * 366 * 86_400

  static func list(_ call: APICall) async throws -> JSONValue {
    let seesCredentials = call.principal.may(Scope(.oauthKeys, isReadOnly: true))
    return await call.coordinator.read { tailnet, now in
      var shown = tailnet.keys.values.sorted { $0.id < $1.id }
        .map { V2Values.key($0, at: now.time) }
      if seesCredentials {
        shown += tailnet.credentials.all.filter { $0.kind != .token }
          .map { V2Values.key($0, at: now.time) }
      }
      return ["keys": .array(shown)]
    }
  }

  static func get(_ call: APICall) async throws -> JSONValue {
    let id = call["key"]
    let seesCredentials = call.principal.may(Scope(.oauthKeys, isReadOnly: true))
    return try await call.coordinator.read { tailnet, now in
      if id.first == "a", let number = Int64(id.dropFirst()),
        let key = tailnet.keys[PreAuthKeyID(number)]
      {
        return V2Values.key(key, at: now.time)
      }
      if seesCredentials, id.first == "c", let number = Int64(id.dropFirst()),
        let credential = tailnet.credentials[CredentialID(number)], credential.kind != .token
      {
        return V2Values.key(credential, at: now.time)
      }
      throw Refusal.notFound("There is no such key.")
    }
  }

  static func delete(_ call: APICall) async throws -> JSONValue {
    let (id, actor) = (call["key"], call.actor)
    let mayEnd = call.principal.may(Scope(.oauthKeys))
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      guard let number = Int64(id.dropFirst()) else {
        throw Refusal.notFound("There is no such key.")
      }
      switch id.first {
      case "a": try tailnet.deleteKey(PreAuthKeyID(number), by: actor, at: now, into: &effects)
      case "c" where mayEnd:
        try tailnet.deleteCredential(CredentialID(number), by: actor, at: now, into: &effects)
      default: throw Refusal.notFound("There is no such key.")
      }
    }
    return [:]
  }

  static func make(_ call: APICall) async throws -> JSONValue {
    let kind = try call.body.text("keyType") ?? "auth"
    guard kind == "auth" else {
      guard kind == "client" else {
        throw Refusal.invalid("keyType has to be auth or client.")
      }
      guard call.principal.may(Scope(.oauthKeys)) else {
        throw APIError(status: 403, message: "The credential lacks the scope oauth_keys.")
      }
      return try await CredentialCalls.makeClient(call)
    }
    let create = try call.body.object("capabilities").object("devices").object("create")
    let tags = try create.list("tags")
    try call.check(tags: tags)
    let isReusable = try create.flag("reusable")
    let isEphemeral = try create.flag("ephemeral")
    let isPreauthorized = try create.flag("preauthorized")
    let seconds = try call.body.number("expirySeconds") ?? Int64(lifetime)
    guard seconds > 0, seconds <= maximumLifetime else {
      throw Refusal.invalid("expirySeconds has to lie between 1 and \(maximumLifetime).")
    }
    let actor = call.actor
    return try await call.coordinator.perform {
      (tailnet, now, entropy, effects) throws(Refusal) -> JSONValue in
      var owner: UserID?
      if tags.isEmpty {
        // Whose nodes untagged ones are is plain where there is one user only.
        guard tailnet.users.count == 1 else {
          throw Refusal.invalid("Say with which tags: an untagged key needs a user of its own.")
        }
        owner = tailnet.users.keys.first
      }
      let (key, secret) = try tailnet.createKey(
        user: owner,
        tags: tags,
        isReusable: isReusable,
        isEphemeral: isEphemeral,
        isPreauthorized: isPreauthorized,
        expiry: now.time + .seconds(seconds),
        by: actor,
        at: now,
        using: &entropy,
        into: &effects
      )
      return V2Values.key(key, at: now.time, secret: secret.text)
    }
  }
}

/// `POST /oauth/token`: a client's secret for a token.
///
/// - Source: RFC 6749 §4.4, §5.
enum TokenCall {
  static func answer(_ call: APICall) async throws -> APIAnswer {
    let text = String(validating: call.bytes, as: UTF8.self) ?? ""
    guard let form = RequestTarget("/?" + text) else { return refusal(400, "invalid_request") }
    if let kind = form.value("grant_type"), kind != "client_credentials" {
      return refusal(400, "unsupported_grant_type")
    }
    let shown = form.value("client_secret") ?? ShownSecret.read(call.headers)
    guard
      let secret = (shown?.split(separator: "?").first).flatMap({ AuthSecret(String($0), .client) })
    else { return refusal(401, "invalid_client") }
    let scopes = words(form.value("scope"))
    let tags = words(form.value("tags"))
    do {
      let token = try await call.coordinator.perform {
        (tailnet, now, entropy, effects) throws(Refusal) -> (AuthSecret, [Scope])? in
        guard let client = tailnet.authenticate(secret.text, as: [.client], at: now, into: &effects)
        else { return nil }
        let wanted = scopes.isEmpty ? client.scopes : try Scope.valid(scopes)
        let (made, text) = try tailnet.createCredential(
          .token,
          scopes: wanted,
          tags: tags.isEmpty ? client.tags : tags,
          expiry: now.time + Credentials.tokenLifetime,
          client: client.id,
          within: client,
          by: client.masked,
          at: now,
          using: &entropy,
          into: &effects
        )
        return (text, made.scopes)
      }
      guard let (text, scopes) = token else { return refusal(401, "invalid_client") }
      return APIAnswer([
        "access_token": .string(text.text), "token_type": "Bearer",
        "expires_in": .integer(Credentials.tokenLifetime.components.seconds),
        "scope": .string(scopes.map(\.description).joined(separator: " ")),
      ])
    } catch let error as Refusal where error.kind == .invalid {
      return refusal(400, "invalid_scope")
    }
  }

  private static func words(_ text: String?) -> [String] {
    (text ?? "").split(whereSeparator: { $0 == " " || $0 == "," }).map(String.init)
  }

  private static func refusal(_ status: Int, _ reason: String) -> APIAnswer {
    var answer = APIAnswer(["error": .string(reason)])
    answer.status = status
    return answer
  }
}
