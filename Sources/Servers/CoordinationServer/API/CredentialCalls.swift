// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import Cryptography
internal import JSON
internal import Timing

/// Calls that make and end credentials of the API.
enum CredentialCalls {
  static func list(_ call: APICall) async throws -> JSONValue {
    await call.coordinator.read { tailnet, _ in
      let shown = tailnet.credentials.all.filter { $0.kind != .token }.map(value)
      return ["apiKeys": .array(shown)]
    }
  }

  static func makeKey(_ call: APICall) async throws -> JSONValue {
    let scopes = try call.body.list("scopes")
    let (tags, purpose) = (try call.body.list("tags"), try call.body.text("description") ?? "")
    let (expiry, user) = (try call.body.time("expiration"), try call.body.text("user"))
    let (actor, maker) = (call.actor, call.principal.credential)
    return try await call.coordinator.perform {
      (tailnet, now, entropy, effects) throws(Refusal) -> JSONValue in
      let scopes = try Scope.valid(scopes)
      let (_, secret) = try tailnet.createCredential(
        .key,
        scopes: scopes.isEmpty ? maker?.scopes ?? [Scope(.all)] : scopes,
        tags: tags.isEmpty ? maker?.tags ?? [] : tags,
        purpose: purpose,
        expiry: expiry ?? now.time + .seconds(90 * 86_400),
        user: try user.map { name throws(Refusal) in try tailnet.user(called: name).id },
        within: maker,
        by: actor,
        at: now,
        using: &entropy,
        into: &effects
      )
      return ["apiKey": .string(secret.text)]
    }
  }

  static func makeClient(_ call: APICall) async throws -> JSONValue {
    let (scopes, tags) = (try call.body.list("scopes"), try call.body.list("tags"))
    let purpose = try call.body.text("description") ?? ""
    let (actor, maker) = (call.actor, call.principal.credential)
    return try await call.coordinator.perform {
      (tailnet, now, entropy, effects) throws(Refusal) -> JSONValue in
      let (client, secret) = try tailnet.createCredential(
        .client,
        scopes: try Scope.valid(scopes),
        tags: tags,
        purpose: purpose,
        expiry: nil,
        within: maker,
        by: actor,
        at: now,
        using: &entropy,
        into: &effects
      )
      return V2Values.key(client, at: now.time, secret: secret.text)
    }
  }

  static func expire(_ call: APICall) async throws -> JSONValue {
    let (id, prefix) = (try call.body.text("id"), try call.body.text("prefix"))
    guard (id == nil) != (prefix == nil), let name = id ?? prefix else {
      throw Refusal.invalid("Give id or prefix.")
    }
    let actor = call.actor
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      let id = try find(name, in: tailnet).id
      try tailnet.expireCredential(id, by: actor, at: now, into: &effects)
    }
    return [:]
  }

  static func delete(_ call: APICall) async throws -> JSONValue {
    let (name, actor) = (call["prefix"], call.actor)
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      let id = try find(name, in: tailnet).id
      try tailnet.deleteCredential(id, by: actor, at: now, into: &effects)
    }
    return [:]
  }

  /// The credential that a prefix or a number means.
  static func find(_ name: String, in tailnet: Tailnet) throws(Refusal) -> Credential {
    let all = tailnet.credentials.all
    if let found = all.first(where: { $0.prefix == name }) { return found }
    guard let number = Int64(name), let found = tailnet.credentials[CredentialID(number)] else {
      throw .notFound("There is no credential '\(NodeName.printable(name))'.")
    }
    return found
  }

  /// As headscale shows a key.
  static func value(_ credential: Credential) -> JSONValue {
    [
      "id": .string(credential.id.description), "prefix": .string(credential.prefix),
      "kind": .string(credential.kind.rawValue),
      "scopes": .array(credential.scopes.map { .string($0.description) }),
      "tags": .array(credential.tags.map { .string($0) }),
      "description": .string(credential.purpose),
      "user": credential.user.map { .string($0.description) } ?? .null,
      "expiration": credential.expiry.map { .string($0.description) } ?? .null,
      "createdAt": .string(credential.created.description),
      "lastSeen": credential.lastUsed.map { .string($0.description) } ?? .null,
    ]
  }
}
