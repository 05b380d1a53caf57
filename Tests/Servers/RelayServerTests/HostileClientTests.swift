// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import HTTPTransport
import Keys
import Testing

@testable import RelayServer

@Suite("Hostile clients", .timeLimit(.minutes(10)))
struct HostileClientTests {
  @Test(
    "A frame that may not be sent closes that connection only",
    arguments: [
      // A packet of 65,537 bytes, by its header alone.
      [0x04, 0x00, 0x01, 0x00, 0x21],
      // A packet without a whole key.
      [0x04, 0, 0, 0, 31],
      // More than any frame may have, known and unknown.
      [0x04, 0xFF, 0xFF, 0xFF, 0xFF],
      [0x77, 0x00, 0x10, 0x00, 0x01],
      // Pings that are too short and too long.
      [0x12, 0, 0, 0, 7],
      [0x12, 0, 0, 0x03, 0xE9],
      // A choice of home with two bytes.
      [0x07, 0, 0, 0, 2, 1, 1],
      // What only relays of one mesh may say.
      [0x10, 0, 0, 0, 0],
      Frame.closePeer(someKey().publicKey).bytes,
      Frame.forwardPacket(from: someKey().publicKey, to: someKey().publicKey, [1]).bytes,
    ] as [[UInt8]]
  )
  func violation(_ bytes: [UInt8]) async throws {
    try await withRelay { relay in
      var villain = try await TestClient(to: relay)
      var alice = try await TestClient(to: relay)
      try await villain.say(bytes)
      let last = await villain.untilEnd()
      #expect(last.isEmpty)
      try await alice.send([1], to: alice.key)
      try await alice.expect([1], from: alice.key)
    }
  }

  @Test("Frames that are unknown, or only relays send, are passed over")
  func passedOver() async throws {
    try await withRelay { relay in
      var alice = try await TestClient(to: relay)
      let bytes =
        [0x7F, 0, 0, 0, 3, 1, 2, 3] + Frame.keepAlive.bytes + Frame.health("ill").bytes
        + Frame.receivePacket(from: alice.key, [9, 9]).bytes
      try await alice.say(bytes)
      try await alice.settle()
      #expect(alice.events.isEmpty)
    }
  }

  @Test("Nobody can send in another's name, nor reach another's connection by a forwarded packet")
  func forgedSource() async throws {
    try await withRelay { relay in
      var villain = try await TestClient(to: relay)
      var alice = try await TestClient(to: relay)
      let victim = try await TestClient(to: relay)
      try await villain.send([1], to: alice.key)
      try await alice.expect([1], from: villain.key)
      try await villain.say(Frame.forwardPacket(from: victim.key, to: alice.key, [2]).bytes)
      _ = await villain.untilEnd()
      try await alice.settle()
      #expect(alice.events == [.peerGone(villain.key, .disconnected)])
      #expect(relay.counters.violations == 1)
    }
  }

  @Test("A reader that is slow loses the oldest data, and no discovery message")
  func slowReader() async throws {
    let options = RelayOptions.local().with { $0.writeTimeout = .seconds(600) }
    try await withRelay(options) { relay in
      var slow = try await TestClient(to: relay)
      var fast = try await TestClient(to: relay)
      var sent = 0
      // Until the buffers on the way are full and a hundred packets fell off.
      while relay.counters.droppedQueueFull < 100, sent < 4000 {
        for _ in 0..<16 {
          try await fast.send(bulk(sent, size: 60_000), to: slow.key)
          sent += 1
        }
        try await fast.settle()
      }
      for number in 0..<8 { try await fast.send(disco(UInt8(number)), to: slow.key) }
      try await fast.send(bulk(sent, size: 60_000), to: slow.key)
      try await fast.settle()
      var numbers: [Int] = []
      var messages: [[UInt8]] = []
      while numbers.last != sent || messages.count < 8 {
        guard case .packet(fast.key, let packet) = try await slow.next() else {
          Issue.record("the slow reader was cut off")
          return
        }
        if let number = number(of: packet) {
          numbers.append(number)
        } else {
          messages.append(packet)
        }
      }
      #expect(messages == (0..<8).map { disco($0) })
      #expect(numbers == numbers.sorted())
      #expect(numbers.count + relay.counters.droppedQueueFull == sent + 1)
    }
  }

  @Test("A reader that takes nothing any more is cut off, and who heard from it is told")
  func stuckReader() async throws {
    let options = RelayOptions.local().with { $0.writeTimeout = .milliseconds(100) }
    try await withRelay(options) { relay in
      var stuck = try await TestClient(to: relay)
      var other = try await TestClient(to: relay)
      try await stuck.send([1], to: other.key)
      try await other.expect([1], from: stuck.key)
      for number in 0..<1000 { try await other.send(bulk(number, size: 60_000), to: stuck.key) }
      let event = try await other.next()
      #expect(event == .peerGone(stuck.key, .disconnected))
    }
  }

  @Test("While one client floods, others lose nothing, also to the same receiver")
  func flood() async throws {
    try await withRelay { relay in
      var alice = try await TestClient(to: relay)
      var bob = try await TestClient(to: relay)
      let sink = try await TestClient(to: relay)
      let villain = try await TestClient(to: relay)
      let train = (0..<64).flatMap { number in
        Frame.sendPacket(to: sink.key, bulk(number)).bytes
          + Frame.sendPacket(to: bob.key, bulk(number)).bytes
      }
      let flooding = Task { while !Task.isCancelled { try await villain.say(train) } }
      for number in 0..<200 {
        let packet = [UInt8](repeating: UInt8(number), count: 100)
        try await alice.send(packet, to: bob.key)
        while let event = try await bob.next(), event != .packet(from: alice.key, packet) {
          guard case .packet(villain.key, _) = event else {
            Issue.record("an unexpected event: \(event)")
            return
          }
        }
      }
      flooding.cancel()
      villain.stream.abort()
      _ = await flooding.result
    }
  }

  /// Closed before or after the client noticed that it was open.
  private func expectRefusal(by relay: RelayServer) async {
    let before = relay.refusedConnections
    if let refused = try? await relay.dial() {
      let nothing = await refused.readToEnd()
      #expect(nothing.isEmpty)
    }
    #expect(relay.refusedConnections == before + 1)
  }

  @Test("More connections than allowed are refused, and room is made by those who leave")
  func connectionLimit() async throws {
    let options = RelayOptions.local().with { $0.maximumConnections = 3 }
      .with { $0.maximumConnectionsPerAddress = 3 }
    try await withRelay(options) { relay in
      var clients: [TestClient] = []
      for _ in 0..<3 { clients.append(try await TestClient(to: relay)) }
      await expectRefusal(by: relay)
      clients[0].stream.abort()
      var newcomer: TestClient?
      // The relay learns of the departure in its own time.
      while newcomer == nil { newcomer = try? await TestClient(to: relay) }
      #expect(relay.counters.clients == 3)
    }
  }

  @Test("One address may not take every connection")
  func addressLimit() async throws {
    let options = RelayOptions.local().with { $0.maximumConnectionsPerAddress = 2 }
    try await withRelay(options) { relay in
      let first = try await TestClient(to: relay)
      _ = try await TestClient(to: relay)
      await expectRefusal(by: relay)
      first.stream.abort()
      var newcomer: TestClient?
      while newcomer == nil { newcomer = try? await TestClient(to: relay) }
    }
  }

  @Test("Connections that come too fast are closed at once")
  func acceptLimit() async throws {
    let options = RelayOptions.local().with { $0.acceptsPerSecond = 1 }
    try await withRelay(options) { relay in
      _ = try await relay.dial()
      while relay.refusedConnections == 0 {
        // Closed before or after the client noticed that it was open.
        if let stream = try? await relay.dial() { stream.abort() }
      }
    }
  }

  @Test("Damaged sessions neither crash the relay nor disturb the others")
  func damage() async throws {
    try await withRelay { relay in
      var alice = try await TestClient(to: relay)
      var generator = Entropy(seed: 20_260_401)
      var system = Entropy.system
      for round in 0..<100 {
        let key = someKey()
        let box = NaClBox(privateKey: key.bytes, publicKey: relay.publicKey.bytes)
        let sealed = box.seal(ClientInfo().json, using: &system)
        let introduction = Frame.clientInfo(key.publicKey, sealed: sealed).bytes
        var rest =
          Frame.notePreferred(true).bytes + Frame.sendPacket(to: alice.key, disco(1)).bytes
          + Frame.ping(7).bytes + Frame.sendPacket(to: key.publicKey, bulk(1)).bytes
        for _ in 0..<Int.random(in: 1...6, using: &generator) {
          rest[Int.random(in: 0..<rest.count, using: &generator)] = UInt8.random(
            in: 0...255,
            using: &generator
          )
        }
        let stream = try await relay.dial()
        try await stream.write(fastStartRequest + introduction + rest)
        if round.isMultiple(of: 2) { stream.abort() } else { await stream.close() }
      }
      try await alice.settle()
      var probe = try await TestClient(to: relay)
      try await probe.send([1, 2], to: probe.key)
      try await probe.expect([1, 2], from: probe.key)
    }
  }
}
