// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import HTTPTransport
import HostIO
import Keys
import Testing
import Timing

@testable import RelayServer

@Suite("Mesh of relays", .timeLimit(.minutes(10)))
struct MeshOfRelaysTests {
  private let secret = MeshKey(String(repeating: "ab", count: 32))

  private func options(_ secret: MeshKey?) -> RelayOptions {
    RelayOptions.local(.selfSigned).with { $0.meshKey = secret }
  }

  private func place(of relay: RelayServer) throws -> MeshPeer {
    let endpoint = try #require(relay.endpoints.first)
    return MeshPeer(
      host: endpoint.address.description,
      port: endpoint.port,
      pin: relay.certificateSHA256
    )
  }

  private func join(_ one: RelayServer, _ two: RelayServer) throws {
    one.mesh(with: try place(of: two), retryingAfter: .milliseconds(10))
    two.mesh(with: try place(of: one), retryingAfter: .milliseconds(10))
  }

  /// Waits until a relay knows the way to a client, then sends it a packet.
  private func meet(
    _ sender: inout TestClient,
    at relay: RelayServer,
    _ receiver: inout TestClient
  ) async throws {
    while !relay.core.switchboard.reaches(receiver.key), !Task.isCancelled { await Task.yield() }
    try await sender.send(disco(1), to: receiver.key)
    try await receiver.expect(disco(1), from: sender.key)
  }

  @Test("Clients of two relays exchange packets both ways, once each, and hear of departures")
  func exchange() async throws {
    try await withRelay(options(secret)) { one in
      try await withRelay(options(secret)) { two in
        try join(one, two)
        var alice = try await TestClient(to: one)
        var bob = try await TestClient(to: two)
        try await meet(&alice, at: one, &bob)
        try await meet(&bob, at: two, &alice)
        for number in 0..<100 {
          try await alice.send(bulk(number), to: bob.key)
          try await bob.expect(bulk(number), from: alice.key)
        }
        alice.stream.abort()
        let event = try await bob.next()
        #expect(event == .peerGone(alice.key, .disconnected))
      }
    }
  }

  @Test("A relay that comes back is meshed with again")
  func partition() async throws {
    try await withRelay(options(secret)) { one in
      var alice = try await TestClient(to: one)
      let first = try RelayServer(options: options(secret), logger: quiet)
      try await first.start()
      try join(one, first)
      var bob = try await TestClient(to: first)
      try await meet(&alice, at: one, &bob)
      await first.shutdown()
      try await withRelay(options(secret)) { second in
        try join(one, second)
        var carol = try await TestClient(to: second)
        try await meet(&alice, at: one, &carol)
      }
    }
  }

  @Test("Whoever claims to be of the mesh without its secret is a client like others")
  func claims() async throws {
    for claimed in [MeshKey(String(repeating: "cd", count: 32)), nil] {
      try await withRelay(options(secret)) { relay in
        var stranger = try await TestClient(
          to: relay,
          info: ClientInfo(meshKey: claimed)
        )
        try await stranger.say(Frame.watchConnections.bytes)
        let events = await stranger.untilEnd()
        #expect(events.isEmpty)
        #expect(relay.counters.violations == 1)
      }
    }
  }
}
