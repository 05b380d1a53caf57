// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import Keys
import Testing
import Timing

@Suite struct RelaySwitchTests {
  let start = Instant(nanoseconds: 1_000_000_000)
  let alice = someKey(1).publicKey
  let bob = someKey(2).publicKey
  let carol = someKey(3).publicKey
  let disco = [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC] + [UInt8](repeating: 0, count: 60)

  private struct Relay {
    var core = RelaySwitch(entropy: Entropy(seed: 5))
    var effects = RelaySwitch.Effects()
    var now: Instant

    mutating func add(_ key: NodeKey) -> RelaySwitch.ClientID {
      core.add(key, at: now, into: &effects)
    }

    mutating func send(
      _ packet: [UInt8],
      from id: RelaySwitch.ClientID,
      to key: NodeKey
    ) {
      core.receive(.sendPacket(to: key, packet), from: id, at: now, into: &effects)
    }

    mutating func received(
      by id: RelaySwitch.ClientID,
      limit: Int = .max
    ) throws -> [Frame] {
      var output: [UInt8] = []
      _ = core.takeOutput(of: id, upTo: limit, into: &output)
      var decoder = FrameDecoder(for: .client)
      decoder.append(output)
      var frames: [Frame] = []
      while let frame = try decoder.next() { frames.append(frame) }
      return frames
    }
  }

  private func relay() -> Relay { Relay(now: start) }

  @Test("A packet reaches the client of its key, from the key of its sender")
  func forwarding() throws {
    var relay = relay()
    let (a, b) = (relay.add(alice), relay.add(bob))
    relay.send([1, 2, 3], from: a, to: bob)
    #expect(relay.effects.ready == [b])
    let frames = try relay.received(by: b)
    #expect(frames == [.receivePacket(from: alice, [1, 2, 3])])
    let nothing = try relay.received(by: a)
    #expect(nothing.isEmpty)
    #expect(relay.core.counters.packetsSent == 1)
  }

  @Test("A client with output is told once until all of it is taken")
  func announcements() throws {
    var relay = relay()
    let (a, b) = (relay.add(alice), relay.add(bob))
    for _ in 0..<3 { relay.send([UInt8](repeating: 0, count: 100), from: a, to: bob) }
    #expect(relay.effects.ready == [b])
    var output: [UInt8] = []
    let more = relay.core.takeOutput(of: b, upTo: 120, into: &output)
    #expect(more)
    relay.effects.removeAll()
    relay.send([1], from: a, to: bob)
    #expect(relay.effects.ready.isEmpty)
    output = []
    let rest = relay.core.takeOutput(of: b, upTo: .max, into: &output)
    #expect(!rest)
    relay.send([1], from: a, to: bob)
    #expect(relay.effects.ready == [b])
  }

  @Test("A full queue drops the oldest")
  func dropOldest() throws {
    var relay = relay()
    let (a, b) = (relay.add(alice), relay.add(bob))
    for number in 0..<40 { relay.send([UInt8(number)], from: a, to: bob) }
    let frames = try relay.received(by: b)
    #expect(frames == (8..<40).map { .receivePacket(from: alice, [$0]) })
    #expect(relay.core.counters.droppedQueueFull == 8)
  }

  @Test("Large packets fill a queue by their bytes, and a queue always takes the newest")
  func boundedBytes() throws {
    var relay = relay()
    let (a, b) = (relay.add(alice), relay.add(bob))
    let large = [UInt8](repeating: 7, count: Frame.maximumPacketSize)
    for _ in 0..<10 { relay.send(large, from: a, to: bob) }
    relay.send([1], from: a, to: bob)
    let frames = try relay.received(by: b)
    #expect(frames.count == 4)
    #expect(frames.last == .receivePacket(from: alice, [1]))
    #expect(relay.core.counters.droppedQueueFull == 7)
  }

  @Test("A sender that floods pushes out its own packets, nobody else's")
  func floodHurtsItself() throws {
    var relay = relay()
    let (a, b, c) = (relay.add(alice), relay.add(bob), relay.add(carol))
    for number in 0..<10 { relay.send([UInt8(number)], from: c, to: bob) }
    for _ in 0..<5000 { relay.send([0xFF], from: a, to: bob) }
    let quiet = try relay.received(by: b).filter {
      if case .receivePacket(carol, _) = $0 { true } else { false }
    }
    #expect(quiet == (0..<10).map { .receivePacket(from: carol, [$0]) })
  }

  @Test("Discovery messages wait in a queue of their own and take turns with the rest")
  func discoApart() throws {
    var relay = relay()
    let (a, b) = (relay.add(alice), relay.add(bob))
    relay.send(disco, from: a, to: bob)
    for _ in 0..<100 { relay.send([0xFF], from: a, to: bob) }
    let frames = try relay.received(by: b)
    #expect(frames.first == .receivePacket(from: alice, disco))
    #expect(frames.count == 33)
  }

  @Test("Only a discovery message for somebody who is not here is answered, three at once")
  func notHere() throws {
    var relay = relay()
    let a = relay.add(alice)
    relay.send([1, 2, 3], from: a, to: bob)
    for _ in 0..<10 { relay.send(disco, from: a, to: bob) }
    let frames = try relay.received(by: a)
    #expect(frames == [Frame](repeating: .peerGone(bob, .notHere), count: 3))
    relay.now = start + .seconds(1)
    relay.send(disco, from: a, to: bob)
    let later = try relay.received(by: a)
    #expect(later == [.peerGone(bob, .notHere)])
    #expect(relay.core.counters.droppedUnknownDestination == 12)
  }

  @Test("Who heard from a client is told when it leaves, once, and nobody else is")
  func departures() throws {
    var relay = relay()
    let (a, b, c) = (relay.add(alice), relay.add(bob), relay.add(carol))
    relay.send([1], from: a, to: bob)
    relay.send([2], from: a, to: bob)
    _ = try relay.received(by: b)
    relay.core.remove(a, at: start, into: &relay.effects)
    relay.core.remove(a, at: start, into: &relay.effects)
    let told = try relay.received(by: b)
    let untold = try relay.received(by: c)
    #expect(told == [.peerGone(alice, .disconnected)])
    #expect(untold.isEmpty)
    #expect(relay.core.counters.clients == 2)
  }

  @Test("When a client connects again its older connection is closed and nobody hears of it")
  func replacement() throws {
    var relay = relay()
    let (a, b) = (relay.add(alice), relay.add(bob))
    relay.send([1], from: a, to: bob)
    _ = try relay.received(by: b)
    let again = relay.add(alice)
    #expect(relay.effects.close.map(\.reason) == [.replaced])
    relay.core.remove(a, at: start, into: &relay.effects)
    let silence = try relay.received(by: b)
    #expect(silence.isEmpty)
    relay.send([9], from: b, to: alice)
    relay.send([9], from: a, to: bob)
    let new = try relay.received(by: again)
    let old = try relay.received(by: a)
    #expect(new == [.receivePacket(from: bob, [9])])
    #expect(old.isEmpty)
    relay.core.remove(again, at: start, into: &relay.effects)
    let gone = try relay.received(by: b)
    #expect(gone == [.peerGone(alice, .disconnected)])
  }

  @Test("One pong waits at a time; a ping on top of it is ignored")
  func pings() throws {
    var relay = relay()
    let a = relay.add(alice)
    relay.core.receive(.ping(1), from: a, at: start, into: &relay.effects)
    relay.core.receive(.ping(2), from: a, at: start, into: &relay.effects)
    let frames = try relay.received(by: a)
    #expect(frames == [.pong(1)])
    #expect(relay.core.counters.ignoredPings == 1)
  }

  @Test("Every client gets a sign of life each minute, within five seconds of it")
  func keepAlives() throws {
    var relay = relay()
    let (a, b) = (relay.add(alice), relay.add(bob))
    relay.core.handleTimeouts(at: start + .seconds(59), into: &relay.effects)
    #expect(relay.effects.ready.isEmpty)
    relay.core.handleTimeouts(at: start + .seconds(65), into: &relay.effects)
    #expect(relay.effects.ready == [a, b])
    let frames = try relay.received(by: a)
    #expect(frames == [.keepAlive])
    relay.effects.removeAll()
    relay.core.handleTimeouts(at: start + .seconds(120), into: &relay.effects)
    #expect(relay.effects.ready.isEmpty)
  }

  @Test("A frame of the mesh from a client closes its connection")
  func violations() {
    for frame in [
      Frame.watchConnections, .closePeer(bob), .forwardPacket(from: bob, to: alice, []),
    ] {
      var relay = relay()
      let a = relay.add(alice)
      relay.core.receive(frame, from: a, at: start, into: &relay.effects)
      #expect(relay.effects.close.map(\.reason) == [.violation])
    }
  }

  @Test("The count of home clients follows what they say and their leaving")
  func home() {
    var relay = relay()
    let a = relay.add(alice)
    for isHome in [true, true, false, true] {
      relay.core.receive(.notePreferred(isHome), from: a, at: start, into: &relay.effects)
    }
    #expect(relay.core.counters.homeClients == 1)
    relay.core.remove(a, at: start, into: &relay.effects)
    #expect(relay.core.counters.homeClients == 0)
  }

  @Test("A random session ends with every packet counted as sent, dropped or waiting")
  func accounting() throws {
    var relay = relay()
    var entropy = Entropy(seed: 99)
    let keys = (1...8).map { someKey($0).publicKey }
    var here: [NodeKey: RelaySwitch.ClientID] = [:]
    for _ in 0..<20_000 {
      let key = keys[Int.random(in: 0..<8, using: &entropy)]
      let other = keys[Int.random(in: 0..<8, using: &entropy)]
      switch (Int.random(in: 0..<20, using: &entropy), here[key]) {
      case (0, let id?):
        relay.core.remove(id, at: relay.now, into: &relay.effects)
        here[key] = nil
      case (_, nil): here[key] = relay.add(key)
      case (1...3, let id?): _ = try relay.received(by: id, limit: 200)
      case (_, let id?):
        let packet = Bool.random(using: &entropy) ? disco : [1, 2, 3]
        relay.send(packet, from: id, to: other)
      }
      relay.effects.removeAll()
    }
    for id in here.values { relay.core.remove(id, at: relay.now, into: &relay.effects) }
    let counters = relay.core.counters
    #expect(
      counters.packetsReceived
        == counters.packetsSent + counters.droppedGone + counters.droppedQueueFull
        + counters.droppedUnknownDestination
    )
    #expect(counters.clients == 0)
  }
}
