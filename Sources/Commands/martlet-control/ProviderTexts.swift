// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Coordination
import CoordinationServer
import HTTPTransport

/// What was told about the identity provider, as it was told.
///
/// The names are those that headscale's file has under `oidc`.
struct ProviderTexts {
  private var issuer: String
  private var clientID: String
  private var secret: String
  private var secretPath: String
  private var scopes: [String]
  private var extra: [String]
  private var domains: [String]
  private var users: [String]
  private var groups: [String]
  private var needsVerifiedEmail: Bool
  private var usesTokenExpiry: Bool
  private var isRequired: Bool
  private var usesChallenge: Bool

  init(_ flags: ServeFlags, _ settings: inout Settings) throws(CommandError) {
    func list(_ name: String, default usual: [String] = []) throws(CommandError) -> [String] {
      try settings.value("oidc-" + name, nil, default: usual)
    }
    func flag(_ name: String, default usual: Bool) throws(CommandError) -> Bool {
      try settings.value("oidc-" + name, nil, default: usual)
    }
    issuer = try settings.value("oidc-issuer", flags.oidcIssuer, default: "")
    clientID = try settings.value("oidc-client-id", flags.oidcClientID, default: "")
    // No flag for the secret itself: everybody on the machine can read the arguments of programs.
    secret = try settings.value("oidc-client-secret", nil, default: "")
    secretPath = try settings.value(
      "oidc-client-secret-path",
      flags.oidcSecretPath,
      default: ""
    )
    scopes = try list("scope", default: ["openid", "profile", "email"])
    extra = try list("extra-params")
    domains = try list("allowed-domains")
    users = try list("allowed-users")
    groups = try list("allowed-groups")
    needsVerifiedEmail = try flag("email-verified-required", default: true)
    usesTokenExpiry = try flag("use-expiry-from-token", default: false)
    isRequired = try flag("only-start-if-oidc-is-available", default: true)
    usesChallenge = try flag("pkce-enabled", default: true)
  }

  /// The provider; nil where none was named.
  func checked(_ settings: Settings) throws(CommandError) -> IdentityProviderOptions? {
    guard !issuer.isEmpty else {
      guard clientID.isEmpty else {
        throw settings.wrong("oidc-client-id", "is of no use without oidc-issuer")
      }
      return nil
    }
    guard HTTPURL(issuer) != nil, !issuer.contains("?"), !issuer.contains("#") else {
      throw settings.wrong("oidc-issuer", "has to be like https://id.example.org")
    }
    guard !clientID.isEmpty else {
      throw settings.wrong("oidc-client-id", "is missing: the provider has given you one")
    }
    guard scopes.contains("openid") else {
      throw settings.wrong("oidc-scope", "has to hold openid")
    }
    guard secret.isEmpty || secretPath.isEmpty else {
      throw settings.wrong("oidc-client-secret-path", "and oidc-client-secret exclude each other")
    }
    var parameters: [(name: String, value: String)] = []
    for text in extra {
      let parts = text.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2, !parts[0].isEmpty else {
        throw settings.wrong("oidc-extra-params", "has to be like domain_hint=example.org")
      }
      parameters.append((String(parts[0]), String(parts[1])))
    }
    return IdentityProviderOptions(
      issuer: issuer,
      clientID: clientID,
      clientSecret: try knownSecret(),
      scopes: scopes,
      extraParameters: parameters,
      rules: IdentityRules(
        domains: domains,
        users: users,
        groups: groups,
        needsVerifiedEmail: needsVerifiedEmail
      ),
      usesTokenExpiry: usesTokenExpiry,
      usesCodeChallenge: usesChallenge,
      isRequiredAtStart: isRequired
    )
  }

  private func knownSecret() throws(CommandError) -> String {
    guard !secretPath.isEmpty else { return secret }
    guard let bytes = try SmallFile.read(secretPath) else {
      throw CommandError("cannot read \(secretPath): no such file", code: .configuration)
    }
    let text = String(decoding: bytes, as: UTF8.self)
    let lines = text.split { $0.isNewline }
    guard lines.count == 1, let line = lines.first else {
      throw CommandError("\(secretPath) has to hold the secret, on one line", code: .configuration)
    }
    return String(line)
  }
}
