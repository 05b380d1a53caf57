// SPDX-License-Identifier: Apache-2.0

/// Reads HTTP/1 messages off a stream, one after the other.
struct MessageReader {
  private let stream: ByteStream
  private var buffer: ArraySlice<UInt8> = []

  init(_ stream: ByteStream) { self.stream = stream }

  /// Puts back what was received after the last message.
  mutating func giveBack() {
    stream.unread(Array(buffer))
    buffer = []
  }

  /// Whether something of the next message was received already.
  var hasMore: Bool { !buffer.isEmpty }

  /// Waits for the first byte of the next message; false when the stream ends instead.
  mutating func waitForMore() async throws -> Bool {
    if hasMore { return true }
    return try await fill()
  }

  /// The next head; nil when the stream ends before its first byte.
  mutating func head(maximum: Int) async throws -> MessageHead? {
    var searched = 0
    while true {
      // Empty lines before a message are skipped (RFC 9112 §2.2).
      while searched == 0, buffer.starts(with: [0x0D, 0x0A]) { buffer = buffer.dropFirst(2) }
      if let end = endOfHead(from: searched) {
        let head = buffer[buffer.startIndex..<end]
        guard head.count <= maximum else { throw MessageHead.Refusal.tooLarge }
        defer { buffer = buffer[(end + 4)...] }
        return try MessageHead(parsing: head)
      }
      guard buffer.count <= maximum else { throw MessageHead.Refusal.tooLarge }
      searched = max(0, buffer.count - 3)
      guard try await fill() else {
        if buffer.isEmpty { return nil }
        throw HTTPTransportError.closed("the connection ended in the middle of a header")
      }
    }
  }

  private func endOfHead(from offset: Int) -> Int? {
    var index = buffer.startIndex + offset
    while index + 4 <= buffer.endIndex {
      if buffer[index] == 0x0D, buffer[index + 1] == 0x0A, buffer[index + 2] == 0x0D,
        buffer[index + 3] == 0x0A
      {
        return index
      }
      index += 1
    }
    return nil
  }

  private mutating func fill() async throws -> Bool {
    guard let more = try await stream.read() else { return false }
    if buffer.isEmpty { buffer = more[...] } else { buffer += more }
    return true
  }

  /// Up to `count` bytes that were received already, or at least one that is waited for.
  fileprivate mutating func take(_ count: Int) async throws -> ArraySlice<UInt8>? {
    if buffer.isEmpty, try await !fill() { return nil }
    defer { buffer = buffer.dropFirst(count) }
    return buffer.prefix(count)
  }

  fileprivate mutating func decode(_ decoder: inout ChunkDecoder) async throws -> [UInt8]? {
    if buffer.isEmpty, try await !fill() { return nil }
    return try decoder.decode(&buffer)
  }
}

/// Reads one body piece by piece.
struct BodyReader {
  private var framing: MessageHead.Framing
  private var decoder = ChunkDecoder()
  private(set) var isDone: Bool

  init(_ framing: MessageHead.Framing) {
    self.framing = framing
    isDone = framing == .length(0)
  }

  /// The next piece; nil when the body is whole.
  ///
  /// - Throws: when the stream ends before the body does.
  mutating func next(from reader: inout MessageReader) async throws -> [UInt8]? {
    while !isDone {
      let piece = try await step(&reader)
      if !piece.isEmpty { return piece }
    }
    return nil
  }

  private mutating func step(_ reader: inout MessageReader) async throws -> [UInt8] {
    switch framing {
    case .length(let left):
      guard let piece = try await reader.take(left) else { throw Self.cutOff }
      framing = .length(left - piece.count)
      isDone = piece.count == left
      return Array(piece)
    case .chunked:
      guard let piece = try await reader.decode(&decoder) else { throw Self.cutOff }
      isDone = decoder.isDone
      return piece
    case .untilEnd:
      guard let piece = try await reader.take(.max) else {
        isDone = true
        return []
      }
      return Array(piece)
    }
  }

  private static let cutOff = HTTPTransportError.closed(
    "the connection ended in the middle of a body"
  )
}
