// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Testing
import Timing

@testable import DERP

@Suite("Switchboard") struct SwitchboardTests {
  let alice = someKey(1).publicKey
  let bob = someKey(2).publicKey
  let carol = someKey(3).publicKey

  @Test("A packet reaches the client of its key, from the key of its sender")
  func forwarding() throws {
    let relay = RelayWorld()
    let (a, b) = (relay.add(alice), relay.add(bob))
    try a.send([1, 2, 3], to: bob)
    #expect(b.wakes == 1)
    #expect(try b.received() == [.receivePacket(from: alice, [1, 2, 3])])
    #expect(try a.received().isEmpty)
    #expect(relay.board.counters.packetsSent == 1)
  }

  @Test("A client may send to itself")
  func toItself() throws {
    let relay = RelayWorld()
    let a = relay.add(alice)
    try a.send([1], to: alice)
    #expect(try a.received() == [.receivePacket(from: alice, [1])])
  }

  @Test("A client with output is told once until all of it is taken")
  func announcements() throws {
    let relay = RelayWorld()
    let (a, b) = (relay.add(alice), relay.add(bob))
    for _ in 0..<3 { try a.send([UInt8](repeating: 0, count: 100), to: bob) }
    _ = try b.received(limit: 120)
    try a.send([1], to: bob)
    #expect(b.wakes == 1)
    _ = try b.received()
    try a.send([1], to: bob)
    #expect(b.wakes == 2)
  }

  @Test("A full queue drops the oldest")
  func dropOldest() throws {
    let relay = RelayWorld()
    let (a, b) = (relay.add(alice), relay.add(bob))
    for number in 0..<40 { try a.send([UInt8(number)], to: bob) }
    #expect(try b.received() == (8..<40).map { .receivePacket(from: alice, [$0]) })
    let dropped = relay.board.counters.dropped
    #expect(dropped.packets(for: .queueFull, isDisco: false) == 8)
    #expect(dropped.bytes(for: .queueFull, isDisco: false) == 8)
    #expect(dropped.packets(for: .queueFull, isDisco: true) == 0)
  }

  @Test("Large packets fill a queue by their bytes, and a queue always takes the newest")
  func boundedBytes() throws {
    let relay = RelayWorld()
    let (a, b) = (relay.add(alice), relay.add(bob))
    let large = [UInt8](repeating: 7, count: Frame.maximumPacketSize)
    for _ in 0..<10 { try a.send(large, to: bob) }
    try a.send([1], to: bob)
    let frames = try b.received()
    #expect(frames.count == 4)
    #expect(frames.last == .receivePacket(from: alice, [1]))
    #expect(relay.board.counters.droppedQueueFull == 7)
  }

  @Test("A sender that floods pushes out its own packets, nobody else's")
  func floodHurtsItself() throws {
    let relay = RelayWorld()
    let (a, b, c) = (relay.add(alice), relay.add(bob), relay.add(carol))
    for number in 0..<10 { try c.send([UInt8(number)], to: bob) }
    for _ in 0..<5000 { try a.send([0xFF], to: bob) }
    let quiet = try b.received().filter {
      if case .receivePacket(carol, _) = $0 { true } else { false }
    }
    #expect(quiet == (0..<10).map { .receivePacket(from: carol, [$0]) })
  }

  @Test("Discovery messages wait in a queue of their own and take turns with the rest")
  func discoApart() throws {
    let relay = RelayWorld()
    let (a, b) = (relay.add(alice), relay.add(bob))
    try a.send(discoPacket, to: bob)
    for _ in 0..<100 { try a.send([0xFF], to: bob) }
    let frames = try b.received()
    #expect(frames.first == .receivePacket(from: alice, discoPacket))
    #expect(frames.count == 33)
  }

  @Test("Only a discovery message for somebody who is not here is answered, three at once")
  func notHere() throws {
    let relay = RelayWorld()
    let a = relay.add(alice)
    try a.send([1, 2, 3], to: bob)
    for _ in 0..<10 { try a.send(discoPacket, to: bob) }
    #expect(try a.received() == [Frame](repeating: .peerGone(bob, .notHere), count: 3))
    relay.now = relay.now + .seconds(1)
    try a.send(discoPacket, to: bob)
    #expect(try a.received() == [.peerGone(bob, .notHere)])
    #expect(relay.board.counters.droppedUnknownDestination == 12)
  }

  @Test("Who heard from a client is told when it leaves, once, and nobody else is")
  func departures() throws {
    let relay = RelayWorld()
    let (a, b, c) = (relay.add(alice), relay.add(bob), relay.add(carol))
    try a.send([1], to: bob)
    try a.send([2], to: bob)
    _ = try b.received()
    a.leave()
    a.leave()
    #expect(try b.received() == [.peerGone(alice, .disconnected)])
    #expect(try c.received().isEmpty)
    #expect(relay.board.counters.clients == 2)
  }

  @Test("One pong waits at a time; a ping on top of it is ignored")
  func pings() throws {
    let relay = RelayWorld()
    let a = relay.add(alice)
    try a.say(.ping(1))
    try a.say(.ping(2))
    #expect(try a.received() == [.pong(1)])
    #expect(relay.board.counters.ignoredPings == 1)
    #expect(relay.board.counters.pongs == 1)
  }

  @Test("Every client gets a sign of life each minute, within five seconds of it")
  func keepAlives() throws {
    let relay = RelayWorld()
    let start = relay.now
    let a = relay.add(alice)
    relay.tick(to: start + .seconds(59))
    #expect(try a.received().isEmpty)
    relay.tick(to: start + .seconds(65))
    #expect(try a.received() == [.keepAlive])
    relay.tick(to: start + .seconds(120))
    #expect(try a.received().isEmpty)
  }

  @Test("A frame of the mesh from a client closes its connection, and what follows is not read")
  func violations() throws {
    for frame in [
      Frame.watchConnections, .closePeer(bob), .forwardPacket(from: bob, to: alice, []),
    ] {
      let relay = RelayWorld()
      let (a, b) = (relay.add(alice), relay.add(bob))
      try a.say(frame.bytes + Frame.sendPacket(to: bob, [1]).bytes)
      #expect(a.ends == [.violation])
      #expect(try b.received().isEmpty)
      #expect(relay.board.counters.violations == 1)
    }
  }

  @Test("The count of home clients follows what they say and their leaving")
  func home() throws {
    let relay = RelayWorld()
    let a = relay.add(alice)
    for isHome in [true, true, false, true] { try a.say(.notePreferred(isHome)) }
    #expect(relay.board.counters.homeClients == 1)
    #expect(relay.board.counters.homeMovesIn == 0)
    relay.now = relay.now + .seconds(6)
    try a.say(.notePreferred(false))
    try a.say(.notePreferred(true))
    #expect(relay.board.counters.homeMovesIn == 1)
    #expect(relay.board.counters.homeMovesOut == 1)
    a.leave()
    #expect(relay.board.counters.homeClients == 0)
  }

  @Test("Frames of kinds that nobody knows are counted and passed over")
  func unknownFrames() throws {
    let relay = RelayWorld()
    let (a, b) = (relay.add(alice), relay.add(bob))
    try a.say([0x77, 0, 0, 0, 3, 1, 2, 3] + Frame.sendPacket(to: bob, [9]).bytes)
    #expect(try b.received() == [.receivePacket(from: alice, [9])])
    #expect(relay.board.counters.unknownFrames == 1)
  }

  @Test("The time that packets wait is counted")
  func queueDelay() throws {
    let relay = RelayWorld()
    let (a, b) = (relay.add(alice), relay.add(bob))
    try a.send([1], to: bob)
    relay.now = relay.now + .milliseconds(3)
    try a.send([1], to: bob)
    _ = try b.received()
    let delay = relay.board.counters.queueDelay
    #expect(delay.totalMicroseconds == 3000)
    #expect(delay.counts.reduce(0, +) == 2)
    #expect(delay.counts[6] == 1)
  }

  @Test(
    "A random session ends with every packet counted as sent or dropped",
    arguments: [-1, 0, 2]
  )
  func accounting(cacheEntries: Int) throws {
    let relay = RelayWorld(cache: PeerLookupCache.Limits(entries: cacheEntries))
    var entropy = Entropy(seed: 99)
    let keys = (1...8).map { someKey($0).publicKey }
    var here: [FakeClient] = []
    for _ in 0..<20_000 {
      let key = keys[Int.random(in: 0..<8, using: &entropy)]
      let index = here.isEmpty ? 0 : Int.random(in: 0..<here.count, using: &entropy)
      switch Int.random(in: 0..<20, using: &entropy) {
      case 0 where !here.isEmpty: here.remove(at: index).leave()
      case 1 where here.count < 12: here.append(relay.add(key))
      case 2...4 where !here.isEmpty: _ = try here[index].received(limit: 200)
      case _ where !here.isEmpty:
        try here[index].send(Bool.random(using: &entropy) ? discoPacket : [1, 2, 3], to: key)
      default: break
      }
    }
    for client in here { client.leave() }
    let counters = relay.board.counters
    let lost = RelayDrops.Reason.allCases.reduce(0) { $0 + counters.dropped.packets(for: $1) }
    #expect(counters.packetsReceived == counters.packetsSent + lost)
    #expect(counters.packetsSent > 1000)
    #expect(counters.clients == 0)
  }
}
