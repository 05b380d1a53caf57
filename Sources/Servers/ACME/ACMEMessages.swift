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

  init(_ description: String, kind: String = "") {
    (self.description, self.kind) = (description, kind)
  }
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

/// The authority's question whether we own a name.
struct ACMEAuthorization: Hashable {
  let name: String
  let status: String
  /// The question that is answered by a page.
  let challenge: (url: String, token: String)?
  /// What went wrong, if anything did.
  let problem: String

  static func == (left: Self, right: Self) -> Bool {
    left.name == right.name && left.status == right.status
  }

  func hash(into hasher: inout Hasher) { hasher.combine(name) }

  init(json: [UInt8]) throws {
    let value = try JSONValue(json: json)
    guard let status = value["status"]?.string else {
      throw ACMEError("the authority's question makes no sense")
    }
    self.status = status
    name = value["identifier"]?["value"]?.string ?? ""
    let pages = (value["challenges"]?.array ?? []).filter { $0["type"]?.string == "http-01" }
    problem = pages.compactMap { $0["error"]?["detail"]?.string }.first ?? ""
    challenge = pages.first.flatMap { page in
      guard let url = page["url"]?.string, let token = page["token"]?.string,
        Self.isToken(token)
      else { return nil }
      return (url, token)
    }
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

/// Base-64 text in the alphabet for addresses, without padding.
func base64URL(_ bytes: [UInt8]) -> String {
  String(
    Base64.encode(bytes).prefix { $0 != "=" }
      .map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }
  )
}
