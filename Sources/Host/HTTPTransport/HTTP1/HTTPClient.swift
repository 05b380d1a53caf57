// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// Asks HTTP/1.1 servers; a new connection for every request.
package struct HTTPClient: Sendable {
  /// Where to connect.
  package enum Target: Hashable, Sendable {
    /// A TCP port, with TLS or without.
    case tcp(host: String, port: UInt16, tls: TLSClientSettings?)
    /// A unix socket.
    case unix(path: String)
  }

  /// The longest header of an answer.
  package static let maximumHeaderBytes = 64 * 1024

  private let dialer: Dialer
  /// How long to connect, and how long to wait for the header of an answer.
  private let timeout: Duration

  /// A client.
  package init(dialer: Dialer = Dialer(), timeout: Duration = .seconds(30)) {
    self.dialer = dialer
    self.timeout = timeout
  }

  /// Sends a request to a URL and returns once the header of the answer is there.
  ///
  /// With `https`, `tls` says whom to trust: the system's roots where nil.
  ///
  /// - Returns: The answer, its body still to be read.
  /// - Throws: `HTTPTransportError`.
  package func request(
    _ method: String = "GET",
    url text: String,
    headers: HTTPHeaders = [:],
    body: [UInt8] = [],
    tls: TLSClientSettings? = nil
  ) async throws -> HTTPClientResponse {
    guard let url = HTTPURL(text) else {
      throw HTTPTransportError(.malformed, "'\(text)' is not an http:// or https:// address")
    }
    let settings = url.isSecure ? tls ?? .systemRoots(hostname: url.host) : nil
    return try await request(
      method,
      to: .tcp(host: url.host, port: url.port, tls: settings),
      host: url.hostField,
      path: url.target,
      headers: headers,
      body: body
    )
  }

  /// Sends a request to a server and returns once the header of the answer is there.
  ///
  /// - Throws: `HTTPTransportError`.
  package func request(
    _ method: String = "GET",
    to target: Target,
    host: String = "localhost",
    path: String,
    headers: HTTPHeaders = [:],
    body: [UInt8] = []
  ) async throws -> HTTPClientResponse {
    let stream = try await dial(target)
    var headers = headers
    if headers["Connection"] == nil { headers.set("Connection", "close") }
    return try await Self.request(
      method,
      over: stream,
      host: host,
      path: path,
      headers: headers,
      body: body,
      timeout: timeout
    )
  }

  /// Connects to a server.
  package func dial(_ target: Target) async throws -> ByteStream {
    switch target {
    case .tcp(let host, let port, let tls):
      try await dialer.dial(host: host, port: port, tls: tls, timeout: timeout)
    case .unix(let path): try await dialer.dial(unixPath: path, timeout: timeout)
    }
  }

  /// Sends a request over a stream, which ends with the exchange.
  ///
  /// The body of the answer may last as long as it likes.
  ///
  /// - Throws: `HTTPTransportError`.
  package static func request(
    _ method: String,
    over stream: ByteStream,
    host: String,
    path: String,
    headers: HTTPHeaders = [:],
    body: [UInt8] = [],
    timeout: Duration = .seconds(30)
  ) async throws -> HTTPClientResponse {
    var headers = headers
    if !body.isEmpty || method == "POST" || method == "PUT" || method == "PATCH" {
      headers.set("Content-Length", "\(body.count)")
    }
    var (head, reader) = try await exchange(
      method,
      over: stream,
      host: host,
      path: path,
      headers: headers,
      body: body,
      timeout: timeout
    )
    do {
      let framing = try head.responseFraming(to: method)
      return HTTPClientResponse(
        status: head.status,
        headers: head.headers,
        body: Self.body(framing, &reader, stream)
      )
    } catch {
      stream.abort()
      throw HTTPTransportError(.malformed, "the answer of \(host) is not HTTP: \(error)")
    }
  }

  /// Asks to go on in another protocol over the same stream.
  ///
  /// What the server sent after its answer is still to be read from the stream.
  ///
  /// - Returns: The header fields of the 101 answer.
  /// - Throws: `HTTPTransportError`, `.refused` when the answer is any other; the stream is closed.
  package static func upgrade(
    _ stream: ByteStream,
    method: String = "GET",
    host: String,
    path: String,
    headers: HTTPHeaders = [:],
    protocol name: String,
    timeout: Duration = .seconds(10)
  ) async throws -> HTTPHeaders {
    var headers = headers
    headers.set("Upgrade", name)
    if headers["Connection"] == nil { headers.set("Connection", "Upgrade") }
    if method == "POST" { headers.set("Content-Length", "0") }
    var (head, reader) = try await exchange(
      method,
      over: stream,
      host: host,
      path: path,
      headers: headers,
      body: [],
      timeout: timeout
    )
    guard head.status == 101 else {
      let text = await explanation(head, &reader)
      stream.abort()
      throw HTTPTransportError(
        .refused(status: head.status),
        "\(host) answered \(head.status) to \(path)\(text)"
      )
    }
    reader.giveBack()
    return head.headers
  }

  // MARK: One exchange

  private static func exchange(
    _ method: String,
    over stream: ByteStream,
    host: String,
    path: String,
    headers: HTTPHeaders,
    body: [UInt8],
    timeout: Duration
  ) async throws -> (MessageHead, MessageReader) {
    var all: HTTPHeaders = headers["Host"] == nil ? ["Host": host] : [:]
    for field in headers.fields { all.add(field.name, field.value) }
    let deadline = stream.abort(after: timeout, because: "\(host) did not answer in time")
    defer { deadline.cancel() }
    do {
      try await stream.write(MessageWriter.request(method, path, all) + body)
      var reader = MessageReader(stream)
      while let head = try await reader.head(maximum: maximumHeaderBytes) {
        // Provisional answers come before the real one.
        if (100..<200).contains(head.status), head.status != 101 { continue }
        return (head, reader)
      }
      throw HTTPTransportError.closed("\(host) closed the connection without an answer")
    } catch let refusal as MessageHead.Refusal {
      stream.abort()
      throw HTTPTransportError(.malformed, "the answer of \(host) is not HTTP: \(refusal)")
    } catch {
      stream.abort()
      throw error
    }
  }

  /// The beginning of the body of a refusal, for the error text.
  private static func explanation(
    _ head: MessageHead,
    _ reader: inout MessageReader
  ) async -> String {
    guard let framing = try? head.responseFraming(to: "GET"), framing != .untilEnd else {
      return ""
    }
    var body = BodyReader(framing)
    // Without its text the refusal is still one.
    guard let bytes = try? await body.next(from: &reader) else { return "" }
    let printable = bytes.prefix(200).map { (0x20..<0x7F).contains($0) ? $0 : 0x20 }
    return ": " + String(decoding: printable, as: UTF8.self)
  }

  private static func body(
    _ framing: MessageHead.Framing,
    _ reader: inout MessageReader,
    _ stream: ByteStream
  ) -> HTTPBodySequence {
    let pieces = BodyPieces(BodyReader(framing), reader)
    return HTTPBodySequence(
      read: {
        do {
          let piece = try await pieces.next()
          if piece == nil { await stream.close() }
          return piece
        } catch let refusal as MessageHead.Refusal {
          stream.abort()
          throw HTTPTransportError(.malformed, "the body is not HTTP: \(refusal)")
        }
      },
      stop: { stream.abort() }
    )
  }
}

/// The one who reads a body, so that no two do.
private actor BodyPieces {
  private var body: BodyReader
  private var reader: MessageReader

  init(_ body: BodyReader, _ reader: MessageReader) { (self.body, self.reader) = (body, reader) }

  func next() async throws -> [UInt8]? {
    var (body, reader) = (body, reader)
    defer { (self.body, self.reader) = (body, reader) }
    return try await body.next(from: &reader)
  }
}

extension MessageHead {
  fileprivate var status: Int {
    guard case .response(let status) = start else { return 0 }
    return status
  }
}
