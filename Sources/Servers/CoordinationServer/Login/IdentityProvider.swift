// SPDX-License-Identifier: Apache-2.0

internal import Bytes
package import Coordination
internal import HTTPTransport
internal import JSON
internal import Timing

/// What the operator says about the identity provider.
package struct IdentityProviderOptions: Sendable {
  /// The provider's name: an address without a slash at its end, below which it describes itself.
  package var issuer: String
  /// What it calls us.
  package var clientID: String
  /// What we prove that by; empty for a public client.
  package var clientSecret: String
  /// What is asked for.
  package var scopes: [String]
  /// What else is told to the provider's page.
  package var extraParameters: [(name: String, value: String)]
  /// Who may log in.
  package var rules: IdentityRules
  /// Whether a node's key ends when the token does.
  package var usesTokenExpiry: Bool
  /// Whether the exchange is bound to us by a hash (PKCE).
  package var usesCodeChallenge: Bool
  /// Whether the server does not start where the provider does not answer.
  package var isRequiredAtStart: Bool

  /// A provider with the usual scopes and rules.
  package init(
    issuer: String,
    clientID: String,
    clientSecret: String = "",
    scopes: [String] = ["openid", "profile", "email"],
    extraParameters: [(name: String, value: String)] = [],
    rules: IdentityRules = IdentityRules(),
    usesTokenExpiry: Bool = false,
    usesCodeChallenge: Bool = true,
    isRequiredAtStart: Bool = true
  ) {
    self.issuer = issuer
    self.clientID = clientID
    self.clientSecret = clientSecret
    self.scopes = scopes
    self.extraParameters = extraParameters
    self.rules = rules
    self.usesTokenExpiry = usesTokenExpiry
    self.usesCodeChallenge = usesCodeChallenge
    self.isRequiredAtStart = isRequiredAtStart
  }
}

/// Why a provider could not be asked, or what it answered that cannot be.
package struct IdentityProviderError: Error, CustomStringConvertible {
  /// What happened.
  package let description: String
}

/// Asks the identity provider: how it is reached, by which keys it signs, and who somebody is.
///
/// - Source: OpenID Connect Discovery 1.0 §4, Core 1.0 §3.1; RFC 7636 (PKCE).
actor IdentityProvider {
  /// How long what the provider says of itself is believed.
  static let maximumAge = Duration.seconds(3600)
  /// How soon its keys may be asked for again because a token names one that is not known.
  static let minimumAge = Duration.seconds(2)
  private static let maximumAnswer = 512 * 1024

  /// Where the provider says it is reached.
  private struct Description {
    let authorization: String
    let token: String
    let keys: String
    let userInfo: String?
    let takesSecretInBody: Bool
    let read: Instant
  }

  nonisolated let options: IdentityProviderOptions
  private let redirect: String
  private let clock: @Sendable () -> Moment
  private let client = HTTPClient(timeout: .seconds(15))
  private var description: Description?
  private var keys: (set: SigningKeys, read: Instant)?

  /// A provider that sends browsers back to `url`, our own address.
  init(
    _ options: IdentityProviderOptions,
    url: String,
    clock: @escaping @Sendable () -> Moment
  ) {
    self.options = options
    redirect = url + "/oidc/callback"
    self.clock = clock
  }

  // MARK: What it says of itself

  /// Reads what the provider says of itself.
  func prepare() async throws { _ = try await discover() }

  private func discover() async throws -> Description {
    let now = clock().instant
    if let description, now - description.read < Self.maximumAge { return description }
    do {
      let found = try await readDescription(at: now)
      description = found
      return found
    } catch {
      // What it said before is better than nothing while it does not answer.
      if let description { return description }
      throw error
    }
  }

  private func readDescription(at now: Instant) async throws -> Description {
    let address = options.issuer + "/.well-known/openid-configuration"
    let tree = try await json("GET", address)
    guard tree["issuer"]?.string == options.issuer else {
      throw IdentityProviderError(
        description: "\(address) speaks for \(tree["issuer"]?.string ?? "nobody"), not for "
          + "\(options.issuer)"
      )
    }
    let methods = tree["token_endpoint_auth_methods_supported"]?.array?.compactMap(\.string)
    return Description(
      authorization: try Self.place("authorization_endpoint", in: tree),
      token: try Self.place("token_endpoint", in: tree),
      keys: try Self.place("jwks_uri", in: tree),
      userInfo: tree["userinfo_endpoint"] == nil
        ? nil : try Self.place("userinfo_endpoint", in: tree),
      takesSecretInBody: methods.map {
        !$0.contains("client_secret_basic") && $0.contains("client_secret_post")
      } ?? false,
      read: now
    )
  }

  private static func place(
    _ name: String,
    in tree: JSONValue
  ) throws(IdentityProviderError) -> String {
    guard let text = tree[name]?.string, HTTPURL(text) != nil else {
      throw IdentityProviderError(description: "the identity provider names no \(name)")
    }
    return text
  }

  // MARK: A login

  /// Where a browser goes to log in.
  func page(for beginning: LoginFlows.Beginning) async throws -> String {
    let description = try await discover()
    var fields = [
      ("response_type", "code"), ("client_id", options.clientID), ("redirect_uri", redirect),
      ("scope", options.scopes.joined(separator: " ")), ("state", beginning.state),
      ("nonce", beginning.nonce),
    ]
    if options.usesCodeChallenge {
      fields += [("code_challenge", beginning.challenge), ("code_challenge_method", "S256")]
    }
    fields += options.extraParameters.map { ($0.name, $0.value) }
    let separator = description.authorization.contains("?") ? "&" : "?"
    return description.authorization + separator + FormFields.encode(fields)
  }

  /// Who somebody is, in exchange for the code that the provider gave their browser.
  func redeem(_ code: String, for login: LoginFlows.Returned) async throws -> IdentityClaims {
    let description = try await discover()
    var fields = [
      ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", redirect),
    ]
    if options.usesCodeChallenge { fields.append(("code_verifier", login.verifier)) }
    var headers: HTTPHeaders = ["Content-Type": "application/x-www-form-urlencoded"]
    if options.clientSecret.isEmpty || description.takesSecretInBody {
      fields.append(("client_id", options.clientID))
      if !options.clientSecret.isEmpty { fields.append(("client_secret", options.clientSecret)) }
    } else {
      let pair = FormFields.quoted(options.clientID) + ":" + FormFields.quoted(options.clientSecret)
      headers.set("Authorization", "Basic " + Base64.encode(Array(pair.utf8)))
    }
    let answer = try await json(
      "POST",
      description.token,
      headers: headers,
      body: Array(FormFields.encode(fields).utf8)
    )
    guard let text = answer["id_token"]?.string else {
      throw IdentityProviderError(description: "\(description.token) gave no id_token")
    }
    let token = try SignedToken(text)
    try await prove(token, description)
    var claims = try IdentityClaims(
      token,
      from: options.issuer,
      for: options.clientID,
      answering: login.nonce,
      at: clock().time
    )
    if let place = description.userInfo, let access = answer["access_token"]?.string {
      claims.add(try await json("GET", place, headers: ["Authorization": "Bearer " + access]))
    }
    if !options.rules.needsVerifiedEmail { claims.trustEmail() }
    return claims
  }

  /// Proves that the provider signed a token; asks for its keys again when they may have changed.
  private func prove(_ token: SignedToken, _ description: Description) async throws {
    let now = clock().instant
    if let keys, now - keys.read < Self.maximumAge {
      let isOld = now - keys.read >= Self.minimumAge
      do throws(TokenRefusal) {
        return try keys.set.verify(token)
      } catch {
        // It signs with a new one, perhaps.
        guard error == .unknownKey, isOld else { throw error }
      }
    }
    let bytes = try await bytes("GET", description.keys)
    guard let set = SigningKeys(json: bytes) else {
      throw IdentityProviderError(description: "\(description.keys) is no key set")
    }
    keys = (set, now)
    try set.verify(token)
  }

  // MARK: Questions

  private func json(
    _ method: String,
    _ url: String,
    headers: HTTPHeaders = [:],
    body: [UInt8] = []
  ) async throws -> JSONValue {
    let bytes = try await bytes(method, url, headers: headers, body: body)
    do {
      return try JSONValue(json: bytes)
    } catch { throw IdentityProviderError(description: "\(url) answered no JSON: \(error)") }
  }

  private func bytes(
    _ method: String,
    _ url: String,
    headers: HTTPHeaders = [:],
    body: [UInt8] = []
  ) async throws -> [UInt8] {
    var headers = headers
    headers.set("Accept", "application/json")
    let answer = try await client.request(method, url: url, headers: headers, body: body)
    let bytes = try await answer.collect(upTo: Self.maximumAnswer)
    guard answer.status == 200 else {
      // The provider's own word for what is wrong, which is never a secret.
      let word = (try? JSONValue(json: bytes))?["error"]?.string.map(NodeName.printable) ?? ""
      throw IdentityProviderError(description: "\(url) answered \(answer.status) \(word)")
    }
    return bytes
  }
}
