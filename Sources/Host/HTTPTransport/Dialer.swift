// SPDX-License-Identifier: Apache-2.0

import Glibc
import NIOCore
import NIOPosix
import NIOSSL

/// Opens connections.
package struct Dialer: Sendable {
  /// How long a dial may take where the caller does not say.
  package static let defaultTimeout = Duration.seconds(10)

  private let mark: UInt32
  private let proxies: ProxySettings

  /// A dialer.
  ///
  /// - Parameters:
  ///   - mark: A packet mark by which routing rules know our own traffic; zero for none. Without the
  ///     privilege to mark, connections go unmarked.
  ///   - proxies: Through which proxies connections are made.
  package init(mark: UInt32 = 0, proxies: ProxySettings = ProxySettings()) {
    (self.mark, self.proxies) = (mark, proxies)
  }

  /// Whether a connection would go through a proxy, which then finds the way to the host.
  package func usesProxy(for host: String, port: UInt16, isSecure: Bool) -> Bool {
    proxies.proxy(for: host, port: port, isSecure: isSecure) != nil
  }

  /// Connects to `host`, a name or an address, and speaks TLS if asked to.
  ///
  /// A name with several addresses is tried at both families at once (RFC 8305).
  ///
  /// - Throws: `HTTPTransportError`.
  package func dial(
    host: String,
    port: UInt16,
    tls: TLSClientSettings? = nil,
    timeout: Duration = defaultTimeout
  ) async throws -> ByteStream {
    let bootstrap = Self.bootstrap(timeout).channelOption(.tcpOption(.tcp_nodelay), value: 1)
      .channelOption(.socketOption(.so_keepalive), value: 1)
    let to = host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
    let started = ContinuousClock.now
    let proxy = proxies.proxy(for: host, port: port, isSecure: tls != nil)
    let stream = try await connect(bootstrap, to: to, tls: tls, through: proxy) {
      $0.connect(host: proxy?.host ?? host, port: Int(proxy?.port ?? port))
    }
    guard tls != nil else { return stream }
    let left = max(.milliseconds(1), timeout - started.duration(to: .now))
    let deadline = stream.abort(after: left, because: "the TLS handshake took too long")
    defer { deadline.cancel() }
    do {
      try await stream.waitForHandshake()
    } catch let error as HTTPTransportError {
      stream.abort()
      throw HTTPTransportError(error.reason, "cannot reach \(to): \(error.what)")
    }
    return stream
  }

  /// Connects to a unix socket.
  ///
  /// - Throws: `HTTPTransportError`.
  package func dial(
    unixPath path: String,
    timeout: Duration = defaultTimeout
  ) async throws -> ByteStream {
    try await connect(Self.bootstrap(timeout), to: path, tls: nil) {
      $0.connect(unixDomainSocketPath: path)
    }
  }

  private static func bootstrap(_ timeout: Duration) -> ClientBootstrap {
    ClientBootstrap(group: eventLoops).connectTimeout(TimeAmount(timeout))
  }

  private func connect(
    _ bootstrap: ClientBootstrap,
    to name: String,
    tls: TLSClientSettings?,
    through proxy: HTTPProxy? = nil,
    _ start: (ClientBootstrap) -> EventLoopFuture<any Channel>
  ) async throws -> ByteStream {
    let mark = mark
    let failure = OpeningFailure()
    let prepared = bootstrap.channelInitializer { channel in
      channel.eventLoop.makeCompletedFuture {
        if mark != 0 { channel.mark(mark) }
        if let proxy {
          try channel.pipeline.syncOperations.addHandler(ConnectHandler(proxy, to: name))
        }
        try channel.pipeline.syncOperations.install(tls, failure)
      }
    }
    do {
      try tls?.prepare()
      let stream = try await start(prepared).flatMapThrowing { channel in
        let handler = try channel.pipeline.syncOperations.handler(type: ClientOpening.self)
        return try handler.makeStream()
      }.get()
      guard !Task.isCancelled else {
        stream.abort()
        throw CancellationError()
      }
      return stream
    } catch let error as CancellationError {
      throw error
    } catch let error as HTTPTransportError {
      throw HTTPTransportError(dialing: name, error)
    } catch let error where error is ChannelError || error is ChannelPipelineError {
      // It was up, and ended before anybody could use it.
      guard case ChannelError.connectTimeout = error else {
        let why = failure.error ?? HTTPTransportError.closed("the connection was closed at once")
        throw HTTPTransportError(dialing: name, HTTPTransportError(reading: why))
      }
      throw HTTPTransportError(dialing: name, error)
    } catch {
      throw HTTPTransportError(dialing: name, error)
    }
  }
}

extension Channel {
  /// Marks the packets of a socket that is about to connect, where that is allowed.
  fileprivate func mark(_ mark: UInt32) {
    let option = ChannelOptions.socketOption(NIOBSDSocket.Option(rawValue: SO_MARK))
    // Whoever may not mark has no routing rule that looks for it either.
    try? syncOptions?.setOption(option, value: Int(mark))
  }
}

extension ChannelPipeline.SynchronousOperations {
  fileprivate func install(_ tls: TLSClientSettings?, _ failure: OpeningFailure) throws {
    let certificates = CertificateNote()
    if let tls { try addHandler(tls.makeHandler { certificates.note($0) }) }
    try addHandler(ClientOpening(isTLS: tls != nil, certificates: certificates, failure: failure))
  }
}

extension HTTPTransportError {
  /// Why a dial failed, in words.
  fileprivate init(dialing name: String, _ error: any Error) {
    switch error {
    case let error as HTTPTransportError:
      self.init(error.reason, "cannot reach \(name): \(error.what)")
    case ChannelError.connectTimeout:
      self.init(.timedOut, "cannot reach \(name): no answer in time")
    case let error as NIOConnectionError:
      let first = error.connectionErrors.first.map { "\($0.error)" }
      let dns = error.dnsAAAAError ?? error.dnsAError
      let why = first ?? dns.map { "the name cannot be resolved (\($0))" } ?? "no address"
      self.init(.unreachable, "cannot reach \(name): \(why)")
    case let error as NIOSSLExtraError:
      self.init(.untrusted, "cannot reach \(name): \(error)")
    default: self.init(.unreachable, "cannot reach \(name): \(error)")
    }
  }
}
