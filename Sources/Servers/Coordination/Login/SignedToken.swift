// SPDX-License-Identifier: Apache-2.0

internal import Bytes
internal import Cryptography
package import JSON

/// A JSON web token as it came, taken apart; whether it is true is for the keys to say.
///
/// - Source: RFC 7515 §7.1 (compact form), RFC 7519.
package struct SignedToken: Sendable {
  /// How a token may be signed; nothing else is accepted, least of all nothing.
  package enum Algorithm: String, Sendable {
    /// RSA with SHA-256.
    case rs256 = "RS256"
    /// P-256 with SHA-256.
    case es256 = "ES256"
  }

  /// The longest token.
  package static let maximumLength = 64 * 1024

  /// How it is signed.
  package let algorithm: Algorithm
  /// Which key signed it, where it says so.
  package let keyID: String?
  /// What it says.
  package let claims: JSONValue
  let message: [UInt8]
  let signature: [UInt8]

  /// Takes `text` apart.
  package init(_ text: String) throws(TokenRefusal) {
    guard text.utf8.count <= Self.maximumLength else { throw .malformed }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, let header = Self.decoded(parts[0]).flatMap(Self.tree),
      let claims = Self.decoded(parts[1]).flatMap(Self.tree),
      let signature = Self.decoded(parts[2]), header.object != nil, claims.object != nil
    else { throw .malformed }
    guard let algorithm = header["alg"]?.string.flatMap(Algorithm.init), header["crit"] == nil
    else {
      throw .algorithm
    }
    self.algorithm = algorithm
    keyID = header["kid"]?.string
    self.claims = claims
    self.signature = signature
    message = Array("\(parts[0]).\(parts[1])".utf8)
  }

  /// The bytes that base64 in the alphabet for addresses spells, without padding.
  static func decoded(_ text: some StringProtocol) -> [UInt8]? {
    guard !text.utf8.contains(where: { [0x2B, 0x2F, 0x3D].contains($0) }) else { return nil }
    var usual = String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 })
    while !usual.utf8.count.isMultiple(of: 4) { usual += "=" }
    return Base64.decode(usual)
  }

  /// Bytes in base64 in the alphabet for addresses, without padding.
  static func encoded(_ bytes: [UInt8]) -> String {
    String(
      Base64.encode(bytes).compactMap { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 == "=" ? nil : $0 }
    )
  }

  private static func tree(_ bytes: [UInt8]) -> JSONValue? {
    // What is no JSON is no token, whatever else is wrong with it.
    try? JSONValue(json: bytes)
  }
}

/// Why a token proves nothing.
package enum TokenRefusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// It is no token.
  case malformed
  /// It is signed in a way that is not accepted, or not at all.
  case algorithm
  /// The provider has no such key.
  case unknownKey
  /// It was not signed by the key that it names.
  case signature
  /// Another provider issued it.
  case issuer
  /// It is for somebody else.
  case audience
  /// It is not the answer to our question.
  case nonce
  /// Its time is over, or has not come.
  case time
  /// It names nobody.
  case subject

  /// What is wrong, for the log.
  package var description: String {
    switch self {
    case .malformed: "it is no token"
    case .algorithm: "it is signed in a way that is not accepted"
    case .unknownKey: "the provider has no key of that name"
    case .signature: "its signature is wrong"
    case .issuer: "another provider issued it"
    case .audience: "it is for another client"
    case .nonce: "it is not the answer to this login"
    case .time: "its time is over or has not come"
    case .subject: "it names nobody"
    }
  }
}

/// The keys by which an identity provider signs: a JSON web key set.
///
/// - Source: RFC 7517 §5, RFC 7518 §6.
package struct SigningKeys: Sendable {
  /// How many keys of a set are read.
  package static let maximumCount = 64

  private enum Key: Sendable {
    case rsa(modulus: [UInt8], exponent: [UInt8])
    case p256(x: [UInt8], y: [UInt8])
  }

  private let keys: [(id: String?, key: Key)]

  /// The keys for signatures in a set; nil when it is none.
  package init?(json bytes: [UInt8]) {
    // What is no JSON is no key set.
    guard let tree = try? JSONValue(json: bytes), let list = tree["keys"]?.array else { return nil }
    keys = list.prefix(Self.maximumCount).compactMap { entry in
      guard entry["use"]?.string ?? "sig" == "sig" else { return nil }
      return Self.key(entry).map { (entry["kid"]?.string, $0) }
    }
  }

  private static func key(_ entry: JSONValue) -> Key? {
    func bytes(_ name: String) -> [UInt8]? { entry[name]?.string.flatMap(SignedToken.decoded) }
    switch entry["kty"]?.string {
    case "RSA":
      guard let modulus = bytes("n"), let exponent = bytes("e") else { return nil }
      return .rsa(modulus: modulus, exponent: exponent)
    case "EC":
      guard entry["crv"]?.string == "P-256", let x = bytes("x"), let y = bytes("y") else {
        return nil
      }
      return .p256(x: x, y: y)
    default: return nil
    }
  }

  /// Proves that a key of the set signed a token.
  ///
  /// The key decides what kind of signature it makes, never the token.
  package func verify(_ token: SignedToken) throws(TokenRefusal) {
    let named = keys.filter { token.keyID == nil || $0.id == nil || $0.id == token.keyID }
    let fitting = named.filter { entry in
      switch (entry.key, token.algorithm) {
      case (.rsa, .rs256), (.p256, .es256): true
      default: false
      }
    }
    guard !fitting.isEmpty else { throw .unknownKey }
    guard fitting.contains(where: { Self.signed(token, by: $0.key) }) else { throw .signature }
  }

  private static func signed(_ token: SignedToken, by key: Key) -> Bool {
    switch key {
    case .rsa(let modulus, let exponent):
      RSASignature.verify(
        token.signature,
        of: token.message,
        modulus: modulus,
        exponent: exponent
      )
    case .p256(let x, let y): P256Signature.verify(token.signature, of: token.message, x: x, y: y)
    }
  }
}
