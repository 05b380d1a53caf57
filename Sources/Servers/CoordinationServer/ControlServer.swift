// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Coordination
package import CoordinationStore
internal import Cryptography
internal import Glibc
internal import HTTPTransport
package import Keys
package import Logging

/// A running coordination server: its store, its network, and its two doors.
package final class ControlServer: Sendable {
  /// The file in the state directory that holds the key by which clients know the server.
  package static let keyFile = "noise.key"

  /// The owner of the network.
  package let coordinator: Coordinator
  /// The key by which clients know the server.
  package let publicKey: MachineKey

  /// The file in the state directory that holds the key by which others know our tokens.
  package static let tokenKeyFile = "tokens.key"

  private let connections: ConnectionCount
  private let state: StateDirectory
  private let store: SQLiteStore
  private let doors: [HTTPServer]
  private let socketPath: String
  private let ticking: Task<Void, Never>
  private let telling: Task<Void, Never>

  /// How many machines are connected.
  package var connectedMachines: Int { connections.open }

  /// Where machines connect; of interest when port 0 was asked for.
  package var endpoints: [Endpoint] { doors[0].endpoints }

  /// Starts a server: opens its state, then the administrator's door, then everybody's.
  ///
  /// - Throws: `StoreError` when the state cannot be used, `HTTPTransportError` when a door cannot.
  package init(
    _ options: ServerOptions,
    state: StateDirectory,
    logger: Logger,
    clock: @escaping @Sendable () -> Moment = SystemClock.now
  ) async throws {
    self.state = state
    socketPath = options.socketPath
    OpenFiles.raiseLimit()
    var entropy = Entropy.system
    let isFirstStart = !state.hasFile(Self.keyFile)
    store = try Self.openStore(in: state, mayCreate: isFirstStart)
    let key = try state.machineKey(Self.keyFile, using: &entropy)
    publicKey = key.publicKey
    let coordinator = try await Coordinator(
      store: store,
      options: options.tailnet,
      clock: clock,
      logger: logger
    )
    self.coordinator = coordinator
    await Self.adopt(options.policy, in: coordinator, logger)
    let connections = ConnectionCount(maximum: options.maximumMachines)
    self.connections = connections
    let logins = try await Self.desk(options, for: coordinator, clock: clock, logger: logger)
    let api = APIDoor(coordinator: coordinator, logger: logger, version: options.version)
    let metrics = Metrics(coordinator: coordinator, connections: connections, api: api)
    let admin = AdminEndpoint(
      coordinator: coordinator,
      logger: logger,
      door: api,
      backUp: { [store] in try await Backup.make(of: state, store: store, to: $0) },
      metrics: metrics,
      ownUser: geteuid()
    )
    let tokens = try TokenIssuer(
      url: options.tailnet.url,
      pem: Self.tokenKey(in: state),
      clock: clock
    )
    let entrance = PublicEndpoint(
      coordinator: coordinator,
      key: key,
      version: options.version,
      connections: connections,
      machines: MachineEndpoint(
        coordinator: coordinator,
        logger: logger,
        turnstile: Turnstile(places: 4),
        tokens: tokens
      ),
      logins: logins,
      api: api
    )
    var limits = HTTPLimits()
    limits.maximumConnections = options.maximumMachines
    // A policy is the largest of what programs send; larger ones go through the socket.
    limits.maximumBodyBytes = 256 * 1024
    let machines = try await HTTPServer.start(
      on: options.listen.map { .tcp($0) },
      tls: options.tls,
      limits: limits
    ) { await entrance.answer($0) }
    do {
      var limits = HTTPLimits()
      // A policy of the longest length, each of whose characters may be escaped.
      limits.maximumBodyBytes = 8 * 1024 * 1024
      let administrators = try await HTTPServer.start(
        on: [.unix(path: options.socketPath, mode: 0o600)],
        limits: limits
      ) { await admin.answer($0) }
      var counters: [HTTPServer] = []
      if !options.metricsListen.isEmpty {
        counters.append(
          try await HTTPServer.start(on: options.metricsListen.map { .tcp($0) }, limits: limits) {
            await metrics.answer($0)
          }
        )
      }
      doors = [machines, administrators] + counters
    } catch {
      await machines.shutdown()
      throw error
    }
    let sender = WebhookSender(logger: logger)
    telling = Task { await sender.run(coordinator.webhookDeliveries) }
    let names = options.recordsFile
    ticking = Task {
      var records = names.isEmpty ? nil : RecordsFile(names, logger: logger)
      while !Task.isCancelled {
        if let changed = records?.changed() { await coordinator.apply(records: changed) }
        await coordinator.tick()
        // Cut short only when the server stops.
        try? await Task.sleep(for: .seconds(1))
      }
    }
  }

  /// Opens the database; a damaged one is moved out of the way, whole, and refused.
  ///
  /// It is not replaced by an empty one: every node would be a stranger then. The server's key beside
  /// it keeps the next start from doing that either.
  private static func openStore(
    in state: StateDirectory,
    mayCreate: Bool
  ) throws(StoreError) -> SQLiteStore {
    let name = SQLiteStore.fileName
    do {
      return try SQLiteStore(path: state.file(name), mayCreate: mayCreate)
    } catch {
      guard error.kind == .corrupted, state.hasFile(name) else { throw error }
      let place = try state.setAside(name)
      throw StoreError(
        .corrupted,
        "\(state.file(name)) is damaged; it was set aside as \(place) with its content kept. Restore "
          + "\(state.file(name)) from a backup, or move the whole state directory away to begin anew."
      )
    }
  }

  /// The key by which others know our tokens, made at the first start.
  private static func tokenKey(in state: StateDirectory) throws -> String {
    if let kept = try state.read(tokenKeyFile) { return String(decoding: kept, as: UTF8.self) }
    let key = try SigningKey()
    try state.write(tokenKeyFile, Array(key.pem.utf8))
    return key.pem
  }

  /// Where people log in with the identity provider; nil where there is none.
  private static func desk(
    _ options: ServerOptions,
    for coordinator: Coordinator,
    clock: @escaping @Sendable () -> Moment,
    logger: Logger
  ) async throws(IdentityProviderError) -> LoginDesk? {
    guard let wanted = options.identityProvider else { return nil }
    let provider = IdentityProvider(wanted, url: options.tailnet.url, clock: clock)
    do {
      try await provider.prepare()
    } catch {
      guard !wanted.isRequiredAtStart else {
        throw IdentityProviderError(
          description: "the identity provider \(wanted.issuer) cannot be used: \(error)"
        )
      }
      logger.error("the identity provider does not answer yet", metadata: ["reason": "\(error)"])
    }
    return LoginDesk(
      provider,
      for: coordinator,
      url: options.tailnet.url,
      clock: clock,
      logger: logger
    )
  }

  /// Puts the policy of a file in force; a wrong one leaves the last good one in force.
  private static func adopt(
    _ policy: ServerOptions.PolicyFile?,
    in coordinator: Coordinator,
    _ logger: Logger
  ) async {
    if let trouble = await coordinator.read({ tailnet, _ in tailnet.policyTrouble }) {
      logger.error(
        "the stored policy cannot be read: nobody may reach anybody until there is another",
        metadata: ["reason": "\(trouble)"]
      )
    }
    guard let policy else { return }
    do {
      let text: String
      switch policy.content {
      case .success(let found): text = found
      case .failure(let refusal): throw refusal
      }
      let isNew = await coordinator.read { tailnet, _ in tailnet.policyVersion?.text != text }
      guard isNew else { return }
      let version = try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
        try tailnet.setPolicy(
          text,
          by: "server",
          because: "from \(policy.path)",
          at: now,
          into: &effects
        )
      }
      logger.notice(
        "took over the policy",
        metadata: ["file": "\(policy.path)", "number": "\(version.id)"]
      )
    } catch {
      let kept = await coordinator.read { tailnet, _ in tailnet.policyVersion?.id }
      if kept == nil { await coordinator.closePolicy(because: "\(error)") }
      logger.error(
        kept == nil
          ? "the policy is wrong, and there was none before: nobody may reach anybody"
          : "the policy is wrong: the last good one stays in force",
        metadata: [
          "file": "\(policy.path)", "reason": "\(error)",
          "number": "\(kept.map(String.init) ?? "none")",
        ]
      )
    }
  }

  /// Ends every connection and lets go of the state, with everything written.
  package func shutDown() async {
    ticking.cancel()
    telling.cancel()
    await coordinator.shutDown()
    for door in doors { await door.shutdown() }
    await store.close()
    state.release()
  }
}
