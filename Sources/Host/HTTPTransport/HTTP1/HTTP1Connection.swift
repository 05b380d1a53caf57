// SPDX-License-Identifier: Apache-2.0

/// Serves the requests of one connection, one after the other.
struct HTTP1Connection {
  let stream: ByteStream
  let limits: HTTPLimits
  let handler: HTTPHandler

  private enum Next {
    case another
    case end
  }

  /// Serves until the client is done, breaks the protocol, or takes too long.
  func run() async {
    var reader = MessageReader(stream)
    var timeout = limits.headerTimeout
    do {
      while try await waitForRequest(&reader, timeout) {
        guard case .another = try await serveOne(&reader) else { return }
        timeout = limits.idleTimeout
      }
    } catch let refusal as MessageHead.Refusal {
      await refuse(refusal)
    } catch is BodyTooLarge {
      await refuse(413, "The body is longer than \(limits.maximumBodyBytes) bytes.")
    } catch {
      // The connection is gone or was cut: nobody is left to be told.
      stream.abort()
    }
  }

  private func waitForRequest(
    _ reader: inout MessageReader,
    _ timeout: Duration
  ) async throws -> Bool {
    // The client can only be idle once it has its answer.
    if !reader.hasMore { await stream.waitUntilSent() }
    let deadline = stream.abort(after: timeout, because: "no request came in time")
    defer { deadline.cancel() }
    return try await reader.waitForMore()
  }

  private func serveOne(_ reader: inout MessageReader) async throws -> Next {
    let deadline = stream.abort(after: limits.headerTimeout, because: "the header took too long")
    let head: MessageHead?
    do {
      defer { deadline.cancel() }
      head = try await reader.head(maximum: limits.maximumHeaderBytes)
    }
    guard let head else { return .end }
    guard case .request(let method, let target) = head.start else {
      throw MessageHead.Refusal.malformed("a response came where a request was due")
    }
    guard head.headers.values("Host").count <= 1,
      !head.isVersion11 || head.headers["Host"] != nil
    else { throw MessageHead.Refusal.malformed("there must be one Host field") }
    let body = try await readBody(head, &reader)
    let request = HTTPRequest(
      method: method,
      path: target,
      headers: head.headers,
      body: body,
      remote: HTTPRemote(
        endpoint: stream.remoteEndpoint,
        credentials: stream.peerCredentials,
        isTLS: stream.isTLS
      )
    )
    let response = await handler(request)
    return try await send(response, to: method, head, &reader)
  }

  private func readBody(_ head: MessageHead, _ reader: inout MessageReader) async throws -> [UInt8]
  {
    let framing = try head.requestFraming()
    if case .length(let length) = framing {
      guard length > 0 else { return [] }
      guard length <= limits.maximumBodyBytes else { throw BodyTooLarge() }
    }
    let deadline = stream.abort(after: limits.bodyTimeout, because: "the body took too long")
    defer { deadline.cancel() }
    if head.headers.contains("100-continue", in: "Expect") {
      try await stream.write(MessageWriter.response(100, [:]))
    }
    var body: [UInt8] = []
    var parts = BodyReader(framing)
    while let piece = try await parts.next(from: &reader) {
      guard body.count + piece.count <= limits.maximumBodyBytes else {
        throw BodyTooLarge()
      }
      body += piece
    }
    return body
  }

  /// The body is longer than the limit.
  private struct BodyTooLarge: Error {}

  // MARK: Answering

  private func send(
    _ response: HTTPResponse,
    to method: String,
    _ head: MessageHead,
    _ reader: inout MessageReader
  ) async throws -> Next {
    var headers = response.headers
    switch response.body {
    case .bytes(let bytes):
      let mayHaveBody = response.status >= 200 && response.status != 204 && response.status != 304
      if mayHaveBody { headers.set("Content-Length", "\(bytes.count)") }
      if !head.keepsAlive { headers.set("Connection", "close") }
      let start = try MessageWriter.response(response.status, headers)
      try await stream.write(start + (method == "HEAD" || !mayHaveBody ? [] : bytes))
      let mayGoOn = head.keepsAlive && !headers.contains("close", in: "Connection")
      return mayGoOn ? .another : .end
    case .stream(let produce):
      return try await sendStream(response.status, headers, head, method, produce)
    case .upgrade(let name, let run):
      headers.set("Upgrade", name)
      headers.set("Connection", "Upgrade")
      try await stream.write(MessageWriter.response(101, headers))
      reader.giveBack()
      await run(stream)
      return .end
    case .takeover(let run):
      reader.giveBack()
      await run(stream)
      return .end
    }
  }

  private func sendStream(
    _ status: Int,
    _ response: HTTPHeaders,
    _ head: MessageHead,
    _ method: String,
    _ produce: @Sendable (HTTPBodyWriter) async throws -> Void
  ) async throws -> Next {
    var headers = response
    headers.remove("Content-Length")
    let isChunked = head.isVersion11
    let mayGoOn = isChunked && head.keepsAlive && !headers.contains("close", in: "Connection")
    if isChunked { headers.set("Transfer-Encoding", "chunked") }
    if !mayGoOn { headers.set("Connection", "close") }
    try await stream.write(MessageWriter.response(status, headers))
    guard method != "HEAD" else { return mayGoOn ? .another : .end }
    let stream = stream
    try await produce(
      HTTPBodyWriter { bytes in
        try await stream.write(isChunked ? MessageWriter.chunk(bytes) : bytes)
      }
    )
    if isChunked { try await stream.write(MessageWriter.lastChunk) }
    return mayGoOn ? .another : .end
  }

  private func refuse(_ refusal: MessageHead.Refusal) async {
    let (status, text) =
      switch refusal {
      case .tooLarge: (431, "The header is too large.")
      case .malformed(let what): (400, "The request is malformed: \(what).")
      case .unsupported(let what): (501, "The request is not served: \(what).")
      }
    await refuse(status, text)
  }

  private func refuse(_ status: Int, _ text: String) async {
    let headers: HTTPHeaders = [
      "Content-Type": "text/plain; charset=utf-8", "Content-Length": "\(text.utf8.count + 1)",
      "Connection": "close",
    ]
    // The connection ends either way; the answer is a courtesy.
    guard let start = try? MessageWriter.response(status, headers) else { return }
    try? await stream.write(start + Array(text.utf8) + [0x0A])
    await drain()
  }

  /// How much of what a refused client still sends is taken and dropped.
  private static let drainBytes = 4 * 1024 * 1024
  private static let drainTimeout = Duration.seconds(2)

  /// Lets a refused client finish, so that it reads the answer before it finds the connection cut.
  private func drain() async {
    let deadline = stream.abort(after: Self.drainTimeout, because: "a refused client went on")
    defer { deadline.cancel() }
    await stream.closeOutput()
    var dropped = 0
    // However it ends, the connection is closed next.
    while dropped < Self.drainBytes, let more = try? await stream.read() { dropped += more.count }
  }
}
