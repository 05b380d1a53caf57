// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import Bytes
internal import ControlProtocol
internal import Coordination
internal import Cryptography
internal import HTTPTransport
internal import JSON
internal import Keys
internal import Timing

/// Proves to others who a node is: short-lived signed tokens, and what is needed to check them.
///
/// A service that trusts this server's address as an issuer of OpenID Connect lets nodes in by them,
/// without a secret that would have to be kept on the node.
///
/// - Source: OpenID Connect Core §2, Discovery §3; RFC 7517; RFC 7638 for the name of the key.
struct TokenIssuer: Sendable {
  /// How long a token holds.
  static let lifetimeSeconds: Int64 = 300
  /// How far the clocks of others may be behind ours.
  static let leewaySeconds: Int64 = 30
  /// The longest name of who reads a token.
  static let maximumAudience = 255

  /// The node that a token is about.
  struct Subject: Sendable {
    let facts: JSONObject

    init(_ node: NodeRecord, in tailnet: Tailnet, at now: Moment) {
      var facts: JSONObject = [
        "sub": .string(tailnet.qualifiedName(of: node)),
        "node": .string(tailnet.qualifiedName(of: node) + "."),
        "nid": .integer(node.id.rawValue),
        "key": .string(node.nodeKey.description),
        "addresses": .array(node.addresses.map { .string($0.description) }),
        "domain": .string(tailnet.options.domain),
      ]
      if let user = node.user {
        facts["uid"] = .integer(user.rawValue)
        facts["user"] = .string(tailnet.profile(of: user).loginName)
      } else {
        facts["tags"] = .array(node.tags.map { .string($0) })
      }
      self.facts = facts
    }
  }

  /// How many tokens are given in a time.
  let budget = RefusalBudget()
  /// `GET /.well-known/openid-configuration`.
  let configuration: [UInt8]
  /// `GET /.well-known/jwks.json`.
  let keySet: [UInt8]

  private let url: String
  private let key: SigningKey
  private let name: String
  private let clock: @Sendable () -> Moment

  init(
    url: String,
    pem: String,
    clock: @escaping @Sendable () -> Moment
  ) throws(HTTPTransportError) {
    self.url = url
    self.clock = clock
    key = try SigningKey(pem: pem)
    let (x, y) = (Self.base64URL(key.publicPoint.x), Self.base64URL(key.publicPoint.y))
    let thumb = #"{"crv":"P-256","kty":"EC","x":"\#(x)","y":"\#(y)"}"#
    name = Self.base64URL(SHA256.hash(Array(thumb.utf8)))
    let shown: JSONValue = [
      "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": .string(name),
      "x": .string(x), "y": .string(y),
    ]
    keySet = (["keys": [shown]] as JSONValue).json
    let claims = [
      "iss", "sub", "aud", "exp", "iat", "nbf", "jti", "node", "nid", "key", "addresses", "domain",
      "uid", "user", "tags",
    ]
    configuration =
      ([
        "issuer": .string(url),
        "jwks_uri": .string(url + "/.well-known/jwks.json"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "scopes_supported": ["openid"],
        "claims_supported": .array(claims.map { .string($0) }),
      ] as JSONValue).json
  }

  /// A token about a node for one reader.
  func token(for subject: Subject, audience: String) throws(HTTPTransportError) -> String {
    var entropy = Entropy.system
    let now = clock().time.seconds
    var claims = subject.facts
    claims["iss"] = .string(url)
    claims["aud"] = .string(audience)
    claims["iat"] = .integer(now)
    claims["nbf"] = .integer(now - Self.leewaySeconds)
    claims["exp"] = .integer(now + Self.lifetimeSeconds)
    claims["jti"] = .string(Hex.encode(entropy.bytes(16)))
    let header: JSONValue = ["alg": "ES256", "typ": "JWT", "kid": .string(name)]
    let text = Self.base64URL(header.json) + "." + Self.base64URL(JSONValue.object(claims).json)
    return text + "." + Self.base64URL(try key.sign(Array(text.utf8)))
  }

  private static func base64URL(_ bytes: [UInt8]) -> String {
    Base64.encode(bytes).replacing("+", with: "-").replacing("/", with: "_")
      .replacing("=", with: "")
  }
}
