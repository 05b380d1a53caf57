// SPDX-License-Identifier: Apache-2.0

internal import Bytes
package import JSON
package import Timing

/// What an identity provider says of a person who has just proven to be there.
package struct IdentityClaims: Hashable, Sendable {
  /// How many groups of a person are kept.
  package static let maximumGroups = 200
  /// How far the provider's clock may be from ours.
  static let leeway = Duration.seconds(60)

  /// Who it is: the provider's name and its name for the person.
  package let identity: ExternalIdentity
  /// The person's mail address; empty when it is not told.
  package private(set) var email = ""
  /// Whether the provider has seen that the address is the person's.
  package private(set) var isEmailVerified = false
  /// The person's name for people.
  package private(set) var name = ""
  /// The name that the person would like to log in with.
  package private(set) var preferredName = ""
  /// The groups that the person is in, by their bare names.
  package private(set) var groups: [String] = []
  /// When the token ends.
  package let expiry: Timestamp

  /// Reads a token whose signature is proven.
  ///
  /// - Source: OpenID Connect Core 1.0 §3.1.3.7.
  package init(
    _ token: SignedToken,
    from issuer: String,
    for client: String,
    answering nonce: String,
    at now: Timestamp
  ) throws(TokenRefusal) {
    let claims = token.claims
    guard claims["iss"]?.string == issuer else { throw .issuer }
    let audiences =
      claims["aud"]?.string.map { [$0] } ?? claims["aud"]?.array?.compactMap(\.string) ?? []
    let party = claims["azp"]?.string
    guard audiences.contains(client), party ?? client == client,
      audiences.count == 1 || party != nil
    else { throw .audience }
    guard let answered = claims["nonce"]?.string,
      equalInConstantTime(Array(answered.utf8), Array(nonce.utf8))
    else { throw .nonce }
    guard let end = Self.time(claims["exp"]), end + Self.leeway > now else { throw .time }
    for name in ["nbf", "iat"] {
      if let start = Self.time(claims[name]), start > now + Self.leeway { throw .time }
    }
    guard let subject = claims["sub"]?.string, (1...255).contains(subject.utf8.count) else {
      throw .subject
    }
    identity = ExternalIdentity(issuer: issuer, subject: subject)
    expiry = end
    take(claims)
  }

  /// Adds what the provider tells besides, when it speaks of the same person.
  package mutating func add(_ claims: JSONValue) {
    guard claims["sub"]?.string == identity.subject else { return }
    take(claims)
  }

  /// Takes the address for the person's, though the provider does not say so: the operator did.
  package mutating func trustEmail() { isEmailVerified = true }

  private mutating func take(_ claims: JSONValue) {
    if let text = claims["email"]?.string {
      email = text
      isEmailVerified = Self.flag(claims["email_verified"])
    }
    if let text = claims["name"]?.string { name = text }
    if let text = claims["preferred_username"]?.string { preferredName = text }
    let told =
      claims["groups"]?.string.map { [$0] } ?? claims["groups"]?.array?.compactMap(\.string)
    guard let told else { return }
    // A name that cannot be shown can be in no policy.
    let named = told.filter { group in
      (1...128).contains(group.utf8.count) && group.unicodeScalars.allSatisfy { !isControl($0) }
    }
    groups = Array(Set(named).sorted().prefix(Self.maximumGroups))
  }

  /// Some providers write truth as a text.
  private static func flag(_ value: JSONValue?) -> Bool {
    value?.bool ?? (value?.string?.lowercased() == "true")
  }

  private static func time(_ value: JSONValue?) -> Timestamp? {
    guard let seconds = value?.double, seconds.isFinite, (0..<253_402_300_800).contains(seconds)
    else { return nil }
    return Timestamp(seconds: Int64(seconds))
  }

  /// What stands behind the last `@` of the mail address, in lower case.
  var domain: String? {
    email.lastIndex(of: "@").map { email[email.index(after: $0)...].lowercased() }
  }
}

/// Who may log in, of all whom a provider knows.
package struct IdentityRules: Hashable, Sendable {
  /// The domains of mail addresses; empty for all.
  package var domains: [String]
  /// The mail addresses; empty for all.
  package var users: [String]
  /// The groups, one of which is enough; empty for all.
  package var groups: [String]
  /// Whether an address counts only when the provider has seen that it is the person's.
  package var needsVerifiedEmail: Bool

  /// These rules; all of them have to be kept.
  package init(
    domains: [String] = [],
    users: [String] = [],
    groups: [String] = [],
    needsVerifiedEmail: Bool = true
  ) {
    self.domains = domains.map { $0.lowercased() }
    self.users = users.map { $0.lowercased() }
    self.groups = groups
    self.needsVerifiedEmail = needsVerifiedEmail
  }

  /// Refuses who may not log in.
  ///
  /// What is not on a list is refused where there is one: nothing is guessed from an address.
  package func check(_ claims: IdentityClaims) throws(Refusal) {
    if !groups.isEmpty, Set(groups).isDisjoint(with: claims.groups) {
      throw Refusal(.forbidden, "Your account is in none of the groups that may log in here.")
    }
    if needsVerifiedEmail, !claims.email.isEmpty, !claims.isEmailVerified {
      throw Refusal(
        .forbidden,
        "Your identity provider has not verified your mail address. Verify it there, then try again."
      )
    }
    if !domains.isEmpty, !(claims.domain.map(domains.contains) ?? false) {
      throw Refusal(.forbidden, "The domain of your mail address may not log in here.")
    }
    if !users.isEmpty, !users.contains(claims.email.lowercased()) {
      throw Refusal(.forbidden, "Your mail address may not log in here.")
    }
  }
}
