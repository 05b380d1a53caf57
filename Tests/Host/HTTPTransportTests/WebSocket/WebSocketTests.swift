// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import HTTPTransport

/// A frame as a client writes it.
func webSocketFrame(
  _ first: UInt8,
  _ payload: [UInt8],
  mask: [UInt8] = [0x37, 0xFA, 0x21, 0x3D]
) -> [UInt8] {
  var frame = [first]
  switch payload.count {
  case ..<126: frame.append(0x80 | UInt8(payload.count))
  case ..<65_536: frame += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
  default:
    frame.append(0x80 | 127)
    for shift in stride(from: 56, through: 0, by: -8) {
      frame.append(UInt8(truncatingIfNeeded: payload.count >> shift))
    }
  }
  return frame + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
}

@Suite("What WebSocket clients send")
struct WebSocketDecoderTests {
  private func events(_ bytes: [UInt8], pieces size: Int) throws -> [WebSocketDecoder.Event] {
    var decoder = WebSocketDecoder()
    var data: [UInt8] = []
    var events: [WebSocketDecoder.Event] = []
    for start in stride(from: 0, to: bytes.count, by: size) {
      decoder.append(Array(bytes[start..<min(start + size, bytes.count)]))
      while let event = try decoder.next() {
        guard case .data(let more) = event else {
          if !data.isEmpty { events.append(.data(data)) }
          data = []
          events.append(event)
          continue
        }
        data += more
      }
    }
    return data.isEmpty ? events : events + [.data(data)]
  }

  @Test(
    "Messages, fragments and what comes between them are one stream, in whatever pieces they come"
  )
  func stream() throws {
    let long = (0..<70_000).map { UInt8(truncatingIfNeeded: $0) }
    let bytes =
      webSocketFrame(0x82, [1, 2, 3]) + webSocketFrame(0x02, [4, 5]) + webSocketFrame(0x89, [7])
      + webSocketFrame(0x00, []) + webSocketFrame(0x80, [6]) + webSocketFrame(0x82, [])
      + webSocketFrame(0x8A, []) + webSocketFrame(0x82, Array(long.prefix(300)))
      + webSocketFrame(0x82, long) + webSocketFrame(0x88, [0x03, 0xE8] + Array("bye".utf8))
      + webSocketFrame(0x82, [9])
    let expected: [WebSocketDecoder.Event] = [
      .data([1, 2, 3, 4, 5]), .ping([7]), .data([6]), .pong, .data(Array(long.prefix(300)) + long),
      .close(code: 1000),
    ]
    for size in [1, 2, 7, 4096, bytes.count] {
      #expect(try events(bytes, pieces: size) == expected)
    }
  }

  @Test(
    "What a client must not send is refused with the code for it",
    arguments: [
      ([0x82, 0x01, 0x00], 1002),  // No mask.
      ([0xC2, 0x81, 0, 0, 0, 0, 0], 1002),  // Compressed, which was not agreed on.
      ([0x83, 0x80, 0, 0, 0, 0], 1002),  // A kind that nobody knows.
      ([0x81, 0x80, 0, 0, 0, 0], 1003),  // Text.
      ([0x80, 0x80, 0, 0, 0, 0], 1002),  // The rest of nothing.
      (webSocketFrame(0x02, [1]) + webSocketFrame(0x82, [2]), 1002),  // A message in another.
      ([0x09, 0x80, 0, 0, 0, 0], 1002),  // A ping in pieces.
      ([0x89, 0xFE, 0, 126], 1002),  // A long ping.
      ([0x82, 0xFE, 0, 125], 1002),  // A length that is longer than it is.
      ([0x82, 0xFF, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], 1002),
      ([0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002),  // A negative length.
      ([0x82, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 1], 1009),  // A byte more than a message may have.
      (webSocketFrame(0x02, [1]) + [0x80, 0xFF, 0, 0, 0, 0, 0, 0x10, 0, 0], 1009),
      ([0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], 1009),
      (webSocketFrame(0x88, [3]), 1002),  // Half a code.
      (webSocketFrame(0x88, [0x03, 0xED]), 1002),  // A code that is never sent.
      (webSocketFrame(0x88, [0x03, 0xE8, 0xFF]), 1007),  // A reason that is no text.
    ] as [([UInt8], UInt16)]
  )
  func violations(_ bytes: [UInt8], _ code: UInt16) {
    for size in [1, bytes.count] {
      let error = #expect(throws: WebSocketDecoder.Violation.self) {
        _ = try events(bytes, pieces: size)
      }
      #expect(error?.code == code)
    }
  }

  @Test("The proof of understanding is that of the standard's example")
  func accept() {
    #expect(HTTPResponse.accept("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
  }
}

@Suite("WebSocket connections", .timeLimit(.minutes(10)), .onBothCarriers)
struct WebSocketConnectionTests {
  private static let request = """
    GET /w HTTP/1.1\r\nHost: here\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Protocol: other, bytes\r\n\r\n
    """

  /// Gives back what it gets.
  private static let echo: HTTPHandler = { request in
    .webSocket(answering: request, speaking: "bytes") { stream in
      while let bytes = try? await stream.read() {
        guard (try? await stream.write(bytes)) != nil else { return }
      }
    }
  }

  /// What is answered to `bytes` after the upgrade, until the server ends the connection.
  private func answer(to bytes: [UInt8]) async throws -> [UInt8] {
    try await World.withServer(handler: Self.echo) { _, port in
      let stream = try await World.dial(port)
      // Together with the request, as a client may that does not wait.
      try await stream.write(Array(Self.request.utf8) + bytes)
      let all = await World.readAll(stream)
      let end = try #require(all.firstRange(of: [13, 10, 13, 10]))
      let head = String(decoding: all[..<end.lowerBound], as: UTF8.self)
      #expect(head.hasPrefix("HTTP/1.1 101 "))
      #expect(head.contains("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="))
      #expect(head.contains("Sec-WebSocket-Protocol: bytes"))
      return Array(all[end.upperBound...])
    }
  }

  @Test("Bytes come back in binary messages, pings are answered, a close is answered and ends it")
  func whole() async throws {
    let bytes =
      webSocketFrame(0x89, [5, 6]) + webSocketFrame(0x82, [1, 2])
      + webSocketFrame(0x88, [0x0F, 0xA0])
    let all = try await answer(to: bytes)
    // Whatever the stream had no time to give back before the end may be missing.
    #expect(all.starts(with: [0x8A, 2, 5, 6]))
    #expect(all.suffix(4) == [0x88, 2, 0x0F, 0xA0])
  }

  @Test("Who breaks the protocol reads why, whatever it was still sending")
  func violation() async throws {
    let all = try await answer(to: [0x82, 0x05] + [UInt8](repeating: 0, count: 200_000))
    #expect(all == [0x88, 2, 0x03, 0xEA])
  }

  @Test(
    "A request that is not as it has to be is refused",
    arguments: [
      ("GET /w", "POST /w", 400), ("Version: 13", "Version: 8", 426),
      ("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 400), ("other, bytes", "other", 400),
      ("keep-alive, Upgrade", "close", 400),
    ]
  )
  func refusals(_ right: String, _ wrong: String, _ status: Int) async throws {
    try await World.withServer(handler: Self.echo) { _, port in
      let text = Self.request.replacing(right, with: wrong)
        .replacing("\r\n\r\n", with: "\r\nContent-Length: 0\r\n\r\n")
      let stream = try await World.dial(port)
      try await stream.write(Array(text.utf8))
      let bytes = try await World.read(12, from: stream)
      #expect(World.statuses(String(decoding: bytes, as: UTF8.self)) == [status])
      stream.abort()
    }
  }

  @Test("Pings that nobody reads the answers of are not kept")
  func pingFlood() async throws {
    let ended = Signal()
    let handler: HTTPHandler = { request in
      .webSocket(answering: request, speaking: "bytes") { stream in
        while let bytes = try? await stream.read(), bytes != [1] {}
        ended.set()
      }
    }
    try await World.withServer(handler: handler) { _, port in
      let stream = try await World.dial(port)
      let ping = webSocketFrame(0x89, [UInt8](repeating: 7, count: 125))
      let flood = (0..<1000).flatMap { _ in ping }
      try await stream.write(Array(Self.request.utf8))
      for _ in 0..<40 { try await stream.write(flood) }
      try await stream.write(webSocketFrame(0x82, [1]))
      // All of it was taken, though not one answer was read.
      await ended.wait()
      stream.abort()
    }
  }
}
