// SPDX-License-Identifier: Apache-2.0

import Cryptography
import HTTPTransport
import HostIO
import JSON
import Timing

/// Gets certificates from an authority that speaks ACME.
///
/// - Source: RFC 8555.
actor ACMEClient {
  /// How often a request is made again when its nonce is refused.
  static let maximumAttempts = 10
  /// How long the authority may take to make up its mind, for each thing that is waited for.
  static let patience = Duration.seconds(120)
  /// How long to wait before it is asked again.
  static let pause = Duration.seconds(1)
  /// The longest answer that is read.
  static let maximumAnswer = 256 * 1024

  private let directoryURL: String
  private let trust: String?
  private let email: String
  private let external: ACMEExternalAccount?
  private let signer: ACMESigner
  private let challenges: ACMEChallenges
  private var directory: ACMEDirectory?
  private var account: String?
  private var nonce: String?

  /// A client of the authority at `directoryURL`, which the authorities in `trust` vouch for.
  init(
    directoryURL: String,
    trust: String?,
    email: String,
    external: ACMEExternalAccount? = nil,
    key: SigningKey,
    challenges: ACMEChallenges
  ) {
    (self.directoryURL, self.trust, self.email) = (directoryURL, trust, email)
    self.external = external
    (signer, self.challenges) = (ACMESigner(key: key), challenges)
  }

  /// Gets a certificate for `names` and `key`: the chain in PEM, and how the names were proven.
  ///
  /// An order that was not proven in one way is lost; another one is made for the next.
  func certificate(
    for names: [String],
    key: SigningKey
  ) async throws -> (chain: String, proof: ACMEProof) {
    if account == nil { account = try await register() }
    var reasons: [String] = []
    for proof in ACMEProof.allCases {
      do {
        return (try await certificate(for: names, key: key, provenBy: proof), proof)
      } catch let error as ACMEError where error.isOfProof {
        reasons.append(error.description)
      }
    }
    throw ACMEError(reasons.joined(separator: "; "))
  }

  private func certificate(
    for names: [String],
    key: SigningKey,
    provenBy proof: ACMEProof
  ) async throws -> String {
    let (location, first) = try await order(names)
    for address in first.authorizations { try await prove(address, by: proof) }
    var body = JSONWriter()
    let wish = try key.request(for: names)
    body.object { $0.field("csr", base64URL(wish)) }
    _ = try await post(body.bytes, to: first.finalize)
    let ready = try await wait(for: "the certificate") {
      let order = try ACMEOrder(json: try await self.post(nil, to: location).body)
      guard order.status != "invalid" else { throw ACMEError("the authority refused the order") }
      return order.status == "valid" ? order.certificate : nil
    }
    let chain = try await post(nil, to: ready, accepting: "application/pem-certificate-chain")
    return String(decoding: chain.body, as: UTF8.self)
  }

  // MARK: Steps

  private func register() async throws -> String {
    let place = try await places().newAccount
    var body = JSONWriter()
    body.object { writer in
      writer.field("termsOfServiceAgreed", true)
      if !email.isEmpty { writer.field("contact", texts: ["mailto:" + email]) }
      if let external {
        writer.field("externalAccountBinding", raw: signer.binding(to: external, at: place))
      }
    }
    let answer = try await post(body.bytes, to: place)
    guard let location = answer.headers["Location"] else {
      throw ACMEError("the authority did not say where our account is")
    }
    return location
  }

  private func order(_ names: [String]) async throws -> (String, ACMEOrder) {
    var body = JSONWriter()
    body.object { writer in
      writer.field("identifiers") { writer in
        writer.array { writer in
          for name in names {
            writer.object { writer in
              writer.field("type", "dns")
              writer.field("value", name)
            }
          }
        }
      }
    }
    let answer = try await post(body.bytes, to: try await places().newOrder)
    guard let location = answer.headers["Location"] else {
      throw ACMEError("the authority did not say where our order is")
    }
    return (location, try ACMEOrder(json: answer.body))
  }

  /// Shows the authority that a name leads to us.
  private func prove(_ address: String, by proof: ACMEProof) async throws {
    let asked = try ACMEAuthorization(json: try await post(nil, to: address).body)
    guard asked.status != "valid" else { return }
    guard let challenge = asked.challenges[proof] else {
      throw ACMEError(
        "the authority does not take \(proof.rawValue) for \(asked.name)",
        isOfProof: true
      )
    }
    let text = signer.authorization(of: challenge.token)
    switch proof {
    case .page: challenges.show(text, at: challenge.token)
    case .handshake: challenges.answer(with: try Self.answer(text, for: asked.name))
    }
    defer {
      switch proof {
      case .page: challenges.remove(challenge.token)
      case .handshake: challenges.answer(with: nil)
      }
    }
    _ = try await post(Array("{}".utf8), to: challenge.url)
    _ = try await wait(for: "the proof for \(asked.name)") {
      let now = try ACMEAuthorization(json: try await self.post(nil, to: address).body)
      switch now.status {
      case "valid": return true
      case "pending", "processing": return nil
      default:
        throw ACMEError(
          "by \(proof.rawValue) the authority does not find us at \(now.name): \(now.problem)",
          isOfProof: true
        )
      }
    }
  }

  /// The certificate that says `text` to who looks for it.
  static func answer(_ text: String, for name: String) throws -> OwnCertificate {
    var entropy = Entropy.system
    let now = wallClock()
    return try OwnCertificate(
      .p256,
      commonName: name,
      serialNumber: entropy.bytes(16),
      validity: now + .seconds(-3600)..<now + .seconds(86_400),
      host: name,
      answer: SHA256.hash(Array(text.utf8))
    )
  }

  private func wait<Value: Sendable>(
    for what: String,
    _ look: () async throws -> Value?
  ) async throws -> Value {
    for _ in 0..<Int(Self.patience / Self.pause) {
      if let value = try await look() { return value }
      try await Task.sleep(for: Self.pause)
    }
    throw ACMEError("the authority takes too long for \(what)")
  }

  // MARK: Requests

  private struct Answer {
    var headers: HTTPHeaders
    var body: [UInt8]
  }

  private func places() async throws -> ACMEDirectory {
    if let directory { return directory }
    let answer = try await send("GET", directoryURL)
    let made = try ACMEDirectory(json: answer.body)
    directory = made
    return made
  }

  private func post(
    _ payload: [UInt8]?,
    to url: String,
    accepting type: String = "application/json"
  ) async throws -> Answer {
    for _ in 1..<Self.maximumAttempts {
      do {
        return try await postOnce(payload, to: url, accepting: type)
      } catch let error as ACMEError where error.kind == "badNonce" {
        continue
      }
    }
    return try await postOnce(payload, to: url, accepting: type)
  }

  private func postOnce(
    _ payload: [UInt8]?,
    to url: String,
    accepting type: String
  ) async throws -> Answer {
    let directory = try await places()
    if nonce == nil { _ = try await send("HEAD", directory.newNonce) }
    guard let fresh = nonce else { throw ACMEError("the authority gave no nonce") }
    nonce = nil
    let body = try signer.request(payload, to: url, nonce: fresh, account: account)
    let headers: HTTPHeaders = ["Content-Type": "application/jose+json", "Accept": type]
    return try await send("POST", url, headers, body)
  }

  private func send(
    _ method: String,
    _ url: String,
    _ headers: HTTPHeaders = [:],
    _ body: [UInt8] = []
  ) async throws -> Answer {
    guard let place = HTTPURL(url), place.isSecure else {
      throw ACMEError("the authority's address \(url) is not https://")
    }
    var headers = headers
    headers.set("User-Agent", "martlet")
    let answer = try await HTTPClient().request(
      method,
      url: url,
      headers: headers,
      body: body,
      tls: trust.map { .authorities(pem: $0, hostname: place.host) }
    )
    if let fresh = answer.headers["Replay-Nonce"] { nonce = fresh }
    let bytes = method == "HEAD" ? [] : try await answer.collect(upTo: Self.maximumAnswer)
    guard (200..<300).contains(answer.status) else { throw Self.problem(answer.status, url, bytes) }
    return Answer(headers: answer.headers, body: bytes)
  }

  /// What an authority says of a refusal.
  static func problem(_ status: Int, _ url: String, _ body: [UInt8]) -> ACMEError {
    // Without a document of the right form the status has to do.
    let value = try? JSONValue(json: body)
    let kind = value?["type"]?.string?.split(separator: ":").last.map(String.init) ?? ""
    let detail = value?["detail"]?.string ?? ""
    return ACMEError(
      "\(url) answered \(status) \(printable(kind)) \(printable(detail))",
      kind: kind
    )
  }
}
