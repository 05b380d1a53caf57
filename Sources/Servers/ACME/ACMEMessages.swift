// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import HTTPTransport
import JSON

/// Why no certificate could be had, for people.
package struct ACMEError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What happened, to what.
  package let description: String
  /// The kind that the authority named: `badNonce`.
  let kind: String
  /// Whether the name could not be proven in one way, and may be in another.
  let isOfProof: Bool

  init(_ description: String, kind: String = "", isOfProof: Bool = false) {
    (self.description, self.kind, self.isOfProof) = (description, kind, isOfProof)
  }
}

/// A customer's account with an authority that gives certificates to its customers only.
package struct ACMEExternalAccount: Hashable, Sendable, CustomStringConvertible {
  let id: String
  let key: [UInt8]

  /// The account `id` whose key the authority gave, in base-64 for addresses; nil for nonsense.
  package init?(id: String, key text: String) {
    let plain = String(text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : $0 }.prefix { $0 != "=" })
    let padding = String(repeating: "=", count: (4 - plain.count % 4) % 4)
    guard !id.isEmpty, let key = Base64.decode(plain + padding), !key.isEmpty else { return nil }
    (self.id, self.key) = (id, key)
  }

  /// Says whose it is and nothing of the key.
  package var description: String { "\(id) [redacted]" }
}

/// Where the authority takes requests.
struct ACMEDirectory: Hashable {
  let newNonce: String
  let newAccount: String
  let newOrder: String

  init(json: [UInt8]) throws {
    let value = try JSONValue(json: json)
    guard let nonce = value["newNonce"]?.string, let account = value["newAccount"]?.string,
      let order = value["newOrder"]?.string
    else { throw ACMEError("the address leads to no directory of an authority") }
    (newNonce, newAccount, newOrder) = (nonce, account, order)
  }
}

/// A request for a certificate, as the authority sees it.
struct ACMEOrder: Hashable {
  /// How many names, and so authorizations, an order may have.
  static let maximumAuthorizations = 100

  let status: String
  let authorizations: [String]
  let finalize: String
  let certificate: String?

  init(json: [UInt8]) throws {
    let value = try JSONValue(json: json)
    guard let status = value["status"]?.string, let finalize = value["finalize"]?.string else {
      throw ACMEError("the authority's order makes no sense")
    }
    (self.status, self.finalize) = (status, finalize)
    authorizations = (value["authorizations"]?.array ?? []).prefix(Self.maximumAuthorizations)
      .compactMap(\.string)
    certificate = value["certificate"]?.string
  }
}

/// A way to show that a name leads to us, best first.
enum ACMEProof: String, Hashable, CaseIterable {
  /// A certificate in TLS at port 443 (RFC 8737).
  case handshake = "tls-alpn-01"
  /// A page at port 80.
  case page = "http-01"
}

/// The authority's question whether we own a name.
struct ACMEAuthorization: Hashable {
  /// One way to answer.
  struct Challenge: Hashable {
    let url: String
    let token: String
  }

  let name: String
  let status: String
  /// The ways to answer that we know.
  let challenges: [ACMEProof: Challenge]
  /// What went wrong, if anything did.
  let problem: String

  /// More ways than this no authority offers.
  static let maximumChallenges = 16

  init(json: [UInt8]) throws {
    let value = try JSONValue(json: json)
    guard let status = value["status"]?.string else {
      throw ACMEError("the authority's question makes no sense")
    }
    self.status = status
    name = value["identifier"]?["value"]?.string ?? ""
    let offered = value["challenges"]?.array ?? []
    problem = offered.compactMap { $0["error"]?["detail"]?.string }.first.map(printable) ?? ""
    var challenges: [ACMEProof: Challenge] = [:]
    for each in offered.prefix(Self.maximumChallenges) {
      guard let kind = each["type"]?.string.flatMap(ACMEProof.init),
        let url = each["url"]?.string, let token = each["token"]?.string, Self.isToken(token)
      else { continue }
      challenges[kind] = Challenge(url: url, token: token)
    }
    self.challenges = challenges
  }

  /// A token becomes part of a path, and of what a page says.
  static func isToken(_ text: String) -> Bool {
    (16...256).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
          true
        default: false
        }
      }
  }
}

/// Signs what an account asks of its authority.
///
/// - Source: RFC 8555 §6.2; RFC 7515; RFC 7638.
struct ACMESigner {
  let key: SigningKey

  /// What shows that the authority's customer `account` agrees to our account: signed with the key
  /// that the customer was given.
  ///
  /// - Source: RFC 8555 §7.3.4.
  func binding(to account: ACMEExternalAccount, at url: String) -> [UInt8] {
    var header = JSONWriter()
    header.object { writer in
      writer.field("alg", "HS256")
      writer.field("kid", account.id)
      writer.field("url", url)
    }
    let (first, second) = (base64URL(header.bytes), base64URL(publicKey))
    let code = HMACSHA256.code(of: Array("\(first).\(second)".utf8), key: account.key)
    var binding = JSONWriter()
    binding.object { writer in
      writer.field("protected", first)
      writer.field("payload", second)
      writer.field("signature", base64URL(code))
    }
    return binding.bytes
  }

  /// The public key as JSON, its members in the order in which it is hashed.
  private var publicKey: [UInt8] {
    let point = key.publicPoint
    return Array(
      #"{"crv":"P-256","kty":"EC","x":"\#(base64URL(point.x))","y":"\#(base64URL(point.y))"}"#.utf8
    )
  }

  /// What a page at a token has to say.
  func authorization(of token: String) -> String {
    "\(token).\(base64URL(SHA256.hash(publicKey)))"
  }

  /// A signed request; without an account it names its key, without a payload it only reads.
  func request(
    _ payload: [UInt8]?,
    to url: String,
    nonce: String,
    account: String?
  ) throws -> [UInt8] {
    var header = JSONWriter()
    header.object { writer in
      writer.field("alg", "ES256")
      if let account {
        writer.field("kid", account)
      } else {
        writer.field("jwk", raw: publicKey)
      }
      writer.field("nonce", nonce)
      writer.field("url", url)
    }
    let (first, second) = (base64URL(header.bytes), base64URL(payload ?? []))
    let signature = try key.sign(Array("\(first).\(second)".utf8))
    var request = JSONWriter()
    request.object { writer in
      writer.field("protected", first)
      writer.field("payload", second)
      writer.field("signature", base64URL(signature))
    }
    return request.bytes
  }
}

/// What an authority wrote, so that it controls no terminal.
func printable(_ text: String) -> String {
  String(
    decoding: text.utf8.prefix(300).map { (0x20..<0x7F).contains($0) ? $0 : 0x20 },
    as: UTF8.self
  )
}

/// Base-64 text in the alphabet for addresses, without padding.
func base64URL(_ bytes: [UInt8]) -> String {
  String(
    Base64.encode(bytes).prefix { $0 != "=" }
      .map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }
  )
}
