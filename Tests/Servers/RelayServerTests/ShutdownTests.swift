// SPDX-License-Identifier: Apache-2.0

import DERP
import HTTPTransport
import RelayServer
import Testing

@Suite("Shutdown", .timeLimit(.minutes(10)))
struct ShutdownTests {
  @Test(
    "Clients are told to come again, then disconnected, and the port is free",
    arguments: [RelayOptions.Certificate.none, .selfSigned]
  )
  func farewell(_ certificate: RelayOptions.Certificate) async throws {
    let relay = try RelayServer(options: .local(certificate), logger: quiet)
    try await relay.start()
    let endpoint = try #require(relay.endpoints.first)
    var clients = [try await TestClient(to: relay), try await TestClient(to: relay)]
    async let ended: Void = relay.shutdown()
    for index in clients.indices {
      let events = await clients[index].untilEnd()
      guard case .restarting(let reconnectIn, let tryFor) = events.first else {
        Issue.record("no word of the restart: \(events)")
        continue
      }
      #expect(reconnectIn <= .seconds(3))
      #expect(tryFor == .seconds(60))
      #expect(events.count == 1)
    }
    await ended
    try await withRelay(.local(certificate, on: endpoint)) { again in
      _ = try await TestClient(to: again)
    }
  }

  @Test("A client that takes nothing does not hold the shutdown up")
  func stuck() async throws {
    let options = RelayOptions.local().with { $0.writeTimeout = .seconds(600) }
    let relay = try RelayServer(options: options, logger: quiet)
    try await relay.start()
    var stuck = try await TestClient(to: relay)
    var other = try await TestClient(to: relay)
    while relay.counters.droppedQueueFull == 0 {
      for number in 0..<16 { try await other.send(bulk(number, size: 60_000), to: stuck.key) }
      try await other.settle()
    }
    await relay.shutdown()
    _ = await stuck.untilEnd()
  }

  @Test("Strangers do not hold the shutdown up, and nobody is let in meanwhile")
  func strangers() async throws {
    let relay = try RelayServer(options: .local(), logger: quiet)
    try await relay.start()
    let silent = try await relay.dial()
    let (stranger, _) = try await relay.dialUpgraded()
    await relay.shutdown()
    let nothing = await silent.readToEnd()
    #expect(nothing.isEmpty)
    _ = await stranger.readToEnd()
  }

  @Test("A task that runs a relay stops it when it is cancelled")
  func cancellation() async throws {
    let relay = try RelayServer(options: .local(), logger: quiet)
    let running = Task { try await relay.run() }
    while relay.endpoints.isEmpty, !Task.isCancelled { await Task.yield() }
    var client = try await TestClient(to: relay)
    running.cancel()
    _ = await client.untilEnd()
    try await running.value
    #expect(relay.endpoints.isEmpty)
  }

  @Test("A port that is taken is named, and nothing is left listening")
  func portInUse() async throws {
    try await withRelay { first in
      let taken = try #require(first.endpoints.first)
      let options = RelayOptions.local().with { $0.plainListen = [taken] }
      let second = try RelayServer(options: options, logger: quiet)
      let error = await #expect(throws: HTTPTransportError.self) { try await second.start() }
      #expect(error?.reason == .inUse)
      #expect(error?.what.contains("\(taken)") == true)
      #expect(second.endpoints.isEmpty)
    }
  }
}
