// SPDX-License-Identifier: Apache-2.0

package import Addressing
import HostIO
import NIOCore
import NIOPosix
import NIOSSL
import Synchronization
import Timing

/// Where a server waits for connections.
package enum ListenAddress: Hashable, Sendable, CustomStringConvertible {
  /// A TCP port; port 0 lets the operating system choose.
  case tcp(Endpoint)
  /// A unix socket with this file mode. What lies at the path before is replaced.
  case unix(path: String, mode: UInt32)

  /// The endpoint or the path.
  package var description: String {
    switch self {
    case .tcp(let endpoint): endpoint.description
    case .unix(let path, _): path
    }
  }

  /// Whether this is IPv6 at a port where one of `others` is IPv4.
  ///
  /// A listener on all of IPv6 takes IPv4 as well where nobody else does.
  fileprivate func leavesIPv4(to others: [ListenAddress]) -> Bool {
    guard case .tcp(let endpoint) = self, !endpoint.address.isV4 else { return false }
    return others.contains { other in
      guard case .tcp(let other) = other else { return false }
      return other.address.isV4 && other.port == endpoint.port
    }
  }
}

/// How the TLS handshakes of a listener went, by the version of TLS: `1.3`.
package struct TLSHandshakes: Hashable, Sendable {
  /// Those that succeeded since the start.
  package var completed: [String: Int] = [:]
  /// The connections that are open.
  package var open: [String: Int] = [:]
  /// Those that did not succeed.
  package var failed = 0

  /// None.
  package init() {}

  /// Adds those of another listener.
  package static func += (sum: inout TLSHandshakes, more: TLSHandshakes) {
    sum.completed.merge(more.completed, uniquingKeysWith: +)
    sum.open.merge(more.open, uniquingKeysWith: +)
    sum.failed += more.failed
  }
}

/// Waits for connections and hands each to a task of its own.
package final class Listener: Sendable {
  private let channels = Mutex<[any Channel]>([])
  private let loopListeners = Mutex<[LoopListener]>([])
  private let paths = Mutex<[String]>([])
  private let streams = Mutex(Streams())
  private let handshakes = Mutex(TLSHandshakes())
  private let gate: AcceptGate
  private let limits: HTTPLimits
  private let serve: @Sendable (ByteStream) async -> Void

  private struct Streams {
    var open: [ObjectIdentifier: ByteStream] = [:]
    var isShutDown = false
  }

  private init(limits: HTTPLimits, serve: @escaping @Sendable (ByteStream) async -> Void) {
    self.limits = limits
    self.serve = serve
    gate = AcceptGate(limits)
  }

  /// Starts listening on all of the addresses.
  ///
  /// - Parameters:
  ///   - addresses: Where; either all work or none.
  ///   - tls: The certificate to show; nil for plain connections. Unix sockets are always plain.
  ///   - limits: What is taken from clients.
  ///   - serve: Gets every connection, whose task is cancelled when it ends. It is closed when the
  ///     closure returns.
  /// - Returns: The listener, listening.
  /// - Throws: `HTTPTransportError`.
  package static func start(
    on addresses: [ListenAddress],
    tls: TLSServerSettings?,
    limits: HTTPLimits = HTTPLimits(),
    serve: @escaping @Sendable (ByteStream) async -> Void
  ) async throws -> Listener {
    let listener = Listener(limits: limits, serve: serve)
    do {
      for address in addresses {
        try await listener.listen(on: address, beside: addresses, tls: tls)
      }
    } catch {
      await listener.shutdown()
      throw error
    }
    return listener
  }

  /// The TCP endpoints, with the ports that the operating system chose.
  package var endpoints: [Endpoint] {
    channels.withLock { $0.compactMap { $0.localAddress.flatMap(Endpoint.init) } }
      + loopListeners.withLock { $0.map(\.endpoint) }
  }

  /// How many connections there are.
  package var connectionCount: Int { streams.withLock { $0.open.count } }

  /// How many connections were closed as soon as they came, for a limit.
  package var refusedConnections: Int { gate.refused }

  /// How the TLS handshakes went.
  package var tlsHandshakes: TLSHandshakes {
    var sum = handshakes.withLock { $0 }
    for stream in streams.withLock({ Array($0.open.values) }) {
      if let version = stream.tlsVersion { sum.open[version, default: 0] += 1 }
    }
    return sum
  }

  /// Stops listening and ends every connection.
  package func shutdown() async {
    await stopAccepting()
    let open = streams.withLock { streams in
      // One that is being accepted at this moment is turned away when it is.
      streams.isShutDown = true
      return Array(streams.open.values)
    }
    for stream in open { stream.abort() }
  }

  /// Stops listening; connections go on.
  package func stopAccepting() async {
    let open = channels.withLock { channels in
      defer { channels = [] }
      return channels
    }
    // A listener that is closed already is what we want.
    for channel in open { try? await channel.close() }
    let listening = loopListeners.withLock { listening in
      defer { listening = [] }
      return listening
    }
    for listener in listening { await listener.stop() }
    let made = paths.withLock { paths in
      defer { paths = [] }
      return paths
    }
    for path in made { UnixSocketPath.remove(path) }
  }

  private func listen(
    on address: ListenAddress,
    beside others: [ListenAddress],
    tls: TLSServerSettings?
  ) async throws {
    do {
      switch address {
      case .tcp(let endpoint) where limits.expectsThousands:
        let isV6Only = address.leavesIPv4(to: others)
        let listener = try LoopListener(on: endpoint, isV6Only: isV6Only) { [self] in
          adopt($0, from: $1, tls: tls)
        }
        loopListeners.withLock { $0.append(listener) }
        listener.start()
      case .tcp(let endpoint):
        var bootstrap = bootstrap(tls: tls)
        if address.leavesIPv4(to: others) {
          bootstrap = bootstrap.serverChannelOption(IPv6Option.only, value: 1)
        }
        bootstrap =
          bootstrap
          .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
          .childChannelOption(.socketOption(.so_keepalive), value: 1)
          .childChannelOption(TCPOption.keepAliveIdle, value: limits.keepAliveSeconds)
          .childChannelOption(TCPOption.userTimeout, value: limits.userTimeoutMilliseconds)
        let channel = try await bootstrap.bind(to: endpoint.socketAddress()).get()
        channels.withLock { $0.append(channel) }
      case .unix(let path, let mode):
        let staged = UnixSocketPath.staging(for: path)
        let channel = try await bootstrap(tls: nil).bind(unixDomainSocketPath: staged).get()
        channels.withLock { $0.append(channel) }
        try UnixSocketPath.publish(staged, as: path, mode: mode)
        paths.withLock { $0.append(path) }
      }
    } catch let error as HTTPTransportError {
      throw error
    } catch let error as HostError {
      throw HTTPTransportError(
        listening: address.description,
        IOError(errnoCode: error.code, reason: error.operation)
      )
    } catch {
      throw HTTPTransportError(listening: address.description, error)
    }
  }

  /// The stream of a connection that one of our own loops accepted; nil where there is no room.
  private func adopt(
    _ connection: LoopConnection,
    from remote: Endpoint,
    tls: TLSServerSettings?
  ) -> ByteStream? {
    guard gate.admit() else { return nil }
    connection.tune(
      idleSeconds: limits.keepAliveSeconds,
      userTimeoutMilliseconds: limits.userTimeoutMilliseconds
    )
    connection.context = tls?.sessions
    let stream = ByteStream(
      carrier: connection,
      isTLS: tls != nil,
      from: remote,
      to: connection.localEndpoint
    )
    stream.whenClosed { self.gate.leave() }
    opened(stream)
    return stream
  }

  private func bootstrap(tls: TLSServerSettings?) -> ServerBootstrap {
    ServerBootstrap(group: eventLoops)
      .serverChannelOption(.backlog, value: 1024)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { [self] channel in
        channel.eventLoop.makeCompletedFuture {
          guard gate.admit() else { throw HTTPTransportError.closed() }
          channel.closeFuture.whenComplete { _ in self.gate.leave() }
          let pipeline = channel.pipeline.syncOperations
          if let tls { try pipeline.addHandler(NIOSSLServerHandler(context: tls.context)) }
          try pipeline.addHandler(ServerOpening(isTLS: tls != nil, opened: opened))
        }
      }
  }

  /// Takes a new connection in, once it is up.
  private func opened(_ stream: ByteStream) {
    let source = gate.source(of: stream)
    guard gate.admit(from: source) else { return stream.abort() }
    stream.whenClosed { self.gate.leave(from: source) }
    let id = ObjectIdentifier(stream)
    let isTooLate = streams.withLock { streams in
      if !streams.isShutDown { streams.open[id] = stream }
      return streams.isShutDown
    }
    guard !isTooLate else { return stream.abort() }
    stream.limitStalls(to: limits.writeTimeout)
    let task = Task { [self] in
      await greet(stream)
      // What a task needed while it ran is freed with it.
      if stream.isKept { stream.isServed(by: nil) } else { await stream.close() }
    }
    stream.isServed(by: task)
    stream.whenClosed { [self] in
      stream.cancelServing()
      streams.withLock { $0.open[id] = nil }
    }
  }

  private func greet(_ stream: ByteStream) async {
    if stream.isTLS {
      let deadline = stream.abort(
        after: limits.headerTimeout,
        because: "the TLS handshake took too long"
      )
      defer { deadline.cancel() }
      do { try await stream.waitForHandshake() } catch {
        handshakes.withLock { $0.failed += 1 }
        return
      }
      let version = stream.tlsVersion ?? "unknown"
      handshakes.withLock { $0.completed[version, default: 0] += 1 }
    }
    await serve(stream)
  }
}

/// Makes the stream of an accepted connection once its addresses are known.
private final class ServerOpening: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer

  private let isTLS: Bool
  private let opened: @Sendable (ByteStream) -> Void

  init(isTLS: Bool, opened: @escaping @Sendable (ByteStream) -> Void) {
    self.isTLS = isTLS
    self.opened = opened
  }

  func channelActive(context: ChannelHandlerContext) {
    let stream = ByteStream(
      channel: context.channel,
      isTLS: isTLS,
      credentials: PeerCredentials(of: context.channel)
    )
    do {
      try context.pipeline.syncOperations.addHandler(ByteStreamHandler(stream))
      context.pipeline.syncOperations.removeHandler(self, promise: nil)
      opened(stream)
    } catch {
      context.close(promise: nil)
    }
  }
}

/// Counts connections and refuses those over the limits.
private final class AcceptGate: Sendable {
  private struct Counts {
    var open = 0
    var refused = 0
    var bucket: TokenBucket?
    var bySource: [Source: Int] = [:]
  }

  /// Whom connections are counted against.
  enum Source: Hashable {
    case address(IPAddress)
    case user(UInt32)
  }

  private let maximum: Int
  private let maximumPerAddress: Int?
  private let maximumPerUser: Int?
  private let counts: Mutex<Counts>

  init(_ limits: HTTPLimits) {
    maximum = limits.maximumConnections
    maximumPerAddress = limits.maximumConnectionsPerAddress
    maximumPerUser = limits.maximumConnectionsPerUser
    let bucket = limits.acceptsPerSecond.map {
      TokenBucket(perSecond: $0, burst: limits.acceptBurst ?? $0, at: Self.now)
    }
    counts = Mutex(Counts(bucket: bucket))
  }

  private static var now: Instant {
    Instant(nanoseconds: Int64(clamping: NIODeadline.now().uptimeNanoseconds))
  }

  var refused: Int { counts.withLock { $0.refused } }

  func admit() -> Bool {
    counts.withLock { counts in
      guard counts.open < maximum, counts.bucket?.admit(at: Self.now) ?? true else {
        counts.refused += 1
        return false
      }
      counts.open += 1
      return true
    }
  }

  func leave() { counts.withLock { $0.open -= 1 } }

  /// Whom a connection counts against; nil for nobody.
  ///
  /// One IPv6 network of 64 bits is one customer; root counts against nobody.
  func source(of stream: ByteStream) -> Source? {
    if let user = stream.peerCredentials?.userID {
      return maximumPerUser == nil || user == 0 ? nil : .user(user)
    }
    guard maximumPerAddress != nil, let address = stream.remoteEndpoint?.address else { return nil }
    return .address(address.isV4 ? address : address.masked(to: 64))
  }

  /// Whether one more may come from there, which is known only once the connection is up.
  func admit(from source: Source?) -> Bool {
    guard let source, let maximum = maximum(for: source) else { return true }
    return counts.withLock { counts in
      guard counts.bySource[source, default: 0] < maximum else {
        counts.refused += 1
        return false
      }
      counts.bySource[source, default: 0] += 1
      return true
    }
  }

  func leave(from source: Source?) {
    guard let source else { return }
    counts.withLock { counts in
      guard let count = counts.bySource[source] else { return }
      counts.bySource[source] = count > 1 ? count - 1 : nil
    }
  }

  private func maximum(for source: Source) -> Int? {
    switch source {
    case .address: maximumPerAddress
    case .user: maximumPerUser
    }
  }
}
