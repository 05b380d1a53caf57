// SPDX-License-Identifier: Apache-2.0

import Coordination
import JSON
import TestSupport
import Testing
import Timing

@Suite("Tokens of identity providers")
struct IdentityTokenTests {
  private static let vectors = Result { try Fixture.json("Vectors/identity-tokens.json") }
  private static let now = Timestamp(seconds: 1_790_000_100)

  private static func keys(_ change: (JSONValue) -> Bool = { _ in true }) throws -> SigningKeys {
    let list = try #require(try vectors.get()["keys"]?["keys"]?.array).filter(change)
    return try #require(SigningKeys(json: (["keys": .array(list)] as JSONValue).json))
  }

  private static func text(_ name: String) throws -> String {
    try #require(try vectors.get()["tokens"]?[name]?.string)
  }

  private static func claims(
    _ name: String,
    at now: Timestamp = now
  ) throws(TokenRefusal) -> IdentityClaims? {
    guard let text = try? text(name), let keys = try? keys() else { return nil }
    let token = try SignedToken(text)
    try keys.verify(token)
    return try IdentityClaims(
      token,
      from: "https://id.example",
      for: "martlet",
      answering: "n",
      at: now
    )
  }

  @Test(
    "Signatures of RFC 7515 are true, and false with any bit changed",
    arguments: ["rs256", "es256"]
  )
  func published(name: String) throws {
    let vector = try #require(try Self.vectors.get()["rfc7515"]?[name])
    var key: JSONObject = name == "rs256" ? ["kty": "RSA"] : ["kty": "EC", "crv": "P-256"]
    for member in ["n", "e", "x", "y"] { if let value = vector[member] { key[member] = value } }
    let keys = try #require(SigningKeys(json: (["keys": [.object(key)]] as JSONValue).json))
    let message = try #require(vector["message"]?.string)
    let signature = try #require(vector["signature"]?.string)
    try keys.verify(try SignedToken(message + "." + signature))
    for index in [0, 20, 40, 80] {
      var changed = Array(signature)
      changed[index] = changed[index] == "A" ? "B" : "A"
      let token = try SignedToken(message + "." + String(changed))
      #expect(throws: TokenRefusal.signature) { try keys.verify(token) }
    }
  }

  @Test(
    "A token of another implementation says who it is",
    arguments: ["rs256", "es256", "two audiences"]
  )
  func accepted(name: String) throws {
    let claims = try #require(try Self.claims(name))
    #expect(claims.identity == ExternalIdentity(issuer: "https://id.example", subject: "u1"))
    #expect(claims.email == "a@lab.example" && claims.isEmailVerified && claims.groups == ["eng"])
    #expect(claims.expiry == Timestamp(seconds: 1_790_000_900))
  }

  @Test(
    "A token that is not for us, not of now, or not signed as it must be proves nothing",
    arguments: [
      ("two audiences without party", .audience), ("foreign party", .audience),
      ("foreign audience", .audience), ("foreign issuer", .issuer), ("another nonce", .nonce),
      ("no nonce", .nonce), ("ended", .time), ("no end", .time), ("future", .time),
      ("no subject", .subject), ("small key", .signature), ("keyed hash", .algorithm),
    ] as [(String, TokenRefusal)]
  )
  func refused(name: String, reason: TokenRefusal) {
    #expect(throws: reason) { try Self.claims(name) }
  }

  @Test("A token ends when it says, by our clock and a minute more")
  func end() throws {
    #expect(try Self.claims("es256", at: Timestamp(seconds: 1_790_000_959)) != nil)
    #expect(throws: TokenRefusal.time) {
      try Self.claims("es256", at: Timestamp(seconds: 1_790_000_960))
    }
  }

  @Test("A key that is not in the set signs nothing, nor does one of another kind")
  func keys() throws {
    let token = try SignedToken(try Self.text("es256"))
    let others = try Self.keys { $0["kid"]?.string != "es" }
    #expect(throws: TokenRefusal.unknownKey) { try others.verify(token) }
    let unsigned = "eyJhbGciOiJub25lIn0." + (try Self.text("es256").split(separator: ".")[1]) + "."
    #expect(throws: TokenRefusal.algorithm) { try SignedToken(unsigned) }
  }

  @Test("Whatever is cut or changed of a token, it is refused and nothing else happens")
  func mutations() throws {
    let keys = try Self.keys()
    let text = Array(try Self.text("es256").utf8)
    for length in 0..<text.count {
      let part = String(decoding: text.prefix(length), as: UTF8.self)
      #expect(throws: TokenRefusal.self) { try keys.verify(try SignedToken(part)) }
    }
    var accepted = 0
    for index in text.indices {
      var changed = text
      changed[index] = changed[index] == 0x41 ? 0x42 : 0x41
      guard let token = try? SignedToken(String(decoding: changed, as: UTF8.self)) else { continue }
      if (try? keys.verify(token)) != nil { accepted += 1 }
    }
    // The last character of a part may carry bits that mean nothing.
    #expect(accepted <= 1)
  }

  @Test("Facts of another endpoint count when they are about the same person")
  func added() throws {
    var claims = try #require(try Self.claims("es256"))
    claims.add(["sub": "u2", "groups": ["root"], "email": "x@y"])
    #expect(claims.groups == ["eng"] && claims.email == "a@lab.example")
    claims.add(["sub": "u1", "groups": ["ops", "ops", "", "a\u{1B}b"], "email": "b@lab.example"])
    #expect(claims.groups == ["ops"] && claims.email == "b@lab.example" && !claims.isEmailVerified)
  }
}
