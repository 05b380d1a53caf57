// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Foundation
import Testing

@testable import HTTPTransport

@Suite("Serving HTTP/1.1", .timeLimit(.minutes(10)), .onBothCarriers)
struct HTTP1ServerTests {
  @Test("Requests sent at once are answered in order over one connection")
  func pipelining() async throws {
    try await World.withServer { server, port in
      let text = try await World.exchange(
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n"
          + "abcGET /3 HTTP/1.1\r\nhost: a\r\nconnection: Close\r\n\r\n",
        port: port
      )
      #expect(World.statuses(text) == [200, 200, 200])
      let first = try #require(text.range(of: "GET /1 0"))
      let second = try #require(text.range(of: "POST /2 3"))
      let third = try #require(text.range(of: "GET /3 0"))
      #expect(first.lowerBound < second.lowerBound && second.lowerBound < third.lowerBound)
    }
  }

  @Test("A request that comes byte by byte is the same request")
  func drip() async throws {
    try await World.withServer { _, port in
      let stream = try await World.dial(port)
      let request =
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        + "3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: t\r\n\r\n"
      for byte in request.utf8 {
        try await stream.write([byte])
        // Each byte leaves on its own: the next is only written once this one is gone.
        while stream.outstandingBytes > 0, !Task.isCancelled { await Task.yield() }
      }
      let text = String(decoding: await World.readAll(stream), as: UTF8.self)
      #expect(text.hasSuffix("POST /x 5\n"))
    }
  }

  @Test("HEAD has no body, HTTP/1.0 ends the connection, a blank line before a request is nothing")
  func oldAndBare() async throws {
    try await World.withServer { _, port in
      let head = try await World.exchange(
        "\r\nHEAD /h HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        port: port
      )
      #expect(head.contains("Content-Length: 10\r\n"))
      #expect(head.hasSuffix("\r\n\r\n"))
      let old = try await World.exchange("GET /old HTTP/1.0\r\n\r\n", port: port)
      #expect(old.contains("Connection: close\r\n"))
      #expect(old.hasSuffix("GET /old 0\n"))
    }
  }

  @Test("A client that waits for leave to send its body gets it")
  func expectContinue() async throws {
    try await World.withServer { _, port in
      let stream = try await World.dial(port)
      try await stream.write(
        Array(
          "PUT /c HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n".utf8
        )
      )
      let leave = try #require(try await stream.read())
      #expect(String(decoding: leave, as: UTF8.self) == "HTTP/1.1 100 Continue\r\n\r\n")
      try await stream.write([1, 2])
      let answer = String(decoding: try #require(try await stream.read()), as: UTF8.self)
      #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
      await stream.close()
    }
  }

  @Test("The handler knows who asks, and the target and fields as they were sent")
  func request() async throws {
    let handler: HTTPHandler = { request in
      let remote = request.remote
      let isLocal = remote.endpoint?.address == IPAddress(127, 0, 0, 1)
      let fields = request.headers.values("X-Field").joined(separator: "|")
      return HTTPResponse(
        status: isLocal && !remote.isTLS && remote.credentials == nil ? 200 : 500,
        body: .bytes(Array("\(request.path) \(fields)".utf8))
      )
    }
    try await World.withServer(handler: handler) { _, port in
      let text = try await World.exchange(
        "GET /a%20b?c=%2F&d HTTP/1.1\r\nHost: a\r\nX-Field:  one \t\r\nx-field: two\r\n"
          + "Connection: close\r\n\r\n",
        port: port
      )
      #expect(text.hasPrefix("HTTP/1.1 200 OK"))
      #expect(text.hasSuffix("/a%20b?c=%2F&d one|two"))
    }
  }

  // MARK: Limits

  @Test("A header beyond the limit is answered by 431, however it is too large")
  func headerTooLarge() async throws {
    var limits = HTTPLimits()
    limits.maximumHeaderBytes = 1024
    try await World.withServer(limits: limits) { _, port in
      let long = "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 5000))\r\n\r\n"
      let first = try await World.statuses(World.exchange(long, port: port))
      #expect(first == [431])
      let endless = "GET /\(String(repeating: "y", count: 100_000))"
      let second = try await World.statuses(World.exchange(endless, port: port))
      #expect(second == [431])
      let fits = "GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 900))\r\n"
      let third = try await World.statuses(
        World.exchange(fits + "Connection: close\r\n\r\n", port: port)
      )
      #expect(third == [200])
    }
    try await World.withServer { _, port in
      let many = (0..<200).map { "X\($0): 1\r\n" }.joined()
      let text = try await World.exchange("GET / HTTP/1.1\r\nHost: a\r\n\(many)\r\n", port: port)
      #expect(World.statuses(text) == [431])
    }
  }

  @Test("A body beyond the limit is answered by 413, and the client gets to read it")
  func bodyTooLarge() async throws {
    var limits = HTTPLimits()
    limits.maximumBodyBytes = 1000
    let calls = Counter()
    let handler: HTTPHandler = { request in
      calls.add()
      return await World.echo(request)
    }
    try await World.withServer(limits: limits, handler: handler) { _, port in
      let start = "POST / HTTP/1.1\r\nHost: a\r\n"
      let announced = try await World.exchange(
        "\(start)Content-Length: 1001\r\n\r\n",
        port: port
      )
      #expect(World.statuses(announced) == [413])
      let body = String(repeating: "b", count: 3_000_000)
      let sent = try await World.exchange(
        "\(start)Content-Length: \(body.utf8.count)\r\n\r\n\(body)",
        port: port
      )
      #expect(World.statuses(sent) == [413])
      #expect(sent.contains("longer than 1000 bytes"))
      let chunk = "200\r\n" + String(repeating: "c", count: 512) + "\r\n"
      let chunked = try await World.exchange(
        "\(start)Transfer-Encoding: chunked\r\n\r\n\(chunk)\(chunk)\(chunk)0\r\n\r\n",
        port: port
      )
      #expect(World.statuses(chunked) == [413])
      let exact = String(repeating: "d", count: 1000)
      let fits = try await World.exchange(
        "\(start)Content-Length: 1000\r\nConnection: close\r\n\r\n\(exact)",
        port: port
      )
      #expect(fits.hasSuffix("POST / 1000\n"))
      #expect(calls.value == 1)
    }
  }

  @Test(
    "A client that is slow with its first byte, its header, its body or its next request is cut off",
    arguments: [
      "", "GET / HT", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
      "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
  )
  func slow(text: String) async throws {
    var limits = HTTPLimits()
    let isWhole = text.hasSuffix("a\r\n\r\n")
    // One that is whole only has to be fast with its next request, which never comes.
    if !isWhole { limits.headerTimeout = .milliseconds(200) }
    limits.bodyTimeout = .milliseconds(200)
    limits.idleTimeout = .milliseconds(200)
    try await World.withServer(limits: limits) { _, port in
      let answer = try await World.exchange(text, port: port)
      #expect(World.statuses(answer) == (isWhole ? [200] : []))
    }
  }

  @Test("Connections beyond the limit are closed as they come, and counted")
  func connections() async throws {
    var limits = HTTPLimits()
    limits.maximumConnections = 2
    try await World.withServer(limits: limits) { server, port in
      let first = try await World.dial(port)
      let second = try await World.dial(port)
      for stream in [first, second] {
        try await stream.write(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        _ = try await stream.read()
      }
      let third = try? await World.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n", port: port)
      #expect(third?.isEmpty ?? true)
      #expect(server.refusedConnections == 1)
      #expect(server.connectionCount == 2)
      await first.close()
      while server.connectionCount > 1, !Task.isCancelled { await Task.yield() }
      // The place that became free is taken again.
      var text = ""
      while text.isEmpty {
        let answer = try? await World.exchange(
          "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
          port: port
        )
        text = answer ?? ""
      }
      #expect(World.statuses(text) == [200])
      await second.close()
    }
  }

  @Test("Connections that come too fast are closed as they come")
  func acceptRate() async throws {
    var limits = HTTPLimits()
    limits.acceptsPerSecond = 3
    try await World.withServer(limits: limits) { server, port in
      let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
      var answered = 0
      for _ in 0..<30 {
        // One that is refused may be gone before the dial is over.
        let text = (try? await World.exchange(request, port: port)) ?? ""
        answered += World.statuses(text).count
      }
      #expect(answered >= 3)
      #expect(server.refusedConnections == 30 - answered)
    }
  }

  // MARK: Bodies that are streamed

  @Test("A streamed body arrives whole, in chunks or until the end")
  func streamed() async throws {
    let piece = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
    let handler: HTTPHandler = { _ in
      HTTPResponse(
        status: 200,
        body: .stream { writer in for _ in 0..<30 { try await writer.write(piece) } }
      )
    }
    try await World.withServer(handler: handler) { _, port in
      let response = try await HTTPClient().request(
        to: .tcp(host: "127.0.0.1", port: port, tls: nil),
        path: "/"
      )
      let body = try await response.collect(upTo: 4_000_000)
      #expect(body.count == 3_000_000)
      #expect((0..<30).allSatisfy { body[$0 * 100_000..<($0 + 1) * 100_000].elementsEqual(piece) })
      let stream = try await World.dial(port)
      try await stream.write(Array("GET / HTTP/1.0\r\n\r\n".utf8))
      let old = await World.readAll(stream)
      #expect(old.count > 3_000_000 && old.suffix(100_000).elementsEqual(piece))
    }
  }

  @Test("A writer waits for a client that does not read, which is cut off in the end")
  func backPressure() async throws {
    let produced = Counter()
    let ended = Signal()
    let piece = [UInt8](repeating: 1, count: 64 * 1024)
    let handler: HTTPHandler = { _ in
      HTTPResponse(
        status: 200,
        body: .stream { writer in
          defer { ended.set() }
          for _ in 0..<2000 {
            try await writer.write(piece)
            produced.add(piece.count)
          }
        }
      )
    }
    var limits = HTTPLimits()
    limits.writeTimeout = .seconds(1)
    try await World.withServer(limits: limits, handler: handler) { _, port in
      let stream = try await World.dial(port)
      try await stream.write(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
      await ended.wait()
      // What the sockets of both sides hold, and no more; 125 MiB were to be written.
      #expect(produced.value < 32 * 1024 * 1024)
      let text = String(decoding: await World.readAll(stream).suffix(5), as: UTF8.self)
      #expect(text != "0\r\n\r\n", "the body must not look whole")
    }
  }

  @Test("A handler that fails cuts its body off, so that the client sees it is not whole")
  func failedStream() async throws {
    struct Trouble: Error {}
    let handler: HTTPHandler = { _ in
      HTTPResponse(
        status: 200,
        body: .stream { writer in
          try await writer.write([1, 2, 3])
          throw Trouble()
        }
      )
    }
    try await World.withServer(handler: handler) { _, port in
      let response = try await HTTPClient().request(
        to: .tcp(host: "127.0.0.1", port: port, tls: nil),
        path: "/"
      )
      await #expect(throws: HTTPTransportError.self) { try await response.collect(upTo: 100) }
    }
  }

  @Test("A handler whose client has gone is told")
  func clientGone() async throws {
    let ended = Signal()
    let handler: HTTPHandler = { _ in
      HTTPResponse(
        status: 200,
        body: .stream { writer in
          defer { ended.set() }
          while true {
            try await writer.write([1])
            try Task.checkCancellation()
          }
        }
      )
    }
    try await World.withServer(handler: handler) { _, port in
      let response = try await HTTPClient().request(
        to: .tcp(host: "127.0.0.1", port: port, tls: nil),
        path: "/"
      )
      response.body.cancel()
      await ended.wait()
    }
  }

  // MARK: Other protocols

  @Test("After an upgrade both sides own the stream, with what was sent too early")
  func upgrade() async throws {
    let handler: HTTPHandler = { _ in
      HTTPResponse(
        status: 101,
        headers: ["X-Extra": "yes"],
        body: .upgrade(protocol: "backwards") { stream in
          // Sent along with the answer, before the client asks for anything.
          try? await stream.write(Array("hello".utf8))
          while let piece = try? await stream.read() {
            try? await stream.write(Array(piece.reversed()))
          }
        }
      )
    }
    try await World.withServer(handler: handler) { server, port in
      let stream = try await World.dial(port)
      let headers = try await HTTPClient.upgrade(
        stream,
        host: "a",
        path: "/up",
        protocol: "backwards"
      )
      #expect(headers["Upgrade"] == "backwards")
      #expect(headers["x-extra"] == "yes")
      #expect(try await World.read(5, from: stream) == Array("hello".utf8))
      try await stream.write([1, 2, 3])
      #expect(try await World.read(3, from: stream) == [3, 2, 1])
      await stream.close()
      // Bytes that came in one piece with the request belong to the new protocol.
      let early = try await World.dial(port)
      try await early.write(
        Array("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nabc".utf8)
      )
      var text = ""
      while !text.hasSuffix("cba") {
        text += String(decoding: try #require(try await early.read()), as: UTF8.self)
      }
      #expect(text.contains("101 Switching Protocols"))
      #expect(text.hasSuffix("\r\n\r\nhellocba"))
      await early.close()
      while server.connectionCount > 0, !Task.isCancelled { await Task.yield() }
    }
  }

  @Test("A server may go on at once, without an answer")
  func takeover() async throws {
    let handler: HTTPHandler = { _ in
      HTTPResponse(
        status: 101,
        body: .takeover { stream in
          guard let early = try? await stream.read() else { return }
          try? await stream.write(early + early)
        }
      )
    }
    try await World.withServer(handler: handler) { _, port in
      let text = try await World.exchange(
        "GET /derp HTTP/1.1\r\nHost: a\r\nDerp-Fast-Start: 1\r\n\r\nxy",
        port: port
      )
      #expect(text == "xyxy")
    }
  }

  @Test("An upgrade that is refused tells the client why")
  func refusedUpgrade() async throws {
    let handler: HTTPHandler = { _ in
      HTTPResponse(status: 426, body: .bytes(Array("use another version".utf8)))
    }
    try await World.withServer(handler: handler) { _, port in
      let stream = try await World.dial(port)
      do {
        _ = try await HTTPClient.upgrade(stream, host: "a", path: "/up", protocol: "p")
        Issue.record("a refusal counted as an upgrade")
      } catch let error as HTTPTransportError {
        #expect(error.reason == .refused(status: 426))
        #expect(error.description == "a answered 426 to /up: use another version")
      }
      #expect(stream.isClosed)
    }
  }

  // MARK: The end

  @Test("Shutting down ends every connection and frees the port")
  func shutdown() async throws {
    let began = Signal()
    let cancelled = Signal()
    let handler: HTTPHandler = { _ in
      began.set()
      await withTaskCancellationHandler {
        await cancelled.wait()
      } onCancel: {
        cancelled.set()
      }
      return HTTPResponse(status: 200)
    }
    let server = try await HTTPServer.start(on: [.tcp(World.loopback)], handler: handler)
    let endpoint = try #require(server.endpoints.first)
    let idle = try await World.dial(endpoint.port)
    let busy = try await World.dial(endpoint.port)
    try await busy.write(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
    await began.wait()
    await server.shutdown()
    await cancelled.wait()
    _ = await World.readAll(idle)
    #expect(await World.readAll(busy).isEmpty)
    #expect(server.endpoints.isEmpty)
    await #expect(throws: HTTPTransportError.self) { _ = try await World.dial(endpoint.port) }
    let next = try await HTTPServer.start(on: [.tcp(endpoint)], handler: World.echo)
    await next.shutdown()
    await next.shutdown()
  }

  @Test("A port in use is told from one that is not there to have")
  func portInUse() async throws {
    try await World.withServer { server, _ in
      let endpoint = try #require(server.endpoints.first)
      do {
        _ = try await HTTPServer.start(on: [.tcp(endpoint)], handler: World.echo)
        Issue.record("a port was had twice")
      } catch let error as HTTPTransportError {
        #expect(error.reason == .inUse)
        #expect(error.description.hasPrefix("cannot listen on \(endpoint): "))
        #expect(error.description.contains("Another process has that port"))
      }
      let elsewhere = Endpoint(IPAddress(192, 0, 2, 1), port: 0)
      do {
        _ = try await HTTPServer.start(
          on: [.tcp(World.loopback), .tcp(elsewhere)],
          handler: World.echo
        )
        Issue.record("an address of nobody was had")
      } catch let error as HTTPTransportError {
        #expect(error.reason == .system)
      }
    }
  }
}
