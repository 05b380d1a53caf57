// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import HTTPTransport

@Suite("Requests that are none, or two in one", .timeLimit(.minutes(10)), .onBothCarriers)
struct SmugglingTests {
  /// What is wrong, the header after the first line, and the status that it gets.
  static let refused: [(what: String, lines: String, status: Int)] = [
    ("two lengths", "Content-Length: 5\r\nContent-Length: 6\r\n", 400),
    ("a list of lengths", "Content-Length: 5, 5\r\n", 400),
    ("a length and chunks", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400),
    ("chunks and a length", "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400),
    ("a length with a sign", "Content-Length: +5\r\n", 400),
    ("a negative length", "Content-Length: -5\r\n", 400),
    ("a hexadecimal length", "Content-Length: 0x5\r\n", 400),
    ("no length", "Content-Length: \r\n", 400),
    ("a length beyond numbers", "Content-Length: 99999999999999999999\r\n", 400),
    ("an unknown coding", "Transfer-Encoding: xchunked\r\n", 501),
    ("two codings", "Transfer-Encoding: gzip, chunked\r\n", 501),
    ("chunks twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 501),
    ("chunks, then nothing", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", 501),
    ("an empty coding", "Transfer-Encoding: \r\n", 501),
    ("a blank before the colon", "Content-Length : 5\r\n", 400),
    ("a folded line", "X: a\r\n b\r\n", 400),
    ("a line without colon", "Content-Length 5\r\n", 400),
    ("an empty name", ": 5\r\n", 400),
    ("a tab in the name", "Content\tLength: 5\r\n", 400),
    ("a zero byte", "X: a\u{0}b\r\n", 400),
    ("a bare CR", "X: a\rb\r\n", 400),
    ("a bare LF", "X: a\nContent-Length: 5\r\n", 400),
    ("a control character", "X: a\u{7F}\r\n", 400),
    ("two hosts", "Host: b\r\n", 400),
  ]

  @Test("What others may read otherwise is refused, and ends the connection", arguments: refused)
  func ambiguous(what: String, lines: String, status: Int) async throws {
    let calls = Counter()
    let handler: HTTPHandler = { request in
      calls.add()
      return await World.echo(request)
    }
    try await World.withServer(handler: handler) { _, port in
      let text = try await World.exchange(
        "POST / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
        port: port
      )
      #expect(World.statuses(text) == [status], "\(what)")
      #expect(text.contains("Connection: close\r\n"))
      #expect(calls.value == 0, "\(what)")
    }
  }

  @Test(
    "First lines that are not HTTP are refused",
    arguments: [
      ("GET /", 400), ("GET  / HTTP/1.1", 400), ("GET / HTTP/1.1 x", 400), (" GET / HTTP/1.1", 400),
      ("G\u{E9}T / HTTP/1.1", 400), ("GET /\u{E9} HTTP/1.1", 400), ("HTTP/1.1 200 OK", 400),
      ("GET / HTTP/2.0", 501), ("GET / HTTP/1.2", 501), ("GET / http/1.1", 400),
      ("PRI * HTTP/2.0", 501), ("\u{16}\u{3}\u{1}", 400), ("", 400),
    ]
  )
  func firstLine(line: String, status: Int) async throws {
    try await World.withServer { _, port in
      let text = try await World.exchange("x: y\r\n\r\n", port: port)
      #expect(World.statuses(text) == [400])
      // An empty line before a request is skipped; two are as well.
      guard !line.isEmpty else { return }
      let answer = try await World.exchange("\(line)\r\nHost: a\r\n\r\n", port: port)
      #expect(World.statuses(answer) == [status])
    }
  }

  @Test("A request of HTTP/1.1 without a host is refused, of 1.0 it is not")
  func host() async throws {
    try await World.withServer { _, port in
      let first = try await World.statuses(World.exchange("GET / HTTP/1.1\r\n\r\n", port: port))
      #expect(first == [400])
      let second = try await World.statuses(World.exchange("GET / HTTP/1.0\r\n\r\n", port: port))
      #expect(second == [200])
    }
  }

  @Test(
    "Chunks that are none are refused",
    arguments: [
      "5\nhello\r\n", "5\r\nhelloX\r\n", "-5\r\nhello\r\n", "+5\r\nhello\r\n", "0x5\r\nhello\r\n",
      "\r\nhello\r\n", "G\r\n", "FFFFFFFFFFFFFFFFF\r\n", "5;a=\nb\r\nhello\r\n", " 5\r\nhello\r\n",
    ]
  )
  func chunks(body: String) async throws {
    let calls = Counter()
    let handler: HTTPHandler = { request in
      calls.add()
      return await World.echo(request)
    }
    try await World.withServer(handler: handler) { _, port in
      let text = try await World.exchange(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(body)0\r\n\r\n",
        port: port
      )
      #expect(World.statuses(text) == [400])
      #expect(calls.value == 0)
    }
  }

  @Test("Equal lengths are one, and the body ends where they say")
  func equalLengths() async throws {
    try await World.withServer { _, port in
      let text = try await World.exchange(
        "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"
          + "GET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        port: port
      )
      #expect(text.contains("POST /1 3\n"))
      #expect(text.contains("GET /2 0\n"))
    }
  }

  @Test("Line breaks in what we send are refused, whoever asks for them")
  func injection() async throws {
    try await World.withServer { _, port in
      let target = HTTPClient.Target.tcp(host: "127.0.0.1", port: port, tls: nil)
      for (path, value) in [("/a\r\nX: y", "v"), ("/ b", "v"), ("/", "v\r\nX: y"), ("/", "v\nw")] {
        await #expect(throws: HTTPTransportError.self) {
          _ = try await HTTPClient().request(to: target, path: path, headers: ["X-Value": value])
        }
      }
    }
    let handler: HTTPHandler = { _ in
      HTTPResponse(status: 200, headers: ["Location": "/\r\nSet-Cookie: x"])
    }
    try await World.withServer(handler: handler) { _, port in
      let text = try await World.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n", port: port)
      #expect(!text.contains("Set-Cookie"))
    }
  }
}
