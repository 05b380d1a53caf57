// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import HTTPTransport
import HostIO
import Keys
import Testing
import Timing

@testable import RelayServer

@Suite("Exchange", .timeLimit(.minutes(10)))
struct ExchangeTests {
  @Test(
    "Two clients exchange packets of every size",
    arguments: [RelayOptions.Certificate.none, .selfSigned]
  )
  func exchange(_ certificate: RelayOptions.Certificate) async throws {
    try await withRelay(.local(certificate)) { relay in
      var alice = try await TestClient(to: relay)
      var bob = try await TestClient(to: relay)
      for size in [0, 1, 61, 1400, 9000, 65_535, Frame.maximumPacketSize] {
        let packet = [UInt8](repeating: UInt8(truncatingIfNeeded: size), count: size)
        try await alice.send(packet, to: bob.key)
        try await bob.expect(packet, from: alice.key)
        try await bob.send(packet, to: alice.key)
        try await alice.expect(packet, from: bob.key)
      }
      // A packet is counted right after it was handed over.
      while relay.counters.packetsSent < 14, !Task.isCancelled { await Task.yield() }
      #expect(relay.counters.packetsSent == 14)
    }
  }

  @Test("Whoever has its welcome can be reached at once")
  func reachableAtOnce() async throws {
    try await withRelay(.local(.none)) { relay in
      var alice = try await TestClient(to: relay)
      for number in 0..<100 {
        var bob = try await TestClient(to: relay)
        try await alice.send(bulk(number), to: bob.key)
        try await alice.settle()
        #expect(relay.counters.droppedUnknownDestination == 0)
        guard relay.counters.droppedUnknownDestination == 0 else { return }
        try await bob.expect(bulk(number), from: alice.key)
        await bob.stream.close()
      }
    }
  }

  @Test("Over IPv6 it is the same")
  func overIPv6() async throws {
    let v6 = try Endpoint(#require(IPAddress("::1")), port: 0)
    try await withRelay(.local(.selfSigned, on: v6, hostname: "::1")) { relay in
      var alice = try await TestClient(to: relay)
      var bob = try await TestClient(to: relay)
      try await alice.send([6], to: bob.key)
      try await bob.expect([6], from: alice.key)
    }
  }

  @Test("Both families share a port, and IPv4 clients are seen as such")
  func bothFamilies() async throws {
    let any = [IPAddress(0, 0, 0, 0), try #require(IPAddress("::"))]
    try await withRelay { probe in
      let port = try #require(probe.endpoints.first).port
      await probe.shutdown()
      let options = RelayOptions(
        listen: any.map { Endpoint($0, port: port) },
        stun: any.map { Endpoint($0, port: port) },
        hostname: "relay",
        certificate: .none,
        admits: { _, from in from?.address.isV4 == true }
      )
      try await withRelay(options) { relay in
        #expect(relay.endpoints.count == 2)
        let client = try await Dialer().dial(host: "127.0.0.1", port: port)
        _ = try await TestClient(over: client, serverKey: nil, saying: fastStartRequest)
        let other = try await Dialer().dial(host: "::1", port: port)
        await #expect(throws: (any Error).self) {
          try await TestClient(over: other, serverKey: nil, saying: fastStartRequest)
        }
      }
    }
  }

  @Test("A packet for somebody who is not here is told only where it is a discovery message")
  func notHere() async throws {
    try await withRelay { relay in
      var alice = try await TestClient(to: relay)
      let nobody = someKey().publicKey
      try await alice.send(bulk(1), to: nobody)
      try await alice.send(disco(1), to: nobody)
      let event = try await alice.next()
      #expect(event == .peerGone(nobody, .notHere))
      #expect(relay.counters.droppedUnknownDestination == 2)
    }
  }

  @Test("Who heard from a client is told when it leaves")
  func departure() async throws {
    try await withRelay { relay in
      var alice = try await TestClient(to: relay)
      var bob = try await TestClient(to: relay)
      var carol = try await TestClient(to: relay)
      try await alice.send([1], to: bob.key)
      try await bob.expect([1], from: alice.key)
      alice.stream.abort()
      let event = try await bob.next()
      #expect(event == .peerGone(alice.key, .disconnected))
      try await carol.settle()
      #expect(carol.events.isEmpty)
      #expect(relay.counters.clients == 2)
    }
  }

  @Test("Pings are answered with the same eight bytes; longer ones are tolerated")
  func pings() async throws {
    try await withRelay { relay in
      var alice = try await TestClient(to: relay)
      try await alice.say([0x12, 0, 0, 0, 9, 1, 2, 3, 4, 5, 6, 7, 8, 99])
      let event = try await alice.next()
      #expect(event == .pong(0x0102_0304_0506_0708))
    }
  }

  @Test("A client that comes again gets the packets, until its older connection speaks")
  func duplicates() async throws {
    try await withRelay { relay in
      let key = someKey()
      var older = try await TestClient(to: relay, as: key)
      var newer = try await TestClient(to: relay, as: key)
      var other = try await TestClient(to: relay)
      try await other.send([1], to: key.publicKey)
      try await newer.expect([1], from: other.key)
      try await older.settle()
      try await other.send([2], to: key.publicKey)
      try await older.expect([2], from: other.key)
      older.stream.abort()
      try await newer.settle()
      try await other.send([3], to: key.publicKey)
      try await newer.expect([3], from: other.key)
      #expect(relay.counters.duplicates == 1)
      #expect(newer.events.isEmpty)
    }
  }

  @Test("Every client gets a sign of life within 65 seconds, whatever else happens")
  func keepAlive() async throws {
    try await withRelay { relay in
      let alice = try await TestClient(to: relay)
      relay.core.handleTimeouts(at: MonotonicClock.now() + .seconds(65))
      let bytes = try await alice.stream.read(atLeast: 5)
      #expect(bytes == Frame.keepAlive.bytes)
    }
  }

  @Test("A client's pongs and its choice of home are taken without an answer")
  func silentFrames() async throws {
    try await withRelay { relay in
      var alice = try await TestClient(to: relay, isHome: true)
      try await alice.say(Frame.pong(1).bytes)
      try await alice.settle()
      #expect(relay.counters.homeClients == 1)
      try await alice.say(Frame.notePreferred(false).bytes)
      try await alice.settle()
      #expect(relay.counters.homeClients == 0)
      #expect(alice.events.isEmpty)
    }
  }
}
