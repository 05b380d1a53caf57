// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Crypto
import DERP
import FoundationEssentials
import Keys
import SwiftASN1
import Timing
import X509

/// A certificate that a relay makes for itself: ECDSA over P-256, for one name or address.
///
/// Nobody vouches for it. The relay map carries its hash, and clients accept this one only.
struct SelfSignedCertificate: Sendable {
  /// How long it is valid: a new one means that every client must be told.
  static let lifetime = Duration.seconds(3650 * 86_400)
  /// A certificate that expires sooner is replaced at the next start.
  static let remainder = Duration.seconds(30 * 86_400)

  let certificateDER: [UInt8]
  let keyDER: [UInt8]
  /// Certificate and key in one text, so that they are kept or lost together.
  let pem: String
  private let hostname: String
  private let beginning: Timestamp
  private let expiry: Timestamp

  /// Makes one.
  init(for hostname: String, at now: Timestamp) throws {
    let key = P256.Signing.PrivateKey()
    let (beginning, expiry) = (now + .seconds(-86_400), now + Self.lifetime)
    let signer = Certificate.PrivateKey(key)
    let name = try DistinguishedName { CommonName(hostname) }
    let certificate = try Certificate(
      version: .v3,
      serialNumber: Certificate.SerialNumber(),
      publicKey: signer.publicKey,
      notValidBefore: Date(beginning),
      notValidAfter: Date(expiry),
      issuer: name,
      subject: name,
      signatureAlgorithm: .ecdsaWithSHA256,
      extensions: Certificate.Extensions {
        Critical(BasicConstraints.notCertificateAuthority)
        Critical(KeyUsage(digitalSignature: true))
        try ExtendedKeyUsage([.serverAuth])
        SubjectAlternativeNames([Self.name(hostname)])
      },
      issuerPrivateKey: signer
    )
    let document = try certificate.serializeAsPEM()
    certificateDER = document.derBytes
    keyDER = Array(key.derRepresentation)
    pem = document.pemString + "\n" + key.pemRepresentation + "\n"
    (self.hostname, self.beginning, self.expiry) = (hostname, beginning, expiry)
  }

  /// Reads one that was kept.
  init(pem text: String) throws {
    let documents = try PEMDocument.parseMultiple(pemString: text)
    guard documents.count == 2 else { throw RelayError("it does not hold a certificate and a key") }
    let certificate = try Certificate(pemDocument: documents[0])
    let key = try P256.Signing.PrivateKey(pemRepresentation: documents[1].pemString)
    guard certificate.publicKey == Certificate.PublicKey(key.publicKey) else {
      throw RelayError("the key does not belong to the certificate")
    }
    certificateDER = documents[0].derBytes
    keyDER = Array(key.derRepresentation)
    pem = text
    hostname = Self.commonName(of: certificate)
    beginning = Timestamp(seconds: Int64(certificate.notValidBefore.timeIntervalSince1970))
    expiry = Timestamp(seconds: Int64(certificate.notValidAfter.timeIntervalSince1970))
  }

  /// Whether it can be shown to clients that know us by that name.
  func isMade(for hostname: String) -> Bool { hostname == self.hostname }

  /// Whether it is valid now and for some time to come.
  func lasts(at now: Timestamp) -> Bool { beginning <= now && now + Self.remainder < expiry }

  private static func name(_ hostname: String) -> GeneralName {
    guard let address = IPAddress(hostname) else { return .dnsName(hostname) }
    return .ipAddress(ASN1OctetString(contentBytes: address.bytes[...]))
  }

  private static func commonName(of certificate: Certificate) -> String {
    for part in certificate.subject {
      for attribute in part where attribute.type == .RDNAttributeType.commonName {
        return attribute.value.description
      }
    }
    return ""
  }
}

extension SelfSignedCertificate {
  /// The certificate by which TLS clients learn the relay's key before they speak; see `FastStart`.
  ///
  /// It is only there for its name. Its serial number is the version of the protocol.
  static func introduction(of key: NodeKey) throws -> [UInt8] {
    let signer = Certificate.PrivateKey(Curve25519.Signing.PrivateKey())
    let name = try DistinguishedName { CommonName(FastStart.namePrefix + Hex.encode(key.bytes)) }
    let now = Date()
    let certificate = try Certificate(
      version: .v3,
      serialNumber: Certificate.SerialNumber(bytes: [UInt8(Frame.protocolVersion)]),
      publicKey: signer.publicKey,
      notValidBefore: now - 30 * 86_400,
      notValidAfter: now + 30 * 86_400,
      issuer: name,
      subject: name,
      signatureAlgorithm: .ed25519,
      extensions: Certificate.Extensions { Critical(BasicConstraints.notCertificateAuthority) },
      issuerPrivateKey: signer
    )
    return try certificate.serializeAsPEM().derBytes
  }
}

extension Date {
  fileprivate init(_ time: Timestamp) {
    self.init(timeIntervalSince1970: Double(time.seconds))
  }
}
