// SPDX-License-Identifier: Apache-2.0

package import Addressing

/// Who sent a request, and over what.
package struct HTTPRemote: Hashable, Sendable {
  /// Its address; nil on a unix socket.
  package var endpoint: Endpoint?
  /// The process behind a unix socket; nil elsewhere.
  package var credentials: PeerCredentials?
  /// Whether the connection is encrypted by TLS.
  package var isTLS: Bool

  /// Somebody.
  package init(
    endpoint: Endpoint? = nil,
    credentials: PeerCredentials? = nil,
    isTLS: Bool = false
  ) {
    (self.endpoint, self.credentials, self.isTLS) = (endpoint, credentials, isTLS)
  }
}

/// A request with its whole body.
package struct HTTPRequest: Hashable, Sendable {
  /// `GET`, `POST` and so on.
  package var method: String
  /// The target as it was sent: path and query, not decoded.
  package var path: String
  /// The header fields; `Host` also where HTTP/2 says `:authority`.
  package var headers: HTTPHeaders
  /// The body, no longer than the limit allows.
  package var body: [UInt8]
  /// Who asks.
  package var remote: HTTPRemote

  /// A request.
  package init(
    method: String = "GET",
    path: String,
    headers: HTTPHeaders = [:],
    body: [UInt8] = [],
    remote: HTTPRemote = HTTPRemote()
  ) {
    (self.method, self.path, self.headers) = (method, path, headers)
    (self.body, self.remote) = (body, remote)
  }
}

/// An answer.
package struct HTTPResponse: Sendable {
  /// What comes after the header.
  package enum Body: Sendable {
    /// These bytes.
    case bytes([UInt8])
    /// Whatever the closure writes until it returns, which may take hours.
    ///
    /// Throwing cuts the response off so that the client sees it is not whole. The task is cancelled
    /// when the client goes away.
    case stream(@Sendable (HTTPBodyWriter) async throws -> Void)
    /// `101 Switching Protocols` to the named protocol; the closure then owns the raw stream, with
    /// all that was received after the request still to be read.
    ///
    /// The stream is closed when the closure returns. HTTP/1.1 only.
    case upgrade(protocol: String, @Sendable (ByteStream) async -> Void)
    /// No answer at all: the closure owns the raw stream, as after an upgrade that the client does
    /// not wait to be told about.
    case takeover(@Sendable (ByteStream) async -> Void)
  }

  /// 200 and so on.
  package var status: Int
  /// The header fields; those of length, connection and upgrade are added when it is sent.
  package var headers: HTTPHeaders
  /// What comes after the header.
  package var body: Body

  /// An answer.
  package init(status: Int, headers: HTTPHeaders = [:], body: Body = .bytes([])) {
    (self.status, self.headers, self.body) = (status, headers, body)
  }
}

/// Writes the body of a streamed response or request.
package struct HTTPBodyWriter: Sendable {
  private let send: @Sendable ([UInt8]) async throws -> Void

  /// A writer that passes on to `send`.
  package init(_ send: @escaping @Sendable ([UInt8]) async throws -> Void) { self.send = send }

  /// Writes more of the body; returns when the connection took it, throws when it ended.
  package func write(_ bytes: [UInt8]) async throws {
    guard !bytes.isEmpty else { return }
    try await send(bytes)
  }
}

/// Answers requests; the same for every version of HTTP.
package typealias HTTPHandler = @Sendable (HTTPRequest) async -> HTTPResponse

/// What a server takes from its clients.
package struct HTTPLimits: Hashable, Sendable {
  /// The longest header of a request, in bytes; longer is answered by 431.
  package var maximumHeaderBytes = 16 * 1024
  /// The longest body of a request, in bytes; longer is answered by 413.
  package var maximumBodyBytes = 1024 * 1024
  /// How long a client may take to send a whole header, and to finish a TLS handshake.
  package var headerTimeout = Duration.seconds(10)
  /// How long it may take to send a whole body.
  package var bodyTimeout = Duration.seconds(30)
  /// How long a connection may be idle between two requests.
  package var idleTimeout = Duration.seconds(75)
  /// How long a write may make no progress before the connection is cut.
  package var writeTimeout = Duration.seconds(30)
  /// How long sent data may stay unacknowledged before the kernel gives the connection up.
  package var userTimeoutMilliseconds = 30_000
  /// How many connections there may be at once; more are closed as soon as they are accepted.
  package var maximumConnections = 16_384
  /// How many of them one address may have, or one IPv6 network of 64 bits; nil for no limit.
  package var maximumConnectionsPerAddress: Int?
  /// How many of them one user of this machine may have over a unix socket; nil for no limit.
  ///
  /// Root has no such limit, so that nobody can lock the administrator out.
  package var maximumConnectionsPerUser: Int?
  /// How many connections are accepted a second; nil for no limit.
  package var acceptsPerSecond: Int?
  /// How many may come at once over that; as many as in a second where nil.
  package var acceptBurst: Int?
  /// How long a TCP connection is idle before the kernel asks whether the other side is still there.
  package var keepAliveSeconds = 60
  /// How many requests of one HTTP/2 connection may be in progress.
  package var maximumConcurrentStreams = 100

  /// Whether thousands may come by TCP and then be silent, so that loops of our own carry them
  /// instead of NIO: those take a tenth of the memory for each.
  package var expectsThousands = false

  /// The defaults.
  package init() {}
}
