// SPDX-License-Identifier: Apache-2.0

import ACME
import Cryptography
import DERP
import HTTPTransport
import HostConfiguration
import HostIO
import Keys
import Logging
import Timing

/// Who a relay is: its key, and the certificate it shows.
struct RelayIdentity: Sendable {
  /// The file that holds the key.
  static let keyFile = "relay.key"
  /// The file that holds a certificate of the relay's own, with its key.
  static let certificateFile = "relay.pem"

  /// How often certificates are looked at again.
  static let renewalSeconds = 3600

  /// What became of the certificate when it was looked at again.
  enum Renewal: Hashable, Sendable {
    /// It is as before.
    case same
    /// The files hold another one, which is shown from now on.
    case replaced
    /// It is the relay's own, and the next start will make another.
    case ending
  }

  private enum Source: Sendable {
    case nothing
    case files(certificate: String, key: String)
    case own(SelfSignedCertificate)
    /// Until an authority gave one, there is one of our own that nobody trusts.
    case managed(ManagedCertificate, until: SelfSignedCertificate)
  }

  let key: NodePrivateKey
  let tls: TLSServerSettings?
  private let source: Source

  /// Reads the identity from its store, making what is missing.
  init(_ options: RelayOptions, in store: StateStore?, logger: Logger) throws {
    key = try Self.key(in: store, logger)
    source =
      switch options.certificate {
      case .none: .nothing
      case .files(let certificate, let key): .files(certificate: certificate, key: key)
      case .managed(let acme):
        .managed(
          try ManagedCertificate(acme, logger: logger),
          until: try SelfSignedCertificate(for: options.hostname, at: wallClock())
        )
      case .selfSigned: .own(try Self.certificate(for: options.hostname, in: store, logger))
      }
    tls = try Self.settings(source, key.publicKey)
  }

  /// Whether clients must be told the hash of the certificate.
  var isPinned: Bool {
    if case .own = source { true } else { false }
  }

  /// The certificate that an authority gives, where there is one.
  var managed: ManagedCertificate? {
    if case .managed(let certificate, _) = source { certificate } else { nil }
  }

  /// Looks at the certificate files again, and introduces the key afresh.
  ///
  /// - Throws: when the files hold nothing that can be used; what was shown is shown on.
  func renew(at now: Timestamp) throws -> Renewal {
    guard let tls, let new = try Self.settings(source, key.publicKey) else { return .same }
    if let answer = managed?.challenges.answer { try new.answer(with: answer) }
    let isReplaced = new.certificateSHA256 != tls.certificateSHA256
    tls.replace(with: new)
    if case .own(let own) = source, !own.lasts(at: now) { return .ending }
    return isReplaced ? .replaced : .same
  }

  private static func settings(_ source: Source, _ key: NodeKey) throws -> TLSServerSettings? {
    let introduction = try SelfSignedCertificate.introduction(of: key, at: wallClock())
    switch source {
    case .nothing: return nil
    case .files(let certificate, let key):
      return try TLSServerSettings(
        certificateFile: certificate,
        keyFile: key,
        followedBy: [introduction]
      )
    case .managed(let managed, let own):
      guard let pair = managed.current else {
        return try TLSServerSettings(
          certificatesDER: [own.certificateDER, introduction],
          keyDER: own.keyDER
        )
      }
      return try TLSServerSettings(
        certificatePEM: pair.chain,
        keyPEM: pair.key,
        followedBy: [introduction]
      )
    case .own(let own):
      return try TLSServerSettings(
        certificatesDER: [own.certificateDER, introduction],
        keyDER: own.keyDER
      )
    }
  }

  private static func key(in store: StateStore?, _ logger: Logger) throws -> NodePrivateKey {
    let stored = try store?.load(keyFile, atMost: 4096) { bytes in
      let text = String(decoding: bytes, as: UTF8.self).filter { !$0.isWhitespace }
      guard let key = NodePrivateKey(text) else {
        throw RelayError("it does not hold a private key")
      }
      return key
    }
    if let kept = value(of: stored, keyFile, logger) { return kept }
    var entropy = Entropy.system
    let key = NodePrivateKey.generate(using: &entropy)
    try store?.write(keyFile, Array((key.text + "\n").utf8))
    return key
  }

  private static func certificate(
    for hostname: String,
    in store: StateStore?,
    _ logger: Logger
  ) throws -> SelfSignedCertificate {
    let stored = try store?.load(certificateFile, atMost: 65_536) { bytes in
      try SelfSignedCertificate(pem: String(decoding: bytes, as: UTF8.self))
    }
    if let kept = value(of: stored, certificateFile, logger) {
      let now = wallClock()
      if kept.isMade(for: hostname), kept.lasts(at: now) { return kept }
      logger.warning(
        "makes a new certificate, whose hash clients must be told",
        metadata: [
          "reason": kept.isMade(for: hostname)
            ? "the old one expires soon" : "the old one is for another name"
        ]
      )
    }
    let made = try SelfSignedCertificate(for: hostname, at: wallClock())
    try store?.write(certificateFile, Array(made.pem.utf8))
    return made
  }

  private static func value<Value>(
    of loaded: StateStore.Loaded<Value>?,
    _ file: String,
    _ logger: Logger
  ) -> Value? {
    switch loaded {
    case .value(let value): return value
    case .absent, nil: return nil
    case .setAside(let path, let reason):
      logger.error(
        "a state file makes no sense and was set aside; a new one is made",
        metadata: ["file": "\(file)", "kept": "\(path)", "reason": "\(reason)"]
      )
      return nil
    }
  }
}
