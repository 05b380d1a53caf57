// SPDX-License-Identifier: Apache-2.0

import Addressing
import Glibc
import Testing

@testable import HTTPTransport

@Suite("Streams of bytes", .timeLimit(.minutes(10)), .onBothCarriers)
struct ByteStreamTests {
  @Test("Concurrent writers never mix within one write, and all arrives in order of each")
  func writers() async throws {
    try await World.withListener { stream in
      let block = [UInt8](repeating: 0, count: 10_000)
      await withTaskGroup(of: Void.self) { group in
        for writer in 1...8 as ClosedRange<UInt8> {
          group.addTask {
            for _ in 0..<20 { try? await stream.write(block.map { _ in writer }) }
          }
        }
      }
    } during: { port in
      let stream = try await World.dial(port)
      let bytes = await World.readAll(stream)
      #expect(bytes.count == 8 * 20 * 10_000)
      for start in stride(from: 0, to: bytes.count, by: 10_000) {
        let first = bytes[start]
        #expect(bytes[start..<start + 10_000].allSatisfy { $0 == first })
      }
    }
  }

  @Test("Bytes put back are read first")
  func unread() async throws {
    try await World.withListener {
      try? await $0.write([1, 2, 3, 4])
    } during: { port in
      let stream = try await World.dial(port)
      let first = try await World.read(4, from: stream)
      stream.unread(Array(first.suffix(2)))
      stream.unread([9])
      #expect(try await stream.read() == [9, 3, 4])
      #expect(try await stream.read() == nil)
      #expect(try await stream.read() == nil)
    }
  }

  @Test("A reader that is cancelled gets out, and the next one reads on")
  func cancelledReader() async throws {
    let go = Signal()
    try await World.withListener { stream in
      await go.wait()
      try? await stream.write([7])
      await stream.waitUntilClosed()
    } during: { port in
      let stream = try await World.dial(port)
      let reader = Task { try await stream.read() }
      reader.cancel()
      await #expect(throws: CancellationError.self) { _ = try await reader.value }
      go.set()
      #expect(try await stream.read() == [7])
      await stream.close()
    }
  }

  @Test("An offer is refused when full, and the consumer is told when there is room again")
  func offer() async throws {
    let mayRead = Signal()
    let total = Counter()
    let all = Signal()
    try await World.withListener { stream in
      await mayRead.wait()
      while let piece = try? await stream.read() { total.add(piece.count) }
      all.set()
    } during: { port in
      let stream = try await World.dial(port)
      let room = Signal()
      let piece = [UInt8](repeating: 5, count: 60_000)
      var offered = 0
      var isFull = false
      // The kernel's buffers are large; ours is what refuses in the end.
      for _ in 0..<10_000 where !isFull {
        if stream.offer(piece) { offered += piece.count } else { isFull = true }
      }
      #expect(isFull)
      stream.consume({ _ in }, hasRoom: { room.set() })
      mayRead.set()
      await room.wait()
      while !stream.offer([1]), !Task.isCancelled { await Task.yield() }
      await stream.close()
      await all.wait()
      #expect(total.value == offered + 1)
      #expect(!stream.offer([1]))
      await #expect(throws: HTTPTransportError.self) { try await stream.write([1]) }
    }
  }

  @Test("A consumer gets what came before it, and what comes after, in order")
  func consume() async throws {
    let next = Signal()
    try await World.withListener { stream in
      try? await stream.write([1, 2, 3])
      await next.wait()
      try? await stream.write([4, 5, 6])
      await stream.waitUntilClosed()
    } during: { port in
      let stream = try await World.dial(port)
      let first = try await World.read(3, from: stream)
      stream.unread(first)
      let got = Counter()
      let done = Signal()
      stream.consume(
        { bytes in
          // In order, each digit shifts those before it.
          for byte in bytes { got.add(got.value * 9 + Int(byte)) }
          if got.value == 123_456 { done.set() }
        },
        hasRoom: {}
      )
      next.set()
      await done.wait()
      stream.abort()
    }
  }

  @Test("A connection that is cut as soon as it is made is known to have ended, however fast")
  func cutAtOnce() async throws {
    var limits = HTTPLimits()
    limits.maximumConnections = 0
    try await World.withListener(limits: limits) { _ in
    } during: { port in
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<8 {
          group.addTask {
            for _ in 0..<100 {
              // That the dial itself fails is as good.
              guard let stream = try? await World.dial(port) else { continue }
              _ = await World.readAll(stream)
              await stream.waitUntilClosed()
            }
          }
        }
      }
    }
  }

  @Test("The end is told once to everybody who waits")
  func end() async throws {
    let go = Signal()
    try await World.withListener { _ in
      await go.wait()
    } during: { port in
      let stream = try await World.dial(port)
      let called = Counter()
      let closed = Signal()
      stream.whenClosed {
        called.add()
        closed.set()
      }
      let waiting = Task { await stream.waitUntilClosed() }
      go.set()
      await closed.wait()
      await waiting.value
      #expect(stream.isClosed)
      #expect(stream.failure == nil)
      stream.whenClosed { called.add() }
      #expect(called.value == 2)
      await stream.close()
    }
  }

  @Test("Datagrams are answered, each by at most one, until the end")
  func datagrams() async throws {
    let responder = try await DatagramResponder.start(on: World.loopback) { bytes, from in
      bytes.isEmpty || from.port == 0 ? nil : bytes + bytes
    }
    let endpoint = try #require(responder.endpoint)
    let client = try Datagrams(to: endpoint.port)
    client.send([])
    client.send([1, 2])
    client.send([3])
    let answers = [client.receive(), client.receive()]
    #expect(answers == [[1, 2, 1, 2], [3, 3]])
    do {
      _ = try await DatagramResponder.start(on: endpoint) { _, _ in nil }
      Issue.record("a port was had twice")
    } catch let error as HTTPTransportError {
      #expect(error.reason == .inUse)
    }
    await responder.shutdown()
    let again = try await DatagramResponder.start(on: endpoint) { _, _ in nil }
    await again.shutdown()
  }
}

/// A UDP socket that talks to a port of this host.
private struct Datagrams: ~Copyable {
  let descriptor: Int32

  init(to port: UInt16) throws {
    descriptor = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    var patience = timeval(tv_sec: 30, tv_usec: 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    let size = socklen_t(MemoryLayout<sockaddr_in>.size)
    // SAFETY: both structures live through the calls that read them.
    let isReady = unsafe withUnsafePointer(to: &address) { pointer in
      unsafe setsockopt(
        descriptor,
        SOL_SOCKET,
        SO_RCVTIMEO,
        &patience,
        socklen_t(MemoryLayout<timeval>.size)
      ) == 0
        && pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe connect(descriptor, $0, size)
        } == 0
    }
    try #require(isReady)
  }

  deinit { close(descriptor) }

  func send(_ bytes: [UInt8]) {
    // SAFETY: the bytes live through the call.
    _ = unsafe Glibc.send(descriptor, bytes, bytes.count, 0)
  }

  func receive() -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 2048)
    // SAFETY: the kernel writes at most as many bytes as the buffer has.
    let count = unsafe recv(descriptor, &buffer, buffer.count, 0)
    return Array(buffer.prefix(max(0, count)))
  }
}
