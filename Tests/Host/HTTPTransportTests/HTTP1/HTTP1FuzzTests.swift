// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import HTTPTransport

@Suite("Malformed HTTP/1", .timeLimit(.minutes(10)), .onBothCarriers)
struct HTTP1FuzzTests {
  static let heads = [
    "GET /path?query HTTP/1.1\r\nHost: example\r\nAccept: */*\r\nConnection: keep-alive",
    "POST /machine/map HTTP/1.1\r\nHost: example\r\nContent-Length: 12\r\nX-Long: aaaaaaaaaaaaaaaaaa",
    "POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: tailscale-control-protocol\r\nConnection: Upgrade",
    "HTTP/1.0 200\r\nContent-Length: 5",
  ]
  static let chunks =
    "4\r\nWiki\r\n5;name=value\r\npedia\r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"

  /// Reads a head in every way; whatever it is, it must return or throw.
  static func readHead(_ bytes: [UInt8]) {
    guard let head = try? MessageHead(parsing: bytes[...]) else { return }
    _ = try? head.requestFraming()
    _ = try? head.responseFraming(to: "GET")
    _ = head.keepsAlive
  }

  @Test("Heads cut off at any byte are refused or read")
  func truncatedHeads() {
    for text in Self.heads {
      let bytes = Array(text.utf8)
      for count in 0...bytes.count { Self.readHead(Array(bytes.prefix(count))) }
    }
  }

  @Test("Heads with any byte changed are refused or read")
  func mutatedHeads() {
    for text in Self.heads {
      var bytes = Array(text.utf8)
      for index in bytes.indices {
        let original = bytes[index]
        for value in [0, 0x0A, 0x0D, 0x20, 0x3A, 0x80, 0xFF, original ^ 0x20] as [UInt8] {
          bytes[index] = value
          Self.readHead(bytes)
        }
        bytes[index] = original
      }
    }
  }

  @Test("Chunks in pieces of any size are the same body")
  func drip() throws {
    let bytes = Array(Self.chunks.utf8)
    for size in 1...bytes.count {
      var decoder = ChunkDecoder()
      var body: [UInt8] = []
      var rest = bytes[...]
      while !rest.isEmpty {
        var piece = rest.prefix(size)
        rest = rest.dropFirst(size)
        body += try decoder.decode(&piece)
      }
      #expect(decoder.isDone)
      #expect(String(decoding: body, as: UTF8.self) == "Wikipedia0123456789")
    }
  }

  @Test("Chunks cut off anywhere are not whole; changed anywhere they are refused or read")
  func damagedChunks() {
    let bytes = Array(Self.chunks.utf8)
    for count in 0..<bytes.count {
      var decoder = ChunkDecoder()
      var rest = bytes.prefix(count)
      _ = try? decoder.decode(&rest)
      #expect(!decoder.isDone)
    }
    var generator = SeededGenerator(state: 0x6368_756E_6B73)
    for _ in 0..<3000 {
      var mutated = bytes
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        mutated[Int.random(in: mutated.indices, using: &generator)] = .random(
          in: 0...255,
          using: &generator
        )
      }
      var decoder = ChunkDecoder()
      var rest = mutated[...]
      _ = try? decoder.decode(&rest)
    }
  }

  @Test("A line or trailers without end are refused")
  func endless() {
    for text in [
      String(repeating: "1", count: 5000), "0\r\n" + String(repeating: "x: y\r\n", count: 4000),
    ] {
      var decoder = ChunkDecoder()
      var rest = Array(text.utf8)[...]
      #expect(throws: MessageHead.Refusal.tooLarge) { _ = try decoder.decode(&rest) }
    }
  }

  @Test("A server outlives whatever is sent to it")
  func server() async throws {
    let seed: UInt64 = 0x7365_7276_6572
    var generator = SeededGenerator(state: seed)
    let corpus = Self.heads.prefix(3).map { Array(($0 + "\r\n\r\nhello world!").utf8) }
    var limits = HTTPLimits()
    limits.headerTimeout = .milliseconds(50)
    limits.bodyTimeout = .milliseconds(50)
    limits.idleTimeout = .milliseconds(50)
    try await World.withServer(limits: limits) { server, port in
      for _ in 0..<20 {
        let inputs = (0..<10).map { _ in
          var bytes = corpus.randomElement(using: &generator) ?? []
          for _ in 0..<Int.random(in: 1...5, using: &generator) {
            bytes[Int.random(in: bytes.indices, using: &generator)] = .random(
              in: 0...255,
              using: &generator
            )
          }
          return Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &generator)))
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
          for bytes in inputs {
            group.addTask { _ = try await World.exchange(bytes, port: port) }
          }
          try await group.waitForAll()
        }
      }
      var alive = ""
      // The time that a client is given here is short: it may need more than one attempt.
      while alive.isEmpty {
        alive = try await World.exchange(
          "GET /alive HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
          port: port
        )
      }
      #expect(alive.hasSuffix("GET /alive 0\n"))
      while server.connectionCount > 0, !Task.isCancelled { await Task.yield() }
    }
  }
}
