// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Foundation
import HTTPTransport
import JSON
import Keys
import Synchronization
import Testing

@testable import CoordinationServer

/// Measures the program itself with many machines; only where somebody asks for it:
/// `MARTLET_SCALE=1000 MARTLET_BIN=.build-release/bin swift test --filter ScaleTests`.
@Suite(
  "Many machines at the program",
  .enabled(if: ProcessInfo.processInfo.environment["MARTLET_SCALE"] != nil)
)
struct ScaleTests {
  private let count = Int(ProcessInfo.processInfo.environment["MARTLET_SCALE"] ?? "") ?? 1000
  private let program =
    (ProcessInfo.processInfo.environment["MARTLET_BIN"] ?? ".build-release/bin")
    + "/martlet-control"

  @Test("A change reaches every stream, and each costs little")
  func fanOut() async throws {
    OpenFiles.raiseLimit()
    let directory = NSTemporaryDirectory() + "mt-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: directory) }
    let server = try await Program(program, in: directory)
    defer { server.stop() }
    let idle = server.residentKilobytes
    let key = try await server.reusableKey()
    let arrivals = Arrivals()
    let started = ContinuousClock.now
    var clients: [TestClient] = []
    var readers: [Task<Void, any Error>] = []
    for first in stride(from: 0, to: count, by: 50) {
      let numbers = first..<min(first + 50, count)
      let joined = try await withThrowingTaskGroup(of: TestClient.self) { group in
        for number in numbers {
          group.addTask { try await join(server, as: number, with: key) }
        }
        return try await group.reduce(into: [TestClient]()) { $0.append($1) }
      }
      for (number, client) in zip(numbers, joined) {
        readers.append(Task { try await arrivals.read(client, as: number) })
      }
      clients += joined
    }
    await arrivals.rest(for: .seconds(2))
    print("joined by fifties: \(count) in \(started.duration(to: .now))")
    let loaded = server.residentKilobytes
    print("resident: idle \(idle) KB, loaded \(loaded) KB, \((loaded - idle) / count) KB a stream")
    for round in 1...5 {
      let (cpu, sent) = (server.cpuMilliseconds, ContinuousClock.now)
      arrivals.reset()
      let port = UInt16(1000 + round)
      let status = try await clients[0].update {
        $0.endpoints = [Endpoint(IPAddress(192, 0, 2, 9), port: port)]
      }
      #expect(status == 200)
      let times = await arrivals.all(count - 1, since: sent)
      print(
        "change told to \(count - 1): first \(times.first ?? .zero), median "
          + "\(times[times.count / 2]), last \(times.last ?? .zero), "
          + "\(server.cpuMilliseconds - cpu) ms of the server's processor"
      )
      await arrivals.rest(for: .seconds(1))
    }
    for reader in readers { reader.cancel() }
    let (cpu, sent) = (server.cpuMilliseconds, ContinuousClock.now)
    arrivals.reset()
    readers = clients.enumerated().map { number, client in
      Task { try await arrivals.read(client, as: number) }
    }
    let times = await arrivals.all(count, since: sent)
    print(
      "whole maps to \(count) at once: median \(times[times.count / 2]), last "
        + "\(times.last ?? .zero), \(server.cpuMilliseconds - cpu) ms of the server's processor, "
        + "at most \(server.highestKilobytes) KB resident"
    )
    for reader in readers { reader.cancel() }
  }

  private func join(
    _ server: Program,
    as number: Int,
    with key: String
  ) async throws -> TestClient {
    let client = try await TestClient("node\(number)", at: server.port, of: server.publicKey)
    let response = try await client.register(key: key)
    #expect(response.machineAuthorized)
    #expect(try await client.update() == 200)
    return client
  }
}

/// When streams received something.
private final class Arrivals: Sendable {
  private struct State {
    var first: [Int: ContinuousClock.Instant] = [:]
    var latest = ContinuousClock.now
  }

  private let state = Mutex(State())

  func read(_ client: TestClient, as number: Int) async throws {
    var request = client.mapRequest
    request.stream = true
    let response = try await client.openStream(request)
    while try await response.body.next() != nil {
      state.withLock { state in
        state.latest = .now
        if state.first[number] == nil { state.first[number] = state.latest }
      }
    }
  }

  func reset() { state.withLock { $0.first = [:] } }

  /// How long it took each of `count` streams to receive something.
  func all(_ count: Int, since start: ContinuousClock.Instant) async -> [Duration] {
    while state.withLock({ $0.first.count }) < count, !Task.isCancelled { await Task.yield() }
    return state.withLock { $0.first.values.map { start.duration(to: $0) } }.sorted()
  }

  /// Waits until nothing has come for a while.
  func rest(for duration: Duration) async {
    while state.withLock({ $0.latest.duration(to: .now) }) < duration, !Task.isCancelled {
      await Task.yield()
    }
  }
}

/// The program as another process.
private final class Program: @unchecked Sendable {
  // SAFETY: used by one test, one call after the other.
  let port: UInt16
  let publicKey: MachineKey
  private let process = Process()
  private let socket: String

  init(_ path: String, in directory: String) async throws {
    let port = UInt16.random(in: 20_000..<30_000)
    self.port = port
    socket = directory + "/control.sock"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = [
      "serve", "--listen", "127.0.0.1:\(port)", "--url", "http://127.0.0.1:\(port)", "--state",
      directory + "/state", "--socket", socket, "--log-level", "error",
    ]
    try process.run()
    while true {
      if let answer = try? await HTTPClient().request(
        "GET",
        url: "http://127.0.0.1:\(port)/key?v=138"
      ) {
        publicKey = try ServerKeys(json: try await answer.collect(upTo: 4096)).publicKey
        return
      }
    }
  }

  func stop() {
    process.terminate()
    process.waitUntilExit()
  }

  func reusableKey() async throws -> String {
    _ = try await call("user", ["name": "alice"])
    let made = try await call("preauthkey", ["user": "alice", "reusable": true])
    return try #require(made["preAuthKey"]?["key"]?.string)
  }

  private func call(_ path: String, _ body: JSONValue) async throws -> JSONValue {
    let response = try await HTTPClient().request(
      "POST",
      to: .unix(path: socket),
      path: "/api/v1/" + path,
      body: body.json
    )
    return try JSONValue(json: try await response.collect(upTo: 1 << 20))
  }

  var residentKilobytes: Int { kilobytes("VmRSS:") }
  var highestKilobytes: Int { kilobytes("VmHWM:") }

  private func kilobytes(_ name: String) -> Int {
    let text = (try? String(contentsOfFile: path("status"), encoding: .utf8)) ?? ""
    let line = text.split(separator: "\n").first { $0.hasPrefix(name) } ?? ""
    return line.split(separator: " ").compactMap { Int($0) }.first ?? 0
  }

  var cpuMilliseconds: Int {
    let text = (try? String(contentsOfFile: path("stat"), encoding: .utf8)) ?? ""
    let fields = text.split(separator: ")").last?.split(separator: " ") ?? []
    return fields.dropFirst(11).prefix(2).compactMap { Int($0) }.reduce(0, +) * 10
  }

  private func path(_ name: String) -> String { "/proc/\(process.processIdentifier)/\(name)" }
}
