// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import DERP
import Glibc
import HTTPTransport
import HostIO
import Logging
import RelayServer

/// The life of the relay's process.
enum Serve {
  /// Serves until the process is asked to end.
  static func run(_ settings: ServeSettings, _ environment: [String: String]) async throws {
    LogSetup.bootstrap(level: settings.logLevel, environment: environment)
    let signals = Termination.signals([SIGTERM, SIGINT, SIGHUP])
    do {
      try await serve(settings, environment, signals)
    } catch let error as HTTPTransportError {
      throw CommandError(error.what, code: code(of: error))
    } catch let error as HostError {
      throw CommandError("\(error)", code: code(of: error))
    }
  }

  private static func code(of error: HostError) -> ExitCode {
    switch error.code {
    case EACCES, EPERM: .permission
    case EWOULDBLOCK: .alreadyRunning
    default: .failure
    }
  }

  private static func code(of error: HTTPTransportError) -> ExitCode {
    switch error.reason {
    case .inUse: .alreadyRunning
    case .notPermitted: .permission
    default: .configuration
    }
  }

  private static func serve(
    _ settings: ServeSettings,
    _ environment: [String: String],
    _ signals: AsyncStream<Int32>
  ) async throws {
    let options = settings.options
    let notifier = ServiceNotifier(environment: environment)
    let logger = Logger(label: "relay")
    let relay = try RelayServer(options: options, logger: logger)
    try await relay.start()
    var facts: Logger.Metadata = [
      "listen": "\(relay.endpoints.map(\.description).joined(separator: ","))",
      "key": "\(relay.publicKey)",
    ]
    if let port = relay.stunPort { facts["stun"] = "\(port)" }
    if !relay.certificateName.isEmpty { facts["certName"] = "\(relay.certificateName)" }
    logger.notice("serving", metadata: facts)
    notifier.ready(status: "Relaying for \(options.hostname)")
    for await signal in signals {
      guard signal == SIGHUP else { break }
      reload(settings, relay, logger)
    }
    notifier.stopping()
    logger.notice("stopping")
    await relay.shutdown()
  }

  /// Reads again what may change while the relay runs; what makes no sense leaves it as it is.
  private static func reload(_ settings: ServeSettings, _ relay: RelayServer, _ logger: Logger) {
    relay.renewCertificates()
    guard let file = settings.rateFile else { return }
    do throws(CommandError) {
      let limit = try file.read()
      relay.limit(to: limit)
      logger.notice(
        "limits what clients may send",
        metadata: [
          "bytesPerSecond": "\(limit.map { "\($0.bytesPerSecond)" } ?? "unlimited")",
          "burst": "\(limit.map { "\($0.burst)" } ?? "unlimited")",
        ]
      )
    } catch {
      logger.error("keeps the old limits", metadata: ["reason": "\(error.message)"])
    }
  }
}
