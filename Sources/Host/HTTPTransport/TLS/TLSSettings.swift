// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import NIOCore
import NIOSSL
import Synchronization
package import Timing

/// Whom a client of TLS trusts.
package enum TLSClientSettings: Hashable, Sendable {
  /// Certificates that the system's roots vouch for, in this name.
  case systemRoots(hostname: String)
  /// Certificates that the authorities in this PEM text vouch for, in this name; the system's roots
  /// do not count.
  case authorities(pem: String, hostname: String)
  /// The one certificate whose DER has this SHA-256, whatever it says; the name is only sent along.
  case pinned(sha256: [UInt8], hostname: String?)
  /// Anybody: whoever speaks inside proves themselves in another way.
  case unverified(hostname: String?)
}

extension TLSClientSettings {
  /// Reads what is read once for everybody, such as the system's roots; takes its time, so not on an
  /// event loop.
  func prepare() throws {
    switch self {
    case .systemRoots: _ = try SharedTLSContext.verifying.get()
    case .pinned, .unverified: _ = try SharedTLSContext.custom.get()
    case .authorities: break
    }
  }

  /// The handlers of a client; `note` learns the certificates that the server showed.
  func makeHandler(
    noting note: @escaping @Sendable ([[UInt8]]) -> Void
  ) throws -> NIOSSLClientHandler {
    switch self {
    case .systemRoots(let hostname):
      return try Self.verifying(hostname, SharedTLSContext.verifying.get())
    case .authorities(let pem, let hostname):
      return try Self.verifying(hostname, SharedTLSContext.trusting(pem))
    case .pinned(let expected, let hostname):
      return try handler(hostname) { certificates, promise in
        note(certificates)
        let shown = certificates.first.map { SHA256.hash($0) } ?? []
        let isExpected = equalInConstantTime(shown, expected)
        promise.succeed(isExpected ? .certificateVerified : .failed)
      }
    case .unverified(let hostname):
      return try handler(hostname) { certificates, promise in
        note(certificates)
        promise.succeed(.certificateVerified)
      }
    }
  }

  private static func verifying(
    _ hostname: String,
    _ context: NIOSSLContext
  ) throws -> NIOSSLClientHandler {
    guard let name = serverName(hostname) else {
      // Without a name, the certificate must carry the address that we connect to.
      return try NIOSSLClientHandler(context: context, serverHostname: nil)
    }
    // NIOSSL takes a certificate for the address in place of one for the name. Whoever answers a
    // question for the name with an address of their own may have the former, never the latter.
    return try ._makeSSLClientHandler(
      context: context,
      serverHostname: name
    ) { certificate, channel in
      channel.eventLoop.makeCompletedFuture {
        guard CertificateNames(of: certificate).contain(name) else {
          throw HTTPTransportError(.untrusted, "the certificate is not for \(name)")
        }
      }
    }
  }

  private func handler(
    _ hostname: String?,
    _ verify: @escaping @Sendable ([[UInt8]], EventLoopPromise<NIOSSLVerificationResult>) -> Void
  ) throws -> NIOSSLClientHandler {
    try NIOSSLClientHandler(
      context: SharedTLSContext.custom.get(),
      serverHostname: hostname.flatMap(Self.serverName),
      customVerificationCallback: { certificates, promise in
        // A certificate that cannot be written again is none.
        verify(certificates.compactMap { try? $0.toDERBytes() }, promise)
      }
    )
  }

  /// `hostname` where it may be sent along; addresses may not.
  private static func serverName(_ hostname: String) -> String? {
    let isAddress = hostname.contains(":") || hostname.allSatisfy { $0.isNumber || $0 == "." }
    return isAddress || hostname.isEmpty ? nil : hostname
  }
}

/// Contexts are costly (the roots are read from disk) and the same for everybody.
private enum SharedTLSContext {
  static let verifying = Result { try NIOSSLContext(configuration: base()) }
  static let custom = Result {
    var configuration = base()
    configuration.certificateVerification = .noHostnameVerification
    configuration.trustRoots = .certificates([])
    return try NIOSSLContext(configuration: configuration)
  }

  static func trusting(_ pem: String) throws -> NIOSSLContext {
    var configuration = base()
    configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(pem.utf8)))
    return try NIOSSLContext(configuration: configuration)
  }

  private static func base() -> TLSConfiguration {
    var configuration = TLSConfiguration.makeClientConfiguration()
    configuration.minimumTLSVersion = .tlsv12
    configuration.shutdownTimeout = .seconds(2)
    return configuration
  }
}

/// The certificate and key that a server of TLS shows.
///
/// Both can be replaced while a server uses them: connections that come later get the new ones.
package struct TLSServerSettings: Sendable {
  private final class Shown: Sendable {
    let now: Mutex<(context: NIOSSLContext, sessions: TLSContext, sha256: [UInt8])>
    init(_ context: NIOSSLContext, _ sessions: TLSContext, sha256: [UInt8]) {
      now = Mutex((context, sessions, sha256))
    }
  }

  private let shown: Shown

  var context: NIOSSLContext { shown.now.withLock { $0.context } }
  /// The same for sessions of our own loops.
  var sessions: TLSContext { shown.now.withLock { $0.sessions } }
  /// The SHA-256 of the DER of the first certificate.
  package var certificateSHA256: [UInt8] { shown.now.withLock { $0.sha256 } }

  /// Shows what `other` shows to connections that come from now on.
  package func replace(with other: TLSServerSettings) {
    let new = other.shown.now.withLock { $0 }
    shown.now.withLock { $0 = new }
  }

  /// From files in PEM: the certificate with its chain, and the key.
  ///
  /// `more` are certificates in DER that are shown after the chain.
  package init(
    certificateFile: String,
    keyFile: String,
    followedBy more: [[UInt8]] = []
  ) throws(HTTPTransportError) {
    do {
      let added = try more.map { try NIOSSLCertificate(bytes: $0, format: .der) }
      try self.init(
        certificates: NIOSSLCertificate.fromPEMFile(certificateFile) + added,
        key: NIOSSLPrivateKey(file: keyFile, format: .pem)
      )
    } catch {
      throw HTTPTransportError(
        .system,
        "cannot use the certificate \(certificateFile) with the key \(keyFile): \(error). "
          + "Both have to be there, in PEM, readable, and belong together"
      )
    }
  }

  /// Shows `answer` to an authority that asks for the answer to its challenge; only before a server
  /// uses these settings, and only where it expects thousands.
  package func answer(with answer: OwnCertificate) throws(HTTPTransportError) {
    do {
      sessions.answer(
        with: try TLSContext(certificates: [answer.certificateDER], privateKey: answer.keyDER)
      )
    } catch {
      throw HTTPTransportError(.system, "cannot use the answer to a challenge: \(error)")
    }
  }

  /// When the first certificate in a PEM text is valid; nil where there is none.
  package static func validity(ofChain pem: String) -> Range<Timestamp>? {
    // A text without certificates says nothing of when.
    guard let leaf = try? NIOSSLCertificate.fromPEMBytes(Array(pem.utf8)).first,
      leaf.notValidBefore <= leaf.notValidAfter
    else { return nil }
    return Timestamp(
      seconds: Int64(leaf.notValidBefore)
    )..<Timestamp(
      seconds: Int64(leaf.notValidAfter)
    )
  }

  /// From PEM texts; `more` are certificates in DER that are shown after the chain.
  package init(
    certificatePEM: String,
    keyPEM: String,
    followedBy more: [[UInt8]] = []
  ) throws(HTTPTransportError) {
    do {
      let added = try more.map { try NIOSSLCertificate(bytes: $0, format: .der) }
      try self.init(
        certificates: NIOSSLCertificate.fromPEMBytes(Array(certificatePEM.utf8)) + added,
        key: NIOSSLPrivateKey(bytes: Array(keyPEM.utf8), format: .pem)
      )
    } catch {
      throw HTTPTransportError(.system, "cannot use the certificate: \(error)")
    }
  }

  /// From DER: the chain, the server's own certificate first, and the key.
  package init(certificatesDER: [[UInt8]], keyDER: [UInt8]) throws(HTTPTransportError) {
    do {
      try self.init(
        certificates: certificatesDER.map { try NIOSSLCertificate(bytes: $0, format: .der) },
        key: NIOSSLPrivateKey(bytes: keyDER, format: .der)
      )
    } catch {
      throw HTTPTransportError(.system, "cannot use the certificate: \(error)")
    }
  }

  private init(certificates: [NIOSSLCertificate], key: NIOSSLPrivateKey) throws {
    guard let leaf = certificates.first else {
      throw HTTPTransportError(.system, "there is no certificate in the file")
    }
    var configuration = TLSConfiguration.makeServerConfiguration(
      certificateChain: certificates.map { .certificate($0) },
      privateKey: .privateKey(key)
    )
    configuration.minimumTLSVersion = .tlsv12
    configuration.shutdownTimeout = .seconds(2)
    shown = Shown(
      try NIOSSLContext(configuration: configuration),
      try TLSContext(
        certificates: certificates.map { try $0.toDERBytes() },
        privateKey: key.derBytes
      ),
      sha256: SHA256.hash(try leaf.toDERBytes())
    )
  }
}
