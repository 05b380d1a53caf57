// SPDX-License-Identifier: Apache-2.0

import Addressing
import Foundation
import Testing

@testable import HTTPTransport

@Suite("Asking over HTTP/1.1", .timeLimit(.minutes(10)))
struct HTTP1ClientTests {
  /// Asks a server that answers with `answer`, whatever it is asked, and then closes.
  static func ask(
    _ answer: String,
    method: String = "GET",
    timeout: Duration = .seconds(30)
  ) async throws -> (HTTPClientResponse, [UInt8]) {
    try await World.withListener { stream in
      _ = try? await stream.read()
      try? await stream.write(Array(answer.utf8))
    } during: { port in
      let response = try await HTTPClient(timeout: timeout).request(
        method,
        to: .tcp(host: "127.0.0.1", port: port, tls: nil),
        path: "/"
      )
      return (response, try await response.collect(upTo: 1000))
    }
  }

  static func reason(_ answer: String) async -> HTTPTransportError.Reason? {
    do {
      _ = try await ask(answer)
      return nil
    } catch let error as HTTPTransportError {
      return error.reason
    } catch {
      Issue.record(error)
      return nil
    }
  }

  @Test("A body ends by its length, its chunks, or the connection")
  func framing() async throws {
    let length = try await Self.ask("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef")
    #expect(length.1 == Array("abc".utf8))
    let chunks = try await Self.ask(
      "HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    )
    #expect(chunks.0.status == 201)
    #expect(chunks.1 == Array("abc".utf8))
    let end = try await Self.ask("HTTP/1.1 200\r\nX-A: 1\r\nx-a: 2\r\n\r\nabc")
    #expect(end.1 == Array("abc".utf8))
    #expect(end.0.headers.values("X-A") == ["1", "2"])
    let none = try await Self.ask("HTTP/1.1 204 No Content\r\n\r\n")
    #expect(none.1.isEmpty)
    let head = try await Self.ask("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", method: "HEAD")
    #expect(head.1.isEmpty)
    let early = try await Self.ask(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nz"
    )
    #expect(early.1 == [0x7A])
  }

  @Test("An answer that ends too early, or is none, is an error of its kind")
  func broken() async {
    #expect(await Self.reason("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc") == .closed)
    #expect(
      await Self.reason("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab") == .closed
    )
    #expect(await Self.reason("HTTP/1.1 200 OK\r\nContent-") == .closed)
    #expect(await Self.reason("") == .closed)
    #expect(await Self.reason("220 smtp.example ESMTP\r\n\r\n") == .malformed)
    #expect(await Self.reason("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == .malformed)
    #expect(await Self.reason("HTTP/1.1 20 OK\r\n\r\n") == .malformed)
    #expect(
      await Self.reason("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")
        == .malformed
    )
    #expect(
      await Self.reason("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n") == .malformed
    )
    let long = String(repeating: "x", count: HTTPClient.maximumHeaderBytes)
    #expect(await Self.reason("HTTP/1.1 200 OK\r\nX: \(long)\r\n\r\n") == .malformed)
    #expect(
      await Self.reason("HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "x", count: 1001))
        == .tooLarge
    )
  }

  @Test("A server that says nothing is given up after the time allowed")
  func silent() async throws {
    let release = Signal()
    try await World.withListener { _ in
      await release.wait()
    } during: { port in
      do {
        _ = try await HTTPClient(timeout: .seconds(1)).request(
          to: .tcp(host: "127.0.0.1", port: port, tls: nil),
          host: "silent",
          path: "/"
        )
        Issue.record("silence counted as an answer")
      } catch let error as HTTPTransportError {
        #expect(error.reason == .timedOut)
      }
      release.set()
    }
  }

  @Test("A request that is cancelled ends at once")
  func cancelled() async throws {
    let asked = Signal()
    let gone = Signal()
    try await World.withListener { stream in
      _ = try? await stream.read()
      asked.set()
      await stream.waitUntilClosed()
      gone.set()
    } during: { port in
      let task = Task {
        try await HTTPClient().request(to: .tcp(host: "127.0.0.1", port: port, tls: nil), path: "/")
      }
      await asked.wait()
      task.cancel()
      await #expect(throws: CancellationError.self) { _ = try await task.value }
      await gone.wait()
    }
  }

  @Test("A body that nobody reads to its end is given up when it is let go of or cancelled")
  func abandonedBody() async throws {
    let gone = [Signal(), Signal()]
    let turn = Counter()
    let piece = [UInt8](repeating: 1, count: 16_000)
    let handler: HTTPHandler = { _ in
      let mine = gone[turn.add() - 1]
      return HTTPResponse(
        status: 200,
        body: .stream { writer in
          defer { mine.set() }
          while true { try await writer.write(piece) }
        }
      )
    }
    try await World.withServer(handler: handler) { _, port in
      let target = HTTPClient.Target.tcp(host: "127.0.0.1", port: port, tls: nil)
      do {
        let response = try await HTTPClient().request(to: target, path: "/")
        #expect(try await response.body.next()?.first == 1)
      }
      await gone[0].wait()
      let response = try await HTTPClient().request(to: target, path: "/")
      let reader = Task {
        var count = 0
        for try await piece in response.body { count += piece.count }
        return count
      }
      reader.cancel()
      await #expect(throws: CancellationError.self) { _ = try await reader.value }
      response.body.cancel()
      await gone[1].wait()
    }
  }

  @Test("Nobody at a port, an unknown name and a broken address are told apart in words")
  func unreachable() async throws {
    let port = try await World.withServer { _, port in port }
    do {
      _ = try await World.dial(port)
      Issue.record("a closed port was reached")
    } catch let error as HTTPTransportError {
      #expect(error.reason == .unreachable)
      #expect(error.description.hasPrefix("cannot reach 127.0.0.1:\(port): "))
    }
    do {
      _ = try await Dialer().dial(host: "no-such-host.invalid", port: 80)
      Issue.record("a name of nobody was reached")
    } catch let error as HTTPTransportError {
      #expect(error.reason == .unreachable)
      #expect(error.description.hasPrefix("cannot reach no-such-host.invalid:80: "))
    }
    for url in ["", "ftp://a/", "http://", "http://a:0/", "http://a:99999/", "http://a b/", "//a"] {
      do {
        _ = try await HTTPClient().request(url: url)
        Issue.record("'\(url)' was asked")
      } catch let error as HTTPTransportError {
        #expect(error.reason == .malformed)
      }
    }
  }

  @Test("A request by URL goes where it says")
  func url() async throws {
    try await World.withServer { _, port in
      let response = try await HTTPClient().request(
        "POST",
        url: "http://127.0.0.1:\(port)/a?b",
        body: [1, 2]
      )
      let body = try await response.collect(upTo: 100)
      #expect(String(decoding: body, as: UTF8.self) == "POST /a?b 2\n")
      #expect(response.headers["content-type"] == "text/plain")
    }
  }

  @Test("IPv6 and IPv4 are dialled alike")
  func families() async throws {
    let server = try await HTTPServer.start(
      on: [.tcp(Endpoint(.unspecified(.v6), port: 0)), .tcp(World.loopback)],
      handler: World.echo
    )
    for (host, endpoint) in zip(["::1", "127.0.0.1"], server.endpoints) {
      let stream = try await Dialer().dial(host: host, port: endpoint.port)
      #expect(stream.remoteEndpoint?.address.description == host)
      #expect(stream.localEndpoint?.address.description == host)
      await stream.close()
    }
    await server.shutdown()
  }

  @Test(
    "A dialer's mark is on its connections",
    .enabled(if: getuid() == 0, "needs root"),
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/ss"), "needs ss")
  )
  func mark() async throws {
    try await World.withServer { _, port in
      let marked = try await Dialer(mark: 0x5300_0000).dial(host: "127.0.0.1", port: port)
      let plain = try await World.dial(port)
      let process = Process()
      let output = Pipe()
      process.executableURL = URL(filePath: "/usr/bin/ss")
      process.arguments = ["-Htne", "dport", "=", ":\(port)"]
      process.standardOutput = output
      try process.run()
      let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
      process.waitUntilExit()
      let lines = String(decoding: bytes, as: UTF8.self).split(separator: "\n")
      func line(_ stream: ByteStream) throws -> Substring {
        let local = try #require(stream.localEndpoint)
        return try #require(lines.first { $0.contains(":\(local.port) ") })
      }
      #expect(try line(marked).contains("fwmark:0x53000000"))
      #expect(try !line(plain).contains("fwmark"))
      await marked.close()
      await plain.close()
    }
  }
}
