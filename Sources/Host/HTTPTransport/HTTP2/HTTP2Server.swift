// SPDX-License-Identifier: Apache-2.0

package import Bytes
import NIOCore
import NIOHPACK
import NIOHTTP2

/// Serves HTTP/2 with prior knowledge inside a cipher; returns when the connection has ended.
///
/// Every request runs in a task of its own, which is cancelled when its stream ends. Requests share
/// the limits of the connection; a handler may stream for hours, and its writer waits while the
/// client does not read.
///
/// - Parameters:
///   - stream: The connection, after its handshake.
///   - cipher: What the records are sealed with.
///   - prelude: Plaintext that was opened already and belongs to HTTP/2.
///   - limits: What is taken from the client.
///   - handler: Answers the requests. It cannot upgrade.
/// - Throws: `HTTPTransportError` when the connection did not end in order.
package func serveHTTP2(
  over stream: ByteStream,
  cipher: any RecordCipher,
  prelude: [UInt8] = [],
  limits: HTTPLimits = HTTPLimits(),
  handler: @escaping HTTPHandler
) async throws {
  let remote = HTTPRemote(
    endpoint: stream.remoteEndpoint,
    credentials: stream.peerCredentials,
    isTLS: stream.isTLS
  )
  let server = HTTP2Server(connection: stream, remote: remote, limits: limits, handler: handler)
  _ = try await stream.startHTTP2(
    as: .server,
    cipher: cipher,
    prelude: prelude,
    connection: ByteStream.http2Configuration(
      window: HTTP2Windows.serverStream,
      connectionWindow: HTTP2Windows.serverConnection,
      streams: limits.maximumConcurrentStreams,
      headerBytes: limits.maximumHeaderBytes
    ),
    window: HTTP2Windows.serverStream,
    accept: { channel in
      channel.eventLoop.makeCompletedFuture {
        let exchange = HTTP2Exchange(channel)
        try channel.pipeline.syncOperations.addHandler(HTTP2ExchangeHandler(exchange))
        server.start(exchange)
      }
    }
  )
  await withTaskCancellationHandler {
    await stream.waitUntilClosed()
  } onCancel: {
    stream.abort()
  }
  if let failure = stream.failure { throw failure }
}

/// Answers the requests of one connection.
private struct HTTP2Server: Sendable {
  let connection: ByteStream
  let remote: HTTPRemote
  let limits: HTTPLimits
  let handler: HTTPHandler

  func start(_ exchange: HTTP2Exchange) {
    let task = Task {
      do {
        try await answer(exchange)
      } catch {
        exchange.reset(.internalError)
      }
    }
    exchange.whenGone { task.cancel() }
  }

  private func answer(_ exchange: HTTP2Exchange) async throws {
    guard let request = try await receive(exchange) else { return }
    let response = await handler(request)
    var headers = HPACKHeaders([(":status", "\(response.status)")])
    for field in response.headers.fields {
      headers.add(name: field.name.lowercased(), value: field.value)
    }
    switch response.body {
    case .bytes(let bytes):
      headers.replaceOrAdd(name: "content-length", value: "\(bytes.count)")
      let isEmpty = bytes.isEmpty || request.method == "HEAD"
      try await bounded { try await exchange.write(headers, endStream: isEmpty) }
      if !isEmpty { try await bounded { try await exchange.write(bytes, endStream: true) } }
    case .stream(let produce):
      try await bounded { try await exchange.write(headers, endStream: false) }
      try await produce(
        HTTPBodyWriter { bytes in try await bounded { try await exchange.write(bytes) } }
      )
      try await bounded { try await exchange.write([], endStream: true) }
    case .upgrade, .takeover:
      throw HTTPTransportError(.malformed, "HTTP/2 cannot be upgraded")
    }
  }

  /// Ends the whole connection when one write takes too long: its client does not read any more.
  private func bounded(_ write: () async throws -> Void) async throws {
    let deadline = connection.abort(
      after: limits.writeTimeout,
      because: "the other side stopped reading"
    )
    defer { deadline.cancel() }
    try await write()
  }

  /// The request with its whole body; nil when it was refused.
  private func receive(_ exchange: HTTP2Exchange) async throws -> HTTPRequest? {
    let deadline = connection.abort(after: limits.bodyTimeout, because: "a request took too long")
    defer { deadline.cancel() }
    let head = try await exchange.head()
    var request = HTTPRequest(
      method: head.first(name: ":method") ?? "",
      path: head.first(name: ":path") ?? "",
      remote: remote
    )
    if let authority = head.first(name: ":authority") { request.headers.add("Host", authority) }
    for field in head where !field.name.hasPrefix(":") {
      request.headers.add(field.name, field.value)
    }
    while let piece = try await exchange.next() {
      guard request.body.count + piece.count <= limits.maximumBodyBytes else {
        try await exchange.write([":status": "413"], endStream: true)
        exchange.reset(.noError)
        return nil
      }
      request.body += piece
    }
    return request
  }
}
