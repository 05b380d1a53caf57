// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import DERP
import HTTPTransport
import Keys
import Timing

/// A certificate that a relay makes for itself: ECDSA over P-256, for one name or address.
///
/// Nobody vouches for it. The relay map carries its hash, and clients accept this one only.
struct SelfSignedCertificate: Sendable {
  /// How long it is valid: a new one means that every client must be told.
  static let lifetime = Duration.seconds(3650 * 86_400)
  /// A certificate that expires sooner is replaced at the next start.
  static let remainder = Duration.seconds(30 * 86_400)

  private let certificate: OwnCertificate

  /// The certificate.
  var certificateDER: [UInt8] { certificate.certificateDER }
  /// Its private key.
  var keyDER: [UInt8] { certificate.keyDER }
  /// Certificate and key in one text, so that they are kept or lost together.
  var pem: String { certificate.pem }

  /// Makes one.
  init(for hostname: String, at now: Timestamp) throws {
    var entropy = Entropy.system
    certificate = try OwnCertificate(
      .p256,
      commonName: hostname,
      serialNumber: entropy.bytes(16),
      validity: now + .seconds(-86_400)..<now + Self.lifetime,
      host: hostname
    )
  }

  /// Reads one that was kept.
  init(pem text: String) throws { certificate = try OwnCertificate(pem: text) }

  /// Whether it can be shown to clients that know us by that name.
  func isMade(for hostname: String) -> Bool { hostname == certificate.commonName }

  /// Whether it is valid now and for some time to come.
  func lasts(at now: Timestamp) -> Bool {
    certificate.validity.lowerBound <= now
      && now + Self.remainder < certificate.validity.upperBound
  }
}

extension SelfSignedCertificate {
  /// The certificate by which TLS clients learn the relay's key before they speak; see `FastStart`.
  ///
  /// It is only there for its name. Its serial number is the version of the protocol.
  static func introduction(of key: NodeKey, at now: Timestamp) throws -> [UInt8] {
    try OwnCertificate(
      .ed25519,
      commonName: FastStart.namePrefix + Hex.encode(key.bytes),
      serialNumber: [UInt8(Frame.protocolVersion)],
      validity: now + .seconds(-30 * 86_400)..<now + .seconds(30 * 86_400)
    ).certificateDER
  }
}
