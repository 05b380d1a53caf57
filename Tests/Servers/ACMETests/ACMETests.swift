// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import HTTPTransport
import JSON
import Synchronization
import Testing
import Timing

@testable import ACME

@Suite("What an authority and its client say")
struct ACMEMessagesTests {
  @Test("Base-64 for addresses has no padding and no signs that mean something there")
  func base64() {
    #expect(base64URL([]) == "")
    #expect(base64URL([0xFB, 0xFF]) == "-_8")
    #expect(base64URL(Array("Martlet".utf8)) == "TWFydGxldA")
  }

  @Test("A request names its key until there is an account, and never holds the private one")
  func requests() throws {
    let key = try SigningKey()
    let signer = ACMESigner(key: key)
    let url = "https://ca.example/new"
    for account in [nil, "https://ca.example/a/1"] {
      let bytes = try signer.request([0x7B, 0x7D], to: url, nonce: "n1", account: account)
      let request = try JSONValue(json: bytes)
      let text = try #require(request["protected"]?.string)
      let header = try JSONValue(json: try #require(decoded(text)))
      #expect(header["alg"]?.string == "ES256" && header["nonce"]?.string == "n1")
      #expect(header["url"]?.string == url)
      #expect(header["kid"]?.string == account)
      #expect((header["jwk"]?["crv"]?.string == "P-256") == (account == nil))
      #expect(request["payload"]?.string == "e30")
      #expect(decoded(try #require(request["signature"]?.string))?.count == 64)
    }
    let read = try JSONValue(json: signer.request(nil, to: url, nonce: "n", account: "a"))
    #expect(read["payload"]?.string == "")
    let again = ACMESigner(key: try SigningKey(pem: key.pem))
    #expect(again.authorization(of: "token") == signer.authorization(of: "token"))
    #expect(signer.authorization(of: "token").utf8.count == "token.".utf8.count + 43)
  }

  private func decoded(_ text: String) -> [UInt8]? {
    let plain = text.map { $0 == "-" ? "+" : $0 == "_" ? "/" : String($0) }.joined()
    let padding = String(repeating: "=", count: (4 - plain.count % 4) % 4)
    return Base64.decode(plain + padding)
  }

  @Test("A customer shows by the authority's key which account is theirs, and never shows the key")
  func externalAccount() throws {
    // RFC 7515 appendix A.1 has this key.
    let text =
      "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"
    let account = try #require(ACMEExternalAccount(id: "kid-1", key: text))
    #expect(!"\(account)".contains("AyM1") && account.description.contains("kid-1"))
    let signer = ACMESigner(key: try SigningKey())
    let url = "https://ca.example/new"
    let binding = try JSONValue(json: signer.binding(to: account, at: url))
    let protected = try #require(binding["protected"]?.string)
    let payload = try #require(binding["payload"]?.string)
    let header = try JSONValue(json: try #require(decoded(protected)))
    #expect(header["alg"]?.string == "HS256" && header["kid"]?.string == "kid-1")
    #expect(header["url"]?.string == url)
    let key = try JSONValue(json: try #require(decoded(payload)))
    #expect(key["kty"]?.string == "EC" && key["d"] == nil)
    let code = HMACSHA256.code(
      of: Array("\(protected).\(payload)".utf8),
      key: try #require(decoded(text))
    )
    #expect(decoded(try #require(binding["signature"]?.string)) == code)
    for (id, key) in [("", text), ("kid", ""), ("kid", "!!"), ("kid", "a")] {
      #expect(ACMEExternalAccount(id: id, key: key) == nil)
    }
  }

  @Test("Of the ways to prove a name those are known that we can show, and only with a token")
  func proofs() throws {
    let token = String(repeating: "t", count: 43)
    let body = """
      {"status":"pending","identifier":{"value":"a.example"},"challenges":[
      {"type":"dns-01","url":"u1","token":"\(token)"},{"type":"http-01","url":"u2","token":"\(token)"},
      {"type":"tls-alpn-01","url":"u3","token":"\(token)"},{"type":"tls-alpn-01","url":"u4"}]}
      """
    let asked = try ACMEAuthorization(json: Array(body.utf8))
    #expect(asked.challenges.mapValues(\.url) == [.page: "u2", .handshake: "u3"])
    #expect(ACMEProof.allCases == [.handshake, .page])
  }

  @Test(
    "A token is a word; anything else is no challenge",
    arguments: [
      ("LoqXcYV8q5ONbJQxbmR7SCTNo3tiAXDfowyjxAjEuX0", true), ("short", false), ("", false),
      ("../../../../etc/passwd", false), ("aaaaaaaaaaaaaaaaaaaa\r\nX: y", false),
      (String(repeating: "a", count: 257), false),
    ]
  )
  func tokens(_ token: String, _ isRight: Bool) throws {
    #expect(ACMEAuthorization.isToken(token) == isRight)
    var writer = JSONWriter()
    writer.object { writer in
      writer.field("status", "pending")
      writer.field("challenges") { writer in
        writer.array { writer in
          writer.object { writer in
            writer.field("type", "http-01")
            writer.field("url", "https://ca.example/c")
            writer.field("token", token)
          }
        }
      }
    }
    let challenges = try ACMEAuthorization(json: writer.bytes).challenges
    #expect((challenges[.page] != nil) == isRight && challenges[.handshake] == nil)
  }

  @Test("What makes no sense is refused, a refusal is told, and nothing in it controls a terminal")
  func nonsense() throws {
    for text in ["", "[]", "{}", #"{"newNonce":1}"#, #"{"status":"valid"}"#] {
      #expect(throws: (any Error).self) { try ACMEDirectory(json: Array(text.utf8)) }
      #expect(throws: (any Error).self) { try ACMEOrder(json: Array(text.utf8)) }
    }
    #expect(throws: (any Error).self) { try ACMEAuthorization(json: Array("{}".utf8)) }
    let body = #"{"type":"urn:ietf:params:acme:error:badNonce","detail":"a\u001b[2Jb"}"#
    let error = ACMEClient.problem(400, "https://ca.example/x", Array(body.utf8))
    #expect(error.kind == "badNonce")
    #expect(error.description == "https://ca.example/x answered 400 badNonce a [2Jb")
    let bare = ACMEClient.problem(503, "https://ca.example/x", Array("<html>".utf8))
    #expect(bare.kind == "" && bare.description.contains("503"))
  }
}

@Suite("When a certificate is renewed")
struct RenewalTests {
  @Test("With a third of its time to go, whether it lasts months or minutes")
  func due() {
    let start = Timestamp(seconds: 1_700_000_000)
    for length in [90 * 86_400, 7 * 86_400, 3600, 30] {
      let due = ManagedCertificate.due(start..<start + .seconds(length))
      #expect(due == start + .seconds(length * 2 / 3))
    }
  }

  @Test("After failures it is tried again, ever more seldom, and never without a pause")
  func retries() {
    var last = Duration.zero
    for failures in 0..<100 {
      let wait = ManagedCertificate.retry(after: failures)
      #expect(wait >= max(last, .seconds(60)) && wait <= .seconds(12 * 3600))
      last = wait
    }
    #expect(last == .seconds(12 * 3600))
  }

  @Test("Whoever shows certificates is told of an answer before the authority looks for it")
  func answers() throws {
    let challenges = ACMEChallenges()
    let told = Mutex<[Bool]>([])
    challenges.whenAnswerChanges { told.withLock { $0.append(challenges.answer != nil) } }
    challenges.answer(with: try ACMEClient.answer("token.print", for: "a.example"))
    #expect(challenges.answer?.commonName == "a.example")
    challenges.answer(with: nil)
    #expect(told.withLock { $0 } == [true, false])
  }

  @Test("Pages are shown while they are asked for, at their own path only")
  func pages() {
    let challenges = ACMEChallenges()
    challenges.show("token.print", at: "token")
    #expect(challenges.page(at: "/.well-known/acme-challenge/token") == "token.print")
    for path in ["/token", "/.well-known/acme-challenge/", "/.well-known/acme-challenge/other"] {
      #expect(challenges.page(at: path[...]) == nil)
    }
    challenges.remove("token")
    #expect(challenges.page(at: "/.well-known/acme-challenge/token") == nil)
  }
}
