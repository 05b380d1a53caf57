// SPDX-License-Identifier: Apache-2.0

import ACME
package import Addressing
import Bytes
import Cryptography
package import DERP
package import HTTPTransport
import HostConfiguration
import HostIO
package import Keys
package import Logging
import STUN
import Synchronization

/// A relay on sockets: packets between clients that cannot reach each other, and STUN.
package final class RelayServer: Sendable {
  private struct Running {
    var servers: [HTTPServer] = []
    var plain: [HTTPServer] = []
    var stun: [DatagramResponder] = []
    var ticking: Task<Void, Never>?
    var meshing: [Task<Void, Never>] = []
    var renewing: Task<Void, Never>?
  }

  let options: RelayOptions
  /// Held until the shutdown: the state directory is nobody else's.
  private let lock: Mutex<InstanceLock?>
  private let identity: RelayIdentity
  private let handshake: RelayHandshake
  let core: RelayCore
  let facts = RelayFacts()
  private let logger: Logger
  private let running = Mutex(Running())

  /// The file in the state directory that is locked.
  static let lockFile = "relay.lock"
  /// How long a connection may be idle between two requests.
  static let idleTimeout = Duration.seconds(30)
  /// How long another relay of the mesh may take no bytes before it is disconnected.
  static let meshWriteTimeout = Duration.seconds(30)

  /// A relay that does not listen yet; makes or reads its key and certificate.
  ///
  /// - Throws: `RelayError`, `HTTPTransportError` or `HostError`, all made to be shown.
  package init(options: RelayOptions, logger: Logger) throws {
    (self.options, self.logger) = (options, logger)
    core = RelayCore(options)
    if let path = options.stateDirectory {
      let store = try StateStore(directory: path, flag: "--state")
      lock = Mutex(try InstanceLock(store, named: Self.lockFile))
      identity = try RelayIdentity(options, in: store, logger: logger)
    } else {
      lock = Mutex(nil)
      identity = try RelayIdentity(options, in: nil, logger: logger)
    }
    handshake = RelayHandshake(privateKey: identity.key)
  }

  // MARK: Facts

  /// The relay's key.
  package var publicKey: NodeKey { identity.key.publicKey }

  /// The SHA-256 of the certificate's DER; nil without TLS.
  package var certificateSHA256: [UInt8]? { identity.tls?.certificateSHA256 }

  /// What a relay map says of the certificate: its hash where nobody vouches for it, else nothing.
  package var certificateName: String {
    guard identity.isPinned, let hash = certificateSHA256 else { return "" }
    return "sha256-raw:" + Hex.encode(hash)
  }

  /// The port that clients connect to; nil before the start.
  package var derpPort: UInt16? { endpoints.first?.port }

  /// The port of STUN; nil where it is not answered.
  package var stunPort: UInt16? {
    running.withLock { $0.stun.first?.endpoint?.port }
  }

  /// Where clients connect.
  package var endpoints: [Endpoint] { running.withLock { $0.servers.flatMap(\.endpoints) } }

  /// Where plain HTTP is answered besides.
  package var plainEndpoints: [Endpoint] { running.withLock { $0.plain.flatMap(\.endpoints) } }

  /// What was done so far.
  package var counters: RelayCounters { core.counters }

  /// How many connections there are, clients and others.
  package var connectionCount: Int {
    running.withLock { running in
      (running.servers + running.plain).reduce(0) { $0 + $1.connectionCount }
    }
  }

  /// How many connections were closed as soon as they came, for a limit.
  package var refusedConnections: Int {
    running.withLock { running in
      (running.servers + running.plain).reduce(0) { $0 + $1.refusedConnections }
    }
  }

  /// This relay as it stands in a relay map.
  package func describe(as name: String, in region: RegionID) -> RelayNode {
    let address = IPAddress(options.hostname)
    return RelayNode(
      name: name,
      regionID: region,
      hostName: options.hostname,
      certName: certificateName,
      ipv4: address.map { $0.isV4 ? $0.description : "none" } ?? "",
      ipv6: address.map { $0.isV4 ? "none" : $0.description } ?? "",
      stunPort: stunPort.map(Int.init) ?? -1,
      derpPort: derpPort.map(Int.init) ?? 0
    )
  }

  // MARK: Life

  /// Starts listening; returns once it does.
  ///
  /// - Throws: `HTTPTransportError` when a port cannot be had; nothing listens then.
  package func start() async throws {
    OpenFiles.raiseLimit()
    do {
      try await startRelaying()
      try await startAnsweringPlainly()
      try await startAnsweringSTUN()
    } catch {
      await shutdown()
      throw error
    }
    let ticking = Task { [self] in await tick() }
    running.withLock { $0.ticking = ticking }
    for peer in options.meshPeers { mesh(with: peer) }
    guard let managed = identity.managed else { return }
    managed.challenges.whenAnswerChanges { [weak self] in self?.renewCertificates() }
    let renewing = Task { [self] in await managed.run { self.renewCertificates() } }
    running.withLock { $0.renewing = renewing }
  }

  /// Connects to another relay of the mesh, and does so again whenever the connection ends.
  package func mesh(with peer: MeshPeer, retryingAfter interval: Duration? = nil) {
    guard let meshKey = options.meshKey else { return }
    let link = MeshLink(peer, key: identity.key, meshKey: meshKey, on: core, logger: logger)
    let task = Task { await link.run(retryingAfter: interval ?? MeshLink.retryInterval) }
    running.withLock { $0.meshing.append(task) }
  }

  private func startRelaying() async throws {
    let server = try await HTTPServer.start(
      on: options.listen.map { .tcp($0) },
      tls: identity.tls,
      limits: limits
    ) { [self] request in answer(request) }
    running.withLock { $0.servers.append(server) }
  }

  /// Where a relay with TLS answers without, it does not speak DERP.
  private func startAnsweringPlainly() async throws {
    guard !options.plainListen.isEmpty else { return }
    let server = try await HTTPServer.start(
      on: options.plainListen.map { .tcp($0) },
      tls: nil,
      limits: limits
    ) { [self] request in answerPlainly(request) }
    running.withLock { $0.plain.append(server) }
  }

  private func startAnsweringSTUN() async throws {
    for endpoint in options.stun {
      let isShared = options.stun.contains { $0.address.isV4 && $0.port == endpoint.port }
      let stun = try await DatagramResponder.start(
        on: endpoint,
        isV6Only: isShared
      ) { [facts] datagram, source in
        let response = BindingResponse.answering(datagram, from: source)
        if response == nil {
          facts.notSTUN.increment()
        } else if source.address.isV4 {
          facts.stunOverIPv4.increment()
        } else {
          facts.stunOverIPv6.increment()
        }
        return response
      }
      running.withLock { $0.stun.append(stun) }
    }
  }

  private var limits: HTTPLimits {
    var limits = HTTPLimits()
    limits.expectsThousands = true
    limits.maximumConnections = options.maximumConnections
    limits.maximumConnectionsPerAddress = options.maximumConnectionsPerAddress
    limits.acceptsPerSecond = options.acceptsPerSecond
    limits.acceptBurst = options.acceptBurst
    limits.keepAliveSeconds = options.keepAliveSeconds
    limits.headerTimeout = options.introductionTimeout
    limits.idleTimeout = Self.idleTimeout
    limits.maximumBodyBytes = 0
    limits.userTimeoutMilliseconds = options.userTimeoutMilliseconds
    return limits
  }

  /// After so many connections have ended, their memory is given back to the system.
  static let departuresBeforeRelease = 500

  private func tick() async {
    var seconds = 0
    var most = 0
    while !Task.isCancelled {
      // Cancellation ends the sleep, and the loop with it.
      try? await Task.sleep(for: .seconds(1))
      core.handleTimeouts(at: MonotonicClock.now())
      let delays = core.counters.queueDelay
      facts.noteDelays(total: delays.totalMicroseconds, count: delays.counts.reduce(0, +))
      let connections = connectionCount
      most = max(most, connections)
      if most - connections >= Self.departuresBeforeRelease {
        most = connections
        HostMemory.releaseFree()
      }
      seconds += 1
      if seconds.isMultiple(of: RelayIdentity.renewalSeconds) { renewCertificates() }
    }
  }

  /// Shows what the certificate files hold now, and a fresh introduction.
  ///
  /// Certificates that cannot be used are told, and the old ones stay.
  package func renewCertificates() {
    do {
      switch try identity.renew(at: wallClock()) {
      case .same: break
      case .replaced: logger.notice("shows the new certificate that its files hold")
      case .ending:
        logger.warning("its own certificate expires soon: restart it and tell clients the new hash")
      }
    } catch {
      logger.error("keeps the old certificate", metadata: ["reason": "\(error)"])
    }
  }

  /// Starts, and stops when the task is cancelled.
  ///
  /// - Throws: what `start` throws.
  package func run() async throws {
    try await start()
    let (ended, ending) = AsyncStream<Void>.makeStream()
    await withTaskCancellationHandler {
      for await _ in ended {}
    } onCancel: {
      ending.finish()
    }
    await shutdown()
  }

  /// Stops listening, tells everybody to come again later, and disconnects them.
  package func shutdown() async {
    let stopped = running.withLock { running in
      defer { running = Running() }
      return running
    }
    stopped.ticking?.cancel()
    stopped.renewing?.cancel()
    for task in stopped.meshing { task.cancel() }
    for task in stopped.meshing { await task.value }
    for server in stopped.servers + stopped.plain { await server.stopAccepting() }
    for stun in stopped.stun { await stun.shutdown() }
    await core.dismissAll()
    for server in stopped.servers + stopped.plain { await server.shutdown() }
    lock.withLock { $0 = nil }
  }

  /// Ends the connections of a client that is admitted no longer.
  package func disconnect(_ key: NodeKey) { core.disconnect(key) }

  // MARK: Requests

  /// Answers a request, also one that came to another server of this process.
  package func answer(_ request: HTTPRequest) -> HTTPResponse {
    let path = RelayPages.path(of: request)
    if path == "/derp", options.relays { return upgrade(request) }
    return RelayDebugPages.holds(path)
      ? debugPages.answer(request, path) : RelayPages.answer(request, home: options.home)
  }

  /// Answers a request that came without TLS beside it: what browsers may see, they see with TLS.
  private func answerPlainly(_ request: HTTPRequest) -> HTTPResponse {
    let path = RelayPages.path(of: request)
    if RelayDebugPages.holds(path) { return debugPages.answer(request, path) }
    if let page = identity.managed?.challenges.page(at: path) {
      return HTTPResponse(
        status: 200,
        headers: ["Content-Type": "application/octet-stream"],
        body: .bytes(Array(page.utf8))
      )
    }
    guard identity.tls != nil, !RelayPages.isPlain(path), let port = derpPort else {
      return RelayPages.answer(request, home: options.home)
    }
    let host = options.hostname.contains(":") ? "[\(options.hostname)]" : options.hostname
    let place = port == 443 ? host : "\(host):\(port)"
    return RelayPages.redirect(to: "https://\(place)\(request.path)")
  }

  private var debugPages: RelayDebugPages {
    RelayDebugPages(
      hostname: options.hostname,
      debuggers: options.debuggers,
      facts: facts,
      clients: { [self] in core.connections },
      metrics: { [self] in metrics }
    )
  }

  /// How the TLS handshakes went.
  var tlsHandshakes: TLSHandshakes {
    running.withLock { running in
      running.servers.reduce(into: TLSHandshakes()) { $0 += $1.tlsHandshakes }
    }
  }

  /// From now on each client may send as much as `limit` says, those who are here as well.
  ///
  /// Who came before is not told: the protocol has no word for it.
  package func limit(to limit: RelayRateLimit?) { core.limit(to: limit) }

  private func upgrade(_ request: HTTPRequest) -> HTTPResponse {
    let isNotIdeal = request.headers["Ideal-Node"].map { !$0.isEmpty } ?? false
    if request.isForWebSocket {
      return .webSocket(answering: request, speaking: "derp") { [self] stream in
        facts.webSocketAccepts.add(1, ordering: .relaxed)
        await serve(stream, isNotIdeal: isNotIdeal)
      }
    }
    guard request.headers["Upgrade"]?.lowercased() == "derp" else {
      return RelayPages.text(426, "This address speaks DERP: send 'Upgrade: DERP'.")
    }
    if request.headers[FastStart.header] == "1" {
      return HTTPResponse(
        status: 101,
        body: .takeover { [self] in await serve($0, isNotIdeal: isNotIdeal) }
      )
    }
    return HTTPResponse(
      status: 101,
      headers: [
        "Derp-Version": "\(Frame.protocolVersion)", "Derp-Public-Key": Hex.encode(publicKey.bytes),
      ],
      body: .upgrade(protocol: "DERP") { [self] in await serve($0, isNotIdeal: isNotIdeal) }
    )
  }

  // MARK: Clients

  private func serve(_ stream: ByteStream, isNotIdeal: Bool) async {
    let link = RelayLink(stream, on: core)
    do {
      let admitted = try await admit(link)
      let isMesh = options.meshKey.map { admitted.info.meshKey == $0 } ?? false
      var entropy = Entropy.system
      let welcome = handshake.welcome(
        admitted.key,
        Self.info(isMesh ? nil : core.rateLimit),
        using: &entropy
      )
      stream.limitStalls(to: isMesh ? Self.meshWriteTimeout : options.writeTimeout)
      let introduction = RelayClient.Introduction(
        admitted.key,
        admitted.info,
        from: stream.remoteEndpoint,
        isMesh: isMesh,
        isNotIdeal: isNotIdeal
      )
      core.add(introduction, link, welcome: welcome.bytes)
      // Who lost the admission a moment ago was not here yet to be disconnected.
      if !isMesh, let admits = options.admits, await !admits(admitted.key, stream.remoteEndpoint) {
        core.remove(link)
        throw RelayError("the client \(admitted.key.short) is known here no longer")
      }
      logger.debug(
        "a client came",
        metadata: ["client": "\(admitted.key.short)", "from": "\(Self.place(stream))"]
      )
      link.start()
      // From here on the connection needs no task.
      stream.keepOpen()
      stream.whenClosed { [self] in left(link, admitted.key) }
    } catch {
      logger.debug(
        "a client was turned away",
        metadata: ["from": "\(Self.place(stream))", "reason": "\(error)"]
      )
      stream.abort()
    }
  }

  private func left(_ link: RelayLink, _ key: NodeKey) {
    core.remove(link)
    if link.stream.failure?.reason == .timedOut { facts.writeTimeouts.increment() }
    logger.debug(
      "a client left",
      metadata: [
        "client": "\(key.short)", "reason": "\(link.stream.failure?.what ?? "it closed")",
      ]
    )
  }

  private func admit(_ link: RelayLink) async throws -> RelayHandshake.Admitted {
    let deadline = link.stream.abort(
      after: options.introductionTimeout,
      because: "the client did not introduce itself"
    )
    defer { deadline.cancel() }
    try await link.stream.write(handshake.greeting.bytes)
    while true {
      if case .clientInfo(let key, let sealed) = try link.nextFrame() {
        guard let admitted = handshake.open(key, sealed: sealed) else {
          throw RelayError("the client does not own the key it named")
        }
        // A relay of the same mesh brings the clients of others.
        if let mesh = options.meshKey, admitted.info.meshKey == mesh { return admitted }
        if let admits = options.admits, await !admits(key, link.stream.remoteEndpoint) {
          throw RelayError("the client \(key.short) is not known here")
        }
        try await verify(key, from: link.stream.remoteEndpoint)
        return admitted
      }
      guard let bytes = try await link.stream.read() else {
        throw RelayError("the client left before it introduced itself")
      }
      link.append(bytes)
    }
  }

  /// Asks whoever knows whether a client may come in.
  private func verify(_ key: NodeKey, from source: Endpoint?) async throws {
    guard options.verifier.asks else { return }
    switch await options.verifier.judge(key, from: source) {
    case .admitted: facts.verified.increment()
    case .unasked(let reason):
      facts.unverified.increment()
      logger.warning(
        "admits a client without asking",
        metadata: ["client": "\(key.short)", "reason": "\(reason)"]
      )
    case .refused(let reason):
      facts.refused.increment()
      throw RelayError("the client \(key.short) may not use the relay: \(reason)")
    }
  }

  /// What a client is told: how much it may send, so that it need not be made to wait.
  private static func info(_ limit: RelayRateLimit?) -> ServerInfo {
    ServerInfo(bytesPerSecond: limit?.bytesPerSecond, bytesBurst: limit?.burst)
  }

  private static func place(_ stream: ByteStream) -> String {
    stream.remoteEndpoint?.description ?? "a socket"
  }
}
