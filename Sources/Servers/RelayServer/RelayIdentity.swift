// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import HTTPTransport
import HostConfiguration
import HostIO
import Keys
import Logging

/// Who a relay is: its key, and the certificate it shows.
struct RelayIdentity: Sendable {
  /// The file that holds the key.
  static let keyFile = "relay.key"
  /// The file that holds a certificate of the relay's own, with its key.
  static let certificateFile = "relay.pem"

  let key: NodePrivateKey
  let tls: TLSServerSettings?
  /// Whether clients must be told the hash of the certificate.
  let isPinned: Bool

  /// Reads the identity from the state directory, making what is missing.
  init(_ options: RelayOptions, logger: Logger) throws {
    let store = try options.stateDirectory.map { (path) throws(HostError) in
      try StateStore(directory: path)
    }
    key = try Self.key(in: store, logger)
    let introduction = try SelfSignedCertificate.introduction(of: key.publicKey)
    switch options.certificate {
    case .none: (tls, isPinned) = (nil, false)
    case .files(let certificate, let key):
      tls = try TLSServerSettings(
        certificateFile: certificate,
        keyFile: key,
        followedBy: [introduction]
      )
      isPinned = false
    case .selfSigned:
      let own = try Self.certificate(for: options.hostname, in: store, logger)
      tls = try TLSServerSettings(
        certificatesDER: [own.certificateDER, introduction],
        keyDER: own.keyDER
      )
      isPinned = true
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
      if kept.isUsable(for: hostname, at: wallClock()) { return kept }
      logger.warning(
        "made a new certificate: clients must be told its hash",
        metadata: ["reason": "the old one is for another name or about to expire"]
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
