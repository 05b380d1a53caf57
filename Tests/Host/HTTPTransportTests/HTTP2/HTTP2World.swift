// SPDX-License-Identifier: Apache-2.0

import Bytes
import Testing

@testable import HTTPTransport

/// Records that are enough to tell a stream that was tampered with: a length of two bytes, a
/// running number, then every byte with its bits turned.
struct TestCipher: RecordCipher {
  struct Damaged: Error {}

  static let maximum = 1000

  private var sealed: UInt8 = 0
  private var opened: UInt8 = 0
  private var pending: [UInt8] = []

  mutating func seal(_ plaintext: [UInt8]) throws -> [UInt8] {
    var records: [UInt8] = []
    var rest = plaintext[...]
    while !rest.isEmpty {
      let piece = rest.prefix(Self.maximum)
      rest = rest.dropFirst(Self.maximum)
      records += [UInt8(piece.count >> 8), UInt8(piece.count & 255), sealed]
      records += piece.map { ~$0 }
      sealed &+= 1
    }
    return records
  }

  mutating func open(_ ciphertext: [UInt8]) throws -> [UInt8] {
    pending += ciphertext
    var plaintext: [UInt8] = []
    var offset = 0
    while pending.count >= offset + 3 {
      let length = Int(pending[offset]) << 8 | Int(pending[offset + 1])
      guard length > 0, length <= Self.maximum, pending[offset + 2] == opened else {
        throw Damaged()
      }
      guard pending.count >= offset + 3 + length else { break }
      plaintext += pending[offset + 3..<offset + 3 + length].map { ~$0 }
      offset += 3 + length
      opened &+= 1
    }
    pending.removeFirst(offset)
    return plaintext
  }
}

/// HTTP/2 over a cipher, and what a hostile client of it sends.
enum HTTP2World {
  /// Runs `body` with a client of a server that answers by `handler`.
  static func withConnection<Result>(
    limits: HTTPLimits = World.patient,
    handler: @escaping HTTPHandler = World.echo,
    _ body: (HTTP2Connection) async throws -> Result
  ) async throws -> Result {
    try await withServer(limits: limits, handler: handler) { port, _ in
      let connection = try await HTTP2Connection.client(
        over: try await World.dial(port),
        cipher: TestCipher()
      )
      do {
        let result = try await body(connection)
        await connection.close()
        return result
      } catch {
        await connection.close()
        throw error
      }
    }
  }

  /// Runs `body` with a server; the signal tells that it has ended a connection.
  static func withServer<Result>(
    limits: HTTPLimits = World.patient,
    handler: @escaping HTTPHandler = World.echo,
    _ body: (UInt16, Signal) async throws -> Result
  ) async throws -> Result {
    let ended = Signal()
    return try await World.withListener { stream in
      // How it ended is for each test to look at from its own side.
      try? await serveHTTP2(over: stream, cipher: TestCipher(), limits: limits, handler: handler)
      ended.set()
    } during: { port in
      try await body(port, ended)
    }
  }
}

/// A client that writes frames by hand.
struct FrameWriter {
  enum Kind: UInt8 {
    case data = 0
    case headers = 1
    case reset = 3
    case settings = 4
    case push = 5
    case ping = 6
    case goAway = 7
    case window = 8
    case continuation = 9
  }

  static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) + frame(.settings)
  /// `GET / ` to `a` over https, in indexed and literal fields.
  static let get: [UInt8] = [0x82, 0x84, 0x87, 0x41, 0x01, 0x61]

  let stream: ByteStream
  private var cipher = TestCipher()

  init(_ stream: ByteStream) { self.stream = stream }

  static func frame(
    _ kind: Kind,
    flags: UInt8 = 0,
    stream: UInt32 = 0,
    _ payload: [UInt8] = []
  ) -> [UInt8] {
    let length = payload.count
    return [
      UInt8(length >> 16), UInt8(length >> 8 & 255), UInt8(length & 255), kind.rawValue, flags,
    ]
      + (0..<4).map { UInt8(truncatingIfNeeded: stream >> (24 - 8 * $0)) } + payload
  }

  mutating func send(_ bytes: [UInt8]) async throws {
    try await stream.write(try cipher.seal(bytes))
  }

  /// The kinds of the frames that come until one of the kind `last` or the end, and the error of
  /// the last GOAWAY.
  mutating func frames(until last: Kind? = nil) async -> (kinds: [UInt8], goAway: UInt32?) {
    var bytes: [UInt8] = []
    var kinds: [UInt8] = []
    var goAway: UInt32?
    while let piece = try? await stream.read(), let more = try? cipher.open(piece) {
      bytes += more
      while bytes.count >= 9 {
        let length = Int(bytes[0]) << 16 | Int(bytes[1]) << 8 | Int(bytes[2])
        guard bytes.count >= 9 + length else { break }
        kinds.append(bytes[3])
        if bytes[3] == Kind.goAway.rawValue, length >= 8 {
          goAway = bytes[13..<17].reduce(0) { $0 << 8 | UInt32($1) }
        }
        bytes.removeFirst(9 + length)
      }
      if let last, kinds.contains(last.rawValue) { break }
    }
    return (kinds, goAway)
  }
}
