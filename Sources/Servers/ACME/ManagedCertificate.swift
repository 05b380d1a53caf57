// SPDX-License-Identifier: Apache-2.0

import HTTPTransport
import HostConfiguration
import HostIO
package import Logging
import Synchronization
import Timing

/// Where a certificate comes from and where it is kept.
package struct ACMEOptions: Hashable, Sendable {
  /// The authority that most people use.
  package static let letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory"
  /// Google's, which wants to know whose customer one is.
  package static let google = "https://dv.acme-v02.api.pki.goog/directory"

  /// The authority's directory.
  package var directoryURL: String
  /// Who vouches for the authority itself, in PEM; the system's roots where nil.
  package var trust: String?
  /// Where the authority writes to when something is wrong; empty for nowhere.
  package var email: String
  /// The authority's customer, where it wants to know.
  package var external: ACMEExternalAccount?
  /// The directory that keeps certificate and account.
  package var certificateDirectory: String
  /// The name that the certificate is for.
  package var hostname: String

  /// Options.
  package init(
    directoryURL: String = letsEncrypt,
    trust: String? = nil,
    email: String = "",
    external: ACMEExternalAccount? = nil,
    certificateDirectory: String,
    hostname: String
  ) {
    (self.directoryURL, self.trust, self.email) = (directoryURL, trust, email)
    self.external = external
    (self.certificateDirectory, self.hostname) = (certificateDirectory, hostname)
  }
}

/// A certificate that an authority gives, kept in a directory and renewed before it ends.
///
/// The file is named like the host and holds key and chain in PEM, so that they are kept or lost
/// together; other programs keep theirs so, too.
package final class ManagedCertificate: Sendable {
  /// A certificate with its key, both in PEM.
  package struct Pair: Hashable, Sendable {
    /// The certificate with its chain.
    package let chain: String
    /// Its private key.
    package let key: String
    /// When it is valid.
    let validity: Range<Timestamp>
  }

  /// The file of the account's key.
  static let accountFile = "acme-account.key"
  /// More than this no file has.
  static let maximumFile = 256 * 1024
  /// How long after a failure the authority is asked again; twice as long after each further one.
  static let firstRetry = Duration.seconds(60)
  static let lastRetry = Duration.seconds(12 * 3600)
  /// How often it is looked whether the time has come.
  static let glance = Duration.seconds(3600)

  private let options: ACMEOptions
  private let store: StateStore
  private let client: ACMEClient
  private let logger: Logger
  private let pair: Mutex<Pair?>
  /// What the authority finds when it looks for us.
  package let challenges = ACMEChallenges()

  /// Reads what is kept; nobody is asked yet.
  package init(_ options: ACMEOptions, logger: Logger) throws {
    (self.options, self.logger) = (options, logger)
    store = try StateStore(directory: options.certificateDirectory, flag: "--certdir")
    client = ACMEClient(
      directoryURL: options.directoryURL,
      trust: options.trust,
      email: options.email,
      external: options.external,
      key: try Self.account(in: store),
      challenges: challenges
    )
    let kept = try store.read(options.hostname, atMost: Self.maximumFile)
    // A file that holds nothing of use is replaced.
    pair = Mutex(kept.flatMap { try? Self.pair(String(decoding: $0, as: UTF8.self)) })
  }

  private static func account(in store: StateStore) throws -> SigningKey {
    // A file that holds no key is replaced: an account is made as easily as a key.
    if let kept = try store.read(accountFile, atMost: maximumFile),
      let key = try? SigningKey(pem: String(decoding: kept, as: UTF8.self))
    {
      return key
    }
    let key = try SigningKey()
    try store.write(accountFile, Array(key.pem.utf8))
    return key
  }

  private static func pair(_ text: String) throws -> Pair {
    let key = try SigningKey(pem: text)
    guard let validity = TLSServerSettings.validity(ofChain: text) else {
      throw ACMEError("the file holds no certificate")
    }
    // Whether they belong together.
    _ = try TLSServerSettings(certificatePEM: text, keyPEM: key.pem)
    return Pair(chain: text, key: key.pem, validity: validity)
  }

  /// The certificate to show; nil until there is one.
  package var current: Pair? { pair.withLock { $0 } }

  /// Gets a certificate when it is time, again and again until the task is cancelled.
  ///
  /// Tells by `changed` that there is another.
  package func run(_ changed: @Sendable () -> Void) async {
    var failures = 0
    while !Task.isCancelled {
      if let due = current.map({ Self.due($0.validity) }), due > wallClock() {
        await pause(for: min(due - wallClock(), Self.glance))
        continue
      }
      do {
        try await renew()
        failures = 0
        changed()
      } catch {
        failures += 1
        guard !Task.isCancelled else { return }
        logger.error(
          "could not get a certificate and tries again",
          metadata: ["for": "\(options.hostname)", "reason": "\(error)"]
        )
      }
      // Also after a success: a clock that is wrong must not make us ask without a pause.
      await pause(for: Self.retry(after: failures))
    }
  }

  private func pause(for duration: Duration) async {
    // Cancellation ends the sleep, and the loop with it.
    try? await Task.sleep(for: duration)
  }

  /// When a certificate is renewed: with a third of its time to go.
  static func due(_ validity: Range<Timestamp>) -> Timestamp {
    let whole = validity.upperBound - validity.lowerBound
    return validity.upperBound + whole * -1 / 3
  }

  /// How long to wait after so many failures in a row.
  static func retry(after failures: Int) -> Duration {
    min(lastRetry, firstRetry * (1 << min(20, max(0, failures - 1))))
  }

  private func renew() async throws {
    logger.notice(
      "asks for a certificate",
      metadata: ["for": "\(options.hostname)", "authority": "\(options.directoryURL)"]
    )
    let key = try SigningKey()
    let (chain, proof) = try await client.certificate(for: [options.hostname], key: key)
    let text = key.pem + chain
    let new = try Self.pair(text)
    try store.write(options.hostname, Array(text.utf8))
    pair.withLock { $0 = new }
    logger.notice(
      "has a new certificate",
      metadata: ["for": "\(options.hostname)", "provenBy": "\(proof.rawValue)"]
    )
  }
}
