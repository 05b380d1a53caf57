// SPDX-License-Identifier: Apache-2.0

import Bytes
import TestSupport
import Testing

@testable import HTTPTransport

@Suite("Clients and servers that abuse HTTP/2", .timeLimit(.minutes(10)))
struct HTTP2AbuseTests {
  /// Sends `bytes` to a server and expects it to end the connection.
  ///
  /// - Returns: What it sent until then.
  @discardableResult
  static func expectEnd(
    of bytes: [UInt8],
    limits: HTTPLimits = HTTPLimits(),
    handler: @escaping HTTPHandler = World.echo
  ) async throws -> (kinds: [UInt8], goAway: UInt32?) {
    try await HTTP2World.withServer(limits: limits, handler: handler) { port, ended in
      var writer = FrameWriter(try await World.dial(port))
      // The server may have had enough before it took everything.
      try? await writer.send(bytes)
      let frames = await writer.frames()
      await ended.wait()
      return frames
    }
  }

  @Test("Requests that are reset as fast as they are made end the connection")
  func rapidReset() async throws {
    let running = Counter()
    let most = Counter()
    let handler: HTTPHandler = { request in
      let now = running.add()
      if now > most.value { most.add(now - most.value) }
      defer { running.add(-1) }
      await Task.yield()
      return await World.echo(request)
    }
    var bytes = FrameWriter.preface
    for number in 0..<5000 as Range<UInt32> {
      let stream = number * 2 + 1
      bytes += FrameWriter.frame(.headers, flags: 5, stream: stream, FrameWriter.get)
      bytes += FrameWriter.frame(.reset, stream: stream, [0, 0, 0, 8])
    }
    let frames = try await Self.expectEnd(of: bytes, handler: handler)
    // ENHANCE_YOUR_CALM.
    #expect(frames.goAway == 11)
    #expect(most.value < 300)
    while running.value > 0, !Task.isCancelled { await Task.yield() }
  }

  @Test("More requests at once than allowed are refused, not served")
  func tooManyStreams() async throws {
    let running = Counter()
    let most = Counter()
    let release = Signal()
    let handler: HTTPHandler = { request in
      let now = running.add()
      if now > most.value { most.add(now - most.value) }
      await release.wait()
      return await World.echo(request)
    }
    var limits = HTTPLimits()
    limits.maximumConcurrentStreams = 5
    try await HTTP2World.withServer(limits: limits, handler: handler) { port, ended in
      var writer = FrameWriter(try await World.dial(port))
      var bytes = FrameWriter.preface + FrameWriter.frame(.settings, flags: 1)
      for number in 0..<50 as Range<UInt32> {
        bytes += FrameWriter.frame(.headers, flags: 5, stream: number * 2 + 1, FrameWriter.get)
      }
      bytes += FrameWriter.frame(.goAway, [0, 0, 0, 0, 0, 0, 0, 0])
      try? await writer.send(bytes)
      let frames = Task { [writer] in
        var writer = writer
        return await writer.frames()
      }
      while running.value == 0, !writer.stream.isClosed, !Task.isCancelled { await Task.yield() }
      release.set()
      _ = await frames.value
      #expect(most.value <= 5)
      await ended.wait()
    }
  }

  @Test("Floods of pings, settings and empty frames end the connection")
  func floods() async throws {
    let ping = FrameWriter.frame(.ping, [0, 1, 2, 3, 4, 5, 6, 7])
    let settings = FrameWriter.frame(.settings)
    let open = FrameWriter.frame(.headers, flags: 4, stream: 1, FrameWriter.get)
    let empty = FrameWriter.frame(.data, stream: 1)
    for (before, flood) in [([], ping), ([], settings), (open, empty)] {
      let bytes = FrameWriter.preface + before + (0..<20_000).flatMap { _ in flood }
      try await Self.expectEnd(of: bytes)
    }
  }

  @Test(
    "Frames that break the protocol end the connection",
    arguments: [
      ("data before a request", FrameWriter.frame(.data, stream: 1, [1])),
      ("an even stream", FrameWriter.frame(.headers, flags: 5, stream: 2, FrameWriter.get)),
      (
        "fields that do not decode", FrameWriter.frame(.headers, flags: 5, stream: 1, [0xFF, 0xFF])
      ),
      ("no method", FrameWriter.frame(.headers, flags: 5, stream: 1, [0x84, 0x87])),
      ("a short ping", FrameWriter.frame(.ping, [1])),
      ("settings of odd size", FrameWriter.frame(.settings, [1, 2, 3])),
      ("a window of nothing", FrameWriter.frame(.window, [0, 0, 0, 0])),
      ("a window beyond numbers", FrameWriter.frame(.window, [0x7F, 0xFF, 0xFF, 0xFF])),
      ("a push to the server", FrameWriter.frame(.push, flags: 4, stream: 1, [0, 0, 0, 2])),
      ("a lonely continuation", FrameWriter.frame(.continuation, flags: 4, stream: 1, [0x82])),
      ("a frame beyond the size", [0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 1]),
    ]
  )
  func broken(what: String, frame: [UInt8]) async throws {
    let calls = Counter()
    let handler: HTTPHandler = { request in
      calls.add()
      return await World.echo(request)
    }
    // A stream that is in error alone leaves the connection open: then our own leaving ends it.
    let leave = FrameWriter.frame(.goAway, [0, 0, 0, 0, 0, 0, 0, 0])
    var limits = HTTPLimits()
    limits.bodyTimeout = .milliseconds(500)
    try await Self.expectEnd(
      of: FrameWriter.preface + frame + leave,
      limits: limits,
      handler: handler
    )
    #expect(calls.value == 0, "\(what)")
  }

  @Test("A client that does not speak HTTP/2 is cut off")
  func noPreface() async throws {
    try await Self.expectEnd(of: Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
    try await Self.expectEnd(of: [UInt8](repeating: 0, count: 100))
  }

  @Test("Fields without end are refused before they fill the memory")
  func endlessFields() async throws {
    let field: [UInt8] =
      [0x40, 0x01, 0x78, 0x7F, 0x81, 0x00] + [UInt8](repeating: 0x61, count: 256)
    let block = Array(repeatElement(field, count: 50).joined())
    var bytes = FrameWriter.preface
    bytes += FrameWriter.frame(.headers, flags: 1, stream: 1, FrameWriter.get + block)
    for _ in 0..<100 { bytes += FrameWriter.frame(.continuation, stream: 1, block) }
    try await Self.expectEnd(of: bytes)
  }

  @Test("A request whose body never ends is given up in time")
  func slowBody() async throws {
    var limits = HTTPLimits()
    limits.bodyTimeout = .milliseconds(100)
    let open = FrameWriter.frame(.headers, flags: 4, stream: 1, FrameWriter.get)
    try await Self.expectEnd(of: FrameWriter.preface + open, limits: limits)
  }

  @Test("A record that was tampered with ends the connection on either side")
  func tampered() async throws {
    try await HTTP2World.withServer { port, ended in
      let stream = try await World.dial(port)
      var cipher = TestCipher()
      var bytes = try cipher.seal(FrameWriter.preface)
      bytes[2] ^= 1
      try await stream.write(bytes)
      _ = await World.readAll(stream)
      await ended.wait()
    }
    try await World.withListener { stream in
      _ = try? await stream.read()
      try? await stream.write([0xFF, 0xFF, 0xFF, 0xFF])
      await stream.waitUntilClosed()
    } during: { port in
      let connection = try await HTTP2Connection.client(
        over: try await World.dial(port),
        cipher: TestCipher()
      )
      do {
        _ = try await connection.request("GET", host: "a", path: "/")
        Issue.record("a tampered answer was taken")
      } catch let error as HTTPTransportError {
        #expect([.malformed, .closed].contains(error.reason))
      }
      #expect(connection.isClosed)
    }
  }

  @Test("A server that takes its leave fails what it did not take, and takes no more")
  func goAway() async throws {
    let leave = FrameWriter.frame(.settings) + FrameWriter.frame(.goAway, [0, 0, 0, 0, 0, 0, 0, 0])
    try await World.withListener { stream in
      var cipher = TestCipher()
      _ = try? await stream.read()
      if let bytes = try? cipher.seal(leave) { try? await stream.write(bytes) }
      await stream.waitUntilClosed()
    } during: { port in
      let connection = try await HTTP2Connection.client(
        over: try await World.dial(port),
        cipher: TestCipher()
      )
      for _ in 0..<2 {
        await #expect(throws: HTTPTransportError.self) {
          _ = try await connection.request("GET", host: "a", path: "/", timeout: .seconds(20))
        }
      }
      await connection.close()
    }
  }

  @Test("A server outlives whatever frames are sent to it")
  func fuzz() async throws {
    var generator = SeededGenerator(state: 0x6832_6672_616D_6573)
    let good =
      FrameWriter.frame(.headers, flags: 4, stream: 1, FrameWriter.get)
      + FrameWriter.frame(.data, stream: 1, [1, 2, 3])
      + FrameWriter.frame(.ping, [0, 1, 2, 3, 4, 5, 6, 7])
      + FrameWriter.frame(.data, flags: 1, stream: 1, [4])
      + FrameWriter.frame(.headers, flags: 5, stream: 3, FrameWriter.get)
      + FrameWriter.frame(.window, stream: 3, [0, 0, 1, 0])
      + FrameWriter.frame(.reset, stream: 3, [0, 0, 0, 8])
    var limits = HTTPLimits()
    limits.bodyTimeout = .milliseconds(100)
    limits.writeTimeout = .milliseconds(100)
    try await HTTP2World.withServer(limits: limits) { port, _ in
      for _ in 0..<200 {
        var bytes = good
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
          bytes[Int.random(in: bytes.indices, using: &generator)] = .random(
            in: 0...255,
            using: &generator
          )
        }
        var writer = FrameWriter(try await World.dial(port))
        try? await writer.send(FrameWriter.preface + bytes)
        writer.stream.abort()
      }
      var alive: Int?
      // The time that a client is given here is short: it may need more than one attempt.
      while alive == nil {
        let connection = try await HTTP2Connection.client(
          over: try await World.dial(port),
          cipher: TestCipher()
        )
        alive = try? await connection.request("GET", host: "a", path: "/alive").status
        await connection.close()
      }
      #expect(alive == 200)
    }
  }
}
