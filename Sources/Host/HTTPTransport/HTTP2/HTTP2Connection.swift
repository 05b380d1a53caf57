// SPDX-License-Identifier: Apache-2.0

package import Bytes
import NIOCore
import NIOHPACK
import NIOHTTP2

/// The client's side of an HTTP/2 connection inside a cipher; many requests at once.
package final class HTTP2Connection: Sendable {
  private let stream: ByteStream
  private let multiplexer: NIOHTTP2Handler.StreamMultiplexer

  private init(_ stream: ByteStream, _ multiplexer: NIOHTTP2Handler.StreamMultiplexer) {
    self.stream = stream
    self.multiplexer = multiplexer
  }

  /// Speaks HTTP/2 with prior knowledge over a stream, sealed by `cipher`.
  ///
  /// - Parameters:
  ///   - stream: The connection, after its handshake; owned from now on.
  ///   - cipher: What the records are sealed with.
  ///   - prelude: Plaintext that was opened already and belongs to HTTP/2.
  /// - Returns: The connection.
  /// - Throws: `HTTPTransportError` when the connection is gone already.
  package static func client(
    over stream: ByteStream,
    cipher: any RecordCipher,
    prelude: [UInt8] = []
  ) async throws -> HTTP2Connection {
    let multiplexer = try await stream.startHTTP2(
      as: .client,
      cipher: cipher,
      prelude: prelude,
      connection: ByteStream.http2Configuration(
        window: HTTP2Windows.clientStream,
        connectionWindow: HTTP2Windows.clientConnection,
        streams: 0,
        headerBytes: HTTPClient.maximumHeaderBytes
      ),
      window: HTTP2Windows.clientStream,
      accept: { $0.close() }
    )
    return HTTP2Connection(stream, multiplexer)
  }

  /// Whether the connection has ended.
  package var isClosed: Bool { stream.isClosed }

  /// Calls back once the connection has ended, at once if it has already.
  package func whenClosed(_ callback: @escaping @Sendable () -> Void) {
    stream.whenClosed(callback)
  }

  /// Ends the connection and every exchange on it.
  package func close() async { await stream.close() }

  /// Sends a request and returns once the header of the answer is there.
  ///
  /// The body of the answer may last as long as it likes; cancel it, or let go of it, to end the
  /// exchange. Cancelling the task ends the exchange too.
  ///
  /// The timeout is how long to wait for the header; nil for as long as it takes.
  ///
  /// - Returns: The answer, its body still to be read.
  /// - Throws: `HTTPTransportError`.
  package func request(
    _ method: String,
    host: String,
    path: String,
    headers: HTTPHeaders = [:],
    body: [UInt8] = [],
    timeout: Duration? = .seconds(30)
  ) async throws -> HTTPClientResponse {
    if stream.isClosed { throw stream.failure ?? .closed() }
    let exchange = try await open()
    let deadline = timeout.map { limit in
      exchange.channel.eventLoop.scheduleTask(in: TimeAmount(limit)) { exchange.reset(.cancel) }
    }
    defer { deadline?.cancel() }
    do {
      try await exchange.write(Self.head(method, host, path, headers), endStream: body.isEmpty)
      if !body.isEmpty { try await exchange.write(body, endStream: true) }
      let head = try await exchange.head()
      guard let status = head.first(name: ":status").flatMap({ Int($0) }) else {
        throw HTTPTransportError(.malformed, "the answer of \(host) has no status")
      }
      var fields = HTTPHeaders()
      for field in head where !field.name.hasPrefix(":") { fields.add(field.name, field.value) }
      return HTTPClientResponse(
        status: status,
        headers: fields,
        body: HTTPBodySequence(
          read: { try await exchange.next() },
          stop: { exchange.reset(.cancel) }
        )
      )
    } catch {
      exchange.reset(.cancel)
      try Task.checkCancellation()
      throw error
    }
  }

  private func open() async throws -> HTTP2Exchange {
    let promise = stream.channel.eventLoop.makePromise(of: HTTP2Exchange.self)
    let channel = multiplexer.createStreamChannel { channel in
      channel.eventLoop.makeCompletedFuture {
        let exchange = HTTP2Exchange(channel)
        try channel.pipeline.syncOperations.addHandler(HTTP2ExchangeHandler(exchange))
        promise.succeed(exchange)
      }
    }
    channel.whenFailure { promise.fail($0) }
    do {
      return try await promise.futureResult.get()
    } catch {
      throw HTTPTransportError(reading: error)
    }
  }

  private static func head(
    _ method: String,
    _ host: String,
    _ path: String,
    _ headers: HTTPHeaders
  ) -> HPACKHeaders {
    var head = HPACKHeaders([
      (":method", method), (":scheme", "https"), (":authority", host), (":path", path),
    ])
    for field in headers.fields { head.add(name: field.name.lowercased(), value: field.value) }
    return head
  }
}
