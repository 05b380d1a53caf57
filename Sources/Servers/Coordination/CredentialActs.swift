// SPDX-License-Identifier: Apache-2.0

package import Cryptography
package import Timing

// What happens to credentials of the API.

extension Tailnet {
  /// Makes a key or a client, and its secret, which nothing remembers afterwards.
  ///
  /// Nobody makes what may do more than its maker: `maker` is what the maker may do, nil for all.
  package mutating func createCredential(
    _ kind: Credential.Kind,
    scopes: [Scope],
    tags: [String] = [],
    purpose: String = "",
    expiry: Timestamp?,
    client: CredentialID? = nil,
    user: UserID? = nil,
    within maker: Credential? = nil,
    by actor: String,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) throws(Refusal) -> (Credential, AuthSecret) {
    let tags = try Tag.valid(tags)
    if let user, users[user] == nil { throw .notFound("There is no user \(user).") }
    guard !scopes.isEmpty else { throw .invalid("A credential needs at least one scope.") }
    if let maker {
      guard maker.user == nil || user == nil || user == maker.user else {
        throw .invalid("A credential cannot act for another person than its maker does.")
      }
      guard scopes.allSatisfy(maker.scopes.cover) else {
        throw .invalid("A credential cannot be given scopes that its maker has not.")
      }
      guard maker.tags.isEmpty || Set(tags).isSubset(of: maker.tags) && !tags.isEmpty else {
        throw .invalid("A credential cannot be given tags that its maker has not.")
      }
    }
    let needsTags = scopes.contains { scope in
      [.devices, .authKeys].contains(scope.area) && !scope.isReadOnly
    }
    guard kind == .key || !needsTags || !tags.isEmpty else {
      throw .invalid("A client that may change devices:core or auth_keys needs at least one tag.")
    }
    if let expiry, expiry <= now.time {
      throw .invalid("The credential would already have expired.")
    }
    guard credentials.hasRoom(for: kind) else {
      throw Refusal(.exhausted, "There are too many credentials already. Delete some first.")
    }
    let secret = AuthSecret(kind.secret, using: &entropy)
    let credential = Credential(
      id: nextCredentialID(),
      kind: kind,
      prefix: secret.prefix,
      hash: secret.hash,
      scopes: scopes,
      tags: tags,
      purpose: try User.validText(purpose, for: "description"),
      client: client,
      user: user ?? maker?.user,
      created: now.time,
      expiry: expiry
    )
    keep(credential, into: &effects)
    audit(
      actor,
      "credential.create",
      "credential \(credential.masked)",
      scopes.map(\.description).joined(separator: " "),
      at: now,
      into: &effects
    )
    return (credential, secret)
  }

  /// What a program proves itself by, if it does; notes that it was used.
  package mutating func authenticate(
    _ text: String,
    as kinds: Set<Credential.Kind> = [.key, .token],
    at now: Moment,
    into effects: inout Effects
  ) -> Credential? {
    guard let secret = AuthSecret(anyKind: text),
      var credential = credentials.opened(by: secret), kinds.contains(credential.kind),
      credential.isValid(at: now.time, withoutUse: options.credentialIdle)
    else { return nil }
    let last = credential.lastUsed
    if last.map({ now.time >= $0 + Credentials.useResolution }) ?? true {
      credential.lastUsed = now.time
      keep(credential, into: &effects)
    }
    return limited(credential)
  }

  /// The credential that a program's secret opens, when it works and no use is to be written down.
  package func opened(by text: String, at now: Moment) -> (Credential, needsNote: Bool)? {
    guard let secret = AuthSecret(anyKind: text), let found = credentials.opened(by: secret),
      found.kind != .client, found.isValid(at: now.time, withoutUse: options.credentialIdle)
    else { return nil }
    return (limited(found), needsNote(found, at: now))
  }

  /// A credential with what the role of its person lets it do, as it is now.
  private func limited(_ credential: Credential) -> Credential {
    guard let user = credential.user else { return credential }
    var limited = credential
    let role = users[user]?.role.scopes ?? []
    limited.scopes = credential.scopes.flatMap { scope in role.compactMap(scope.common(with:)) }
    return limited
  }

  /// Whether using a credential now would be written down.
  package func needsNote(_ credential: Credential, at now: Moment) -> Bool {
    credential.lastUsed.map { now.time >= $0 + Credentials.useResolution } ?? true
  }

  /// Ends a credential now; tokens of a client end with it.
  package mutating func expireCredential(
    _ id: CredentialID,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    guard var credential = credentials[id] else { throw .notFound("There is no credential \(id).") }
    if credential.isValid(at: now.time) { credential.expiry = now.time }
    keep(credential, into: &effects)
    for token in credentials.tokens(of: id) { drop(token, into: &effects) }
    audit(
      actor,
      "credential.expire",
      "credential \(credential.masked)",
      "",
      at: now,
      into: &effects
    )
  }

  /// Forgets a credential, and with a client its tokens.
  package mutating func deleteCredential(
    _ id: CredentialID,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    guard let credential = credentials[id] else { throw .notFound("There is no credential \(id).") }
    for token in credentials.tokens(of: id) { drop(token, into: &effects) }
    drop(id, into: &effects)
    audit(
      actor,
      "credential.delete",
      "credential \(credential.masked)",
      "",
      at: now,
      into: &effects
    )
  }

  /// Notes that somebody asked for something with no right to it.
  package mutating func refuse(
    _ actor: String,
    _ what: String,
    because reason: String,
    at now: Moment,
    into effects: inout Effects
  ) {
    audit(actor, "api.refuse", what, reason, at: now, into: &effects)
  }

  /// Forgets the tokens whose time is over.
  mutating func endTokens(at now: Moment, into effects: inout Effects) {
    for id in credentials.endedTokens(at: now.time) { drop(id, into: &effects) }
  }

  private mutating func keep(_ credential: Credential, into effects: inout Effects) {
    credentials.put(credential)
    effects.mutations.append(.credential(credential))
  }

  private mutating func drop(_ id: CredentialID, into effects: inout Effects) {
    credentials.remove(id)
    effects.mutations.append(.credentialRemoved(id))
  }
}
