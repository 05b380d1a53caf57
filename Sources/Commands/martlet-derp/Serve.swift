// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
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
    let terminations = Termination.signals()
    do {
      try await serve(settings.options, environment, terminations)
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
    _ options: RelayOptions,
    _ environment: [String: String],
    _ terminations: AsyncStream<Int32>
  ) async throws {
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
    for await _ in terminations { break }
    notifier.stopping()
    logger.notice("stopping")
    await relay.shutdown()
  }
}
