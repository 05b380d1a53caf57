// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import ControlProtocol
import Coordination
import CoordinationServer
import CoordinationStore
import HTTPTransport
import Logging

#if canImport(Glibc)
import Glibc
#endif

/// The life of the server's process.
enum Serve {
  /// Serves until the process is asked to end.
  static func run(_ settings: ServeSettings, _ environment: [String: String]) async throws {
    _ = umask(0o077)
    LogSetup.bootstrap(level: settings.logLevel, environment: environment)
    let logger = Logger(label: "control")
    let terminations = Termination.signals()
    do {
      try await serve(settings, environment, terminations, logger)
    } catch let error as StoreError {
      throw CommandError(
        error.message,
        code: error.kind == .inUse
          ? .alreadyRunning : error.kind == .inaccessible ? .permission : .failure
      )
    } catch let error as IdentityProviderError {
      throw CommandError(
        error.description,
        hint:
          "Start it first, or let the server start without: oidc-only-start-if-oidc-is-available "
          + "false."
      )
    } catch let error as HTTPTransportError {
      throw CommandError(
        error.what,
        code: error.reason == .inUse
          ? .alreadyRunning : error.reason == .notPermitted ? .permission : .failure
      )
    }
  }

  private static func serve(
    _ settings: ServeSettings,
    _ environment: [String: String],
    _ terminations: AsyncStream<Int32>,
    _ logger: Logger
  ) async throws {
    let notifier = ServiceNotifier(environment: environment)
    let state = try StateDirectory(settings.state)
    try makeParent(of: settings.socket)
    try await refuseSharing(settings.socket)
    var tailnet = settings.tailnet
    let relay = try settings.relay.map {
      try EmbeddedRelay($0, on: settings.listen, state: settings.state, logger: logger)
    }
    if let relay { try relay.join(&tailnet.relayMap) }
    warnAbout(tailnet, logger)
    var options = ServerOptions(
      listen: settings.listen,
      tls: settings.tls,
      socketPath: settings.socket,
      stateDirectory: settings.state,
      tailnet: tailnet,
      version: Version.long
    )
    options.identityProvider = settings.identityProvider
    options.recordsFile = settings.recordsFile
    if let provider = settings.identityProvider, provider.issuer.hasPrefix("http://") {
      logger.warning(
        "the identity provider is asked without encryption: who reads along can log in as anybody"
      )
    }
    options.metricsListen = settings.metricsListen
    if !settings.policy.isEmpty { options.policy = PolicyText.file(settings.policy) }
    let server = try await ControlServer(options, state: state, logger: logger)
    do {
      try await relay?.start(for: server.coordinator)
    } catch {
      await server.shutDown()
      throw error
    }
    let places = server.endpoints.map(\.description).joined(separator: ", ")
    logger.notice(
      "serving",
      metadata: ["listen": "\(places)", "url": "\(tailnet.url)", "state": "\(settings.state)"]
    )
    notifier.ready(status: "Serving \(tailnet.url)")
    for await _ in terminations { break }
    notifier.stopping()
    logger.notice("stopping")
    await relay?.shutDown()
    await server.shutDown()
  }

  private static func warnAbout(_ tailnet: TailnetOptions, _ logger: Logger) {
    if tailnet.relayMap.regions?.isEmpty ?? true {
      logger.warning("there is no relay: nodes behind NATs may not reach each other; see --derp")
    }
    for (prefix, range) in [
      (tailnet.ipv4Prefix, TailnetRanges.v4), (tailnet.ipv6Prefix, TailnetRanges.v6),
    ] where !range.contains(prefix) {
      logger.warning(
        "clients expect addresses in the usual range",
        metadata: ["prefix": "\(prefix)", "range": "\(range)"]
      )
    }
  }

  /// Refuses to take the socket from another server that answers there.
  private static func refuseSharing(_ path: String) async throws(CommandError) {
    // Nobody answers at a socket that was left behind; it is replaced.
    guard let other = try? await Dialer().dial(unixPath: path) else { return }
    await other.close()
    throw CommandError(
      "another martlet-control answers at \(path)",
      hint: "Stop it, or give this one a --socket of its own.",
      code: .alreadyRunning
    )
  }

  /// Makes the directory in which the socket is to stand.
  private static func makeParent(of path: String) throws(CommandError) {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return }
    let directory = String(path[..<slash])
    if unsafe mkdir(directory, 0o755) == 0 {
      // The socket itself is closed to others; our daemon's may stand beside it, open to more.
      _ = unsafe chmod(directory, 0o755)
    } else if errno != EEXIST {
      throw CommandError(
        "cannot make \(directory) for the socket: \(systemMessage(errno))",
        hint: "Choose another place with --socket.",
        code: .permission
      )
    }
  }
}
