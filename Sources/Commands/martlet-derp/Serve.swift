// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import Glibc
import HTTPTransport
import HostIO
import Logging
import RelayServer

/// `martlet-derp serve`: the relay itself.
enum Serve {
  static let discussion = """
    A flag wins over its environment variable, that over the configuration file, a JSON object
    whose keys are the names of flags.

    With --self-signed the relay makes a certificate that nobody vouches for and prints its hash:
    put it into the relay map as CertName. This works on a bare IP address.

    SIGTERM and SIGINT stop the relay.

    Exit codes: 0 stopped, 1 failed, 2 not understood, 3 wrong configuration, 4 not permitted,
    5 another instance holds the port.
    """

  static let command = Command(
    "serve",
    summary: "Run the relay.",
    discussion: discussion,
    flags: ServeFlags.all,
    settings: (flag: ServeFlags.config, defaultPath: "/etc/martlet/derp.json"),
    action: { invocation in try await run(invocation) }
  )

  static func run(_ invocation: Command.Invocation) async throws {
    guard invocation.arguments.rest.isEmpty else {
      throw CommandError.usage("serve takes no arguments")
    }
    let settings = try ServeSettings(invocation.arguments)
    LogSetup.bootstrap(level: settings.logLevel, environment: invocation.environment)
    let terminations = Termination.signals()
    do {
      try await serve(settings.options, invocation, terminations)
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
    _ invocation: Command.Invocation,
    _ terminations: AsyncStream<Int32>
  ) async throws {
    let notifier = ServiceNotifier(environment: invocation.environment)
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
