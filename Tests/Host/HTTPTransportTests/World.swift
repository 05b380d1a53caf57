// SPDX-License-Identifier: Apache-2.0

import Addressing
import Foundation
import Synchronization
import Testing

@testable import HTTPTransport

/// Servers, raw clients and files that several tests begin with.
enum World {
  static let loopback = Endpoint(IPAddress(127, 0, 0, 1), port: 0)

  /// Whether servers use loops of our own instead of NIO.
  @TaskLocal static var isOnLoops = false

  /// Answers with what was asked: `POST /path 5`.
  static let echo: HTTPHandler = { request in
    HTTPResponse(
      status: 200,
      headers: ["Content-Type": "text/plain"],
      body: .bytes(Array("\(request.method) \(request.path) \(request.body.count)\n".utf8))
    )
  }

  /// Limits that no busy machine reaches: only tests of a limit run into one.
  static let patient: HTTPLimits = {
    var limits = HTTPLimits()
    (limits.headerTimeout, limits.bodyTimeout) = (.seconds(600), .seconds(600))
    (limits.idleTimeout, limits.writeTimeout) = (.seconds(600), .seconds(600))
    return limits
  }()

  /// Runs `body` while a server listens on a port of its own.
  @discardableResult
  static func withServer<Result>(
    limits: HTTPLimits = patient,
    tls: TLSServerSettings? = nil,
    handler: @escaping HTTPHandler = echo,
    _ body: (HTTPServer, UInt16) async throws -> Result
  ) async throws -> Result {
    var limits = limits
    limits.expectsThousands = isOnLoops
    let server = try await HTTPServer.start(
      on: [.tcp(loopback)],
      tls: tls,
      limits: limits,
      handler: handler
    )
    do {
      let port = try #require(server.endpoints.first).port
      let result = try await body(server, port)
      await server.shutdown()
      return result
    } catch {
      await server.shutdown()
      throw error
    }
  }

  static func dial(_ port: UInt16, tls: TLSClientSettings? = nil) async throws -> ByteStream {
    try await Dialer().dial(host: "127.0.0.1", port: port, tls: tls)
  }

  /// Sends `bytes` as they are and returns all that comes until the other side closes.
  static func exchange(_ bytes: [UInt8], port: UInt16) async throws -> String {
    let stream = try await dial(port)
    // The server may have refused and closed before it took everything.
    try? await stream.write(bytes)
    return String(decoding: await readAll(stream), as: UTF8.self)
  }

  static func exchange(_ text: String, port: UInt16) async throws -> String {
    try await exchange(Array(text.utf8), port: port)
  }

  /// Everything until the end, orderly or not.
  static func readAll(_ stream: ByteStream) async -> [UInt8] {
    var all: [UInt8] = []
    while let piece = try? await stream.read() { all += piece }
    return all
  }

  /// At least `count` bytes.
  static func read(_ count: Int, from stream: ByteStream) async throws -> [UInt8] {
    var all: [UInt8] = []
    while all.count < count {
      guard let piece = try await stream.read() else {
        throw HTTPTransportError(.closed, "only \(all.count) of \(count) bytes came")
      }
      all += piece
    }
    return all
  }

  /// Runs `body` with what listens on a port and hands each connection to `serve`.
  @discardableResult
  static func withListener<Result>(
    tls: TLSServerSettings? = nil,
    limits: HTTPLimits = patient,
    serve: @escaping @Sendable (ByteStream) async -> Void,
    during body: (UInt16) async throws -> Result
  ) async throws -> Result {
    let listener = try await Listener.start(
      on: [.tcp(loopback)],
      tls: tls,
      limits: limits,
      serve: serve
    )
    do {
      let port = try #require(listener.endpoints.first).port
      let result = try await body(port)
      await listener.shutdown()
      return result
    } catch {
      await listener.shutdown()
      throw error
    }
  }

  /// The statuses of the answers in what a server sent.
  static func statuses(_ text: String) -> [Int] {
    text.components(separatedBy: "HTTP/1.1 ").dropFirst().compactMap { Int($0.prefix(3)) }
  }

  static func certificate(_ name: String) -> String {
    URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "../../../Fixtures/Certificates/\(name)").standardized.path
  }

  static func text(_ name: String) throws -> String {
    try String(contentsOfFile: certificate(name), encoding: .utf8)
  }

  /// A path for a unix socket, short enough for any system.
  static func socketPath() -> String {
    "/tmp/mt-\(UInt32.random(in: 0...UInt32.max)).sock"
  }
}

/// Something that happens once, and those who wait for it.
final class Signal: Sendable {
  private struct State {
    var isSet = false
    var waiters: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())

  func set() {
    let waiters = state.withLock { state in
      state.isSet = true
      defer { state.waiters = [] }
      return state.waiters
    }
    for waiter in waiters { waiter.resume() }
  }

  func wait() async {
    await withCheckedContinuation { continuation in
      let isSet = state.withLock { state in
        if !state.isSet { state.waiters.append(continuation) }
        return state.isSet
      }
      if isSet { continuation.resume() }
    }
  }
}

/// A number that several tasks change.
final class Counter: Sendable {
  private let count = Mutex(0)

  var value: Int { count.withLock { $0 } }

  @discardableResult
  func add(_ amount: Int = 1) -> Int {
    count.withLock { count in
      count += amount
      return count
    }
  }
}

/// Runs every test of a suite twice: with servers on NIO, and on loops of our own.
struct OnBothCarriers: SuiteTrait, TestTrait, TestScoping {
  let isRecursive = true

  func scopeProvider(for test: Test, testCase: Test.Case?) -> OnBothCarriers? {
    testCase == nil ? nil : self
  }

  @concurrent func provideScope(
    for test: Test,
    testCase: Test.Case?,
    performing function: @concurrent @Sendable () async throws -> Void
  ) async throws {
    try await World.$isOnLoops.withValue(false, operation: function)
    try await World.$isOnLoops.withValue(true, operation: function)
  }
}

extension Trait where Self == OnBothCarriers {
  static var onBothCarriers: OnBothCarriers { OnBothCarriers() }
}
