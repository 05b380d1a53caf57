// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Testing
import Timing

@testable import DERP

@Suite("Peer lookup cache") struct PeerLookupCacheTests {
  let alice = someKey(1).publicKey
  let bob = someKey(2).publicKey
  let start = Instant(nanoseconds: 1_000_000_000)

  private func keys(_ count: Int) -> [NodeKey] {
    var entropy = Entropy(seed: 77)
    return (0..<count).map { _ in
      NodeKey(words: (entropy.next(), entropy.next(), entropy.next(), entropy.next()))
    }
  }

  // MARK: Through a relay

  @Test("Only the first packet to a key takes the shared lock")
  func repeatedSends() throws {
    let relay = RelayWorld()
    let (a, b) = (relay.add(alice), relay.add(bob))
    for _ in 0..<10 { try a.send([1], to: bob) }
    #expect(try b.received().count == 10)
    #expect(relay.board.counters.peerLookupCacheMisses == 1)
    #expect(a.cachedPeers == 1)
  }

  @Test("A cache that is disabled knows nothing, and everything arrives")
  func disabled() throws {
    let relay = RelayWorld(cache: .disabled)
    let (a, b) = (relay.add(alice), relay.add(bob))
    for _ in 0..<10 { try a.send([1], to: bob) }
    #expect(try b.received().count == 10)
    #expect(relay.board.counters.peerLookupCacheMisses == 10)
    #expect(a.cachedPeers == 0)
  }

  @Test("When the receiver leaves and comes again, its new connection gets the packets")
  func reconnect() throws {
    let relay = RelayWorld()
    let a = relay.add(alice)
    for round in 0..<5 {
      let b = relay.add(bob)
      try a.send([UInt8(round)], to: bob)
      try a.send([UInt8(round)], to: bob)
      #expect(try b.received().count == 2)
      b.leave()
      try a.send(discoPacket, to: bob)
      #expect(try a.received() == [.peerGone(bob, .notHere)])
      relay.now = relay.now + .seconds(1)
    }
    #expect(relay.board.counters.peerLookupCacheMisses == 10)
  }

  @Test("When the receiver comes again before its old connection is gone, the entry stays good")
  func overlap() throws {
    let relay = RelayWorld()
    let (a, old) = (relay.add(alice), relay.add(bob))
    try a.send([0], to: bob)
    let new = relay.add(bob)
    try a.send([1], to: bob)
    #expect(try new.received() == [.receivePacket(from: alice, [1])])
    old.leave()
    try a.send([2], to: bob)
    #expect(try new.received() == [.receivePacket(from: alice, [2])])
    new.leave()
    try a.send(discoPacket, to: bob)
    #expect(try a.received() == [.peerGone(bob, .notHere)])
    #expect(relay.board.counters.peerLookupCacheMisses == 2)
  }

  @Test("Who is told of a departure does not depend on what the cache remembers")
  func departures() throws {
    let relay = RelayWorld(cache: PeerLookupCache.Limits(entries: 1))
    let carol = someKey(3).publicKey
    let (a, b, c) = (relay.add(alice), relay.add(bob), relay.add(carol))
    for _ in 0..<3 {
      try a.send([1], to: bob)
      try a.send([1], to: carol)
    }
    for client in [b, c] { _ = try client.received() }
    a.leave()
    for client in [b, c] {
      #expect(try client.received() == [.peerGone(alice, .disconnected)])
    }
  }

  @Test("A ping forgets what was not used for the idle time, and nothing else does")
  func pingTrims() throws {
    let relay = RelayWorld(cache: PeerLookupCache.Limits(idle: .seconds(600)))
    let (a, b) = (relay.add(alice), relay.add(bob))
    let carol = relay.add(someKey(3).publicKey)
    try a.send([1], to: b.key)
    try a.send([1], to: carol.key)
    relay.now = relay.now + .seconds(599)
    try a.send([1], to: b.key)
    relay.tick(to: relay.now + .seconds(2))
    #expect(a.cachedPeers == 2)
    try a.say(.ping(1))
    #expect(a.cachedPeers == 1)
    try a.send([1], to: b.key)
    #expect(relay.board.counters.peerLookupCacheMisses == 2)
  }

  @Test("Keys of nobody and of other relays are not remembered")
  func notRemembered() throws {
    let relay = RelayWorld()
    let a = relay.add(alice)
    for key in keys(50) { try a.send([1], to: key) }
    let forwarder = relay.board.addForwarder(FakeConnection())
    relay.board.add(bob, at: forwarder, into: &relay.effects)
    try a.send([1], to: bob)
    #expect(a.cachedPeers == 0)
  }

  @Test("Packets sent while their receiver comes and goes on other threads all have a fate")
  func races() async throws {
    let board = Switchboard(entropy: Entropy(seed: 3))
    let receivers = keys(4)
    let senders = (10..<14).map { someKey(UInt8($0)).publicKey }
    await withTaskGroup { group in
      for key in senders {
        group.addTask {
          var effects = RelayEffects()
          let introduction = RelayClient.Introduction(key)
          let me = board.add(introduction, FakeConnection(), at: start, into: &effects)
          var session = RelaySession(me, board, decoder: FrameDecoder(for: .strangersRelay))
          for round in 0..<4000 {
            let packet = Frame.sendPacket(to: receivers[round & 3], [1]).bytes
            // Packets are frames.
            _ = try? session.receive(packet, at: start, into: &effects)
            board.settle(&effects)
          }
          session.end(at: start, into: &effects)
          board.settle(&effects)
        }
      }
      for key in receivers {
        group.addTask {
          var effects = RelayEffects()
          for _ in 0..<2000 {
            let introduction = RelayClient.Introduction(key)
            let one = board.add(introduction, FakeConnection(), at: start, into: &effects)
            var first = RelaySession(one, board, decoder: FrameDecoder(for: .strangersRelay))
            let two = board.add(introduction, FakeConnection(), at: start, into: &effects)
            var second = RelaySession(two, board, decoder: FrameDecoder(for: .strangersRelay))
            var (output, counts) = ([UInt8](), RelayCounters())
            _ = two.takeOutput(upTo: .max, at: start, into: &output, &counts)
            board.add(counts)
            first.end(at: start, into: &effects)
            second.end(at: start, into: &effects)
            board.settle(&effects)
          }
        }
      }
      await group.waitForAll()
    }
    let counters = board.counters
    let lost = RelayDrops.Reason.allCases.reduce(0) { $0 + counters.dropped.packets(for: $1) }
    #expect(counters.packetsReceived == 16_000)
    #expect(counters.packetsReceived == counters.packetsSent + lost)
    #expect(counters.clients == 0)
  }

  // MARK: The table

  /// A table, its model, and peers that may be retired.
  private func peers(_ key: NodeKey) -> RelayPeers { RelayPeers(key, policy: .lastWriter) }

  @Test("The limits mean what the flags say")
  func limits() {
    #expect(PeerLookupCache.Limits().entries == PeerLookupCache.Limits.automaticEntries)
    #expect(PeerLookupCache.Limits(entries: -1).entries == 0)
    #expect(PeerLookupCache.Limits(entries: 7).entries == 7)
    #expect(PeerLookupCache.Limits(entries: .max).entries == PeerLookupCache.Limits.maximumEntries)
    #expect(PeerLookupCache.Limits().idle == .seconds(600))
  }

  @Test("The time of use is written only when it is older than thirty seconds")
  func coarseTime() {
    var cache = PeerLookupCache(PeerLookupCache.Limits(idle: .seconds(60)))
    cache.insert(peers(alice), at: start)
    // Not written: the entry seems to have been used at the start.
    _ = cache.withPeers(of: alice, at: start + .seconds(29)) { _ in }
    let kept = cache.trim(at: start + .seconds(59))
    #expect(kept == 0)
    let gone = cache.trim(at: start + .seconds(60))
    #expect(gone == 1)
    cache.insert(peers(alice), at: start)
    // Written.
    _ = cache.withPeers(of: alice, at: start + .seconds(30)) { _ in }
    let still = cache.trim(at: start + .seconds(89))
    #expect(still == 0)
  }

  @Test("A cache gives back every reference that it took")
  func references() {
    weak var evicted: RelayPeers?
    weak var removed: RelayPeers?
    weak var held: RelayPeers?
    do {
      var cache = PeerLookupCache(PeerLookupCache.Limits(entries: 2))
      let all = keys(3)
      do {
        let (one, two, three) = (peers(all[0]), peers(all[1]), peers(all[2]))
        (evicted, removed, held) = (one, two, three)
        cache.insert(one, at: start)
        cache.insert(two, at: start + .seconds(1))
        cache.insert(three, at: start + .seconds(2))
      }
      let count = cache.count
      #expect(count == 2)
      #expect(evicted == nil)
      #expect(removed != nil)
      cache.remove(all[1])
      #expect(removed == nil)
      #expect(held != nil)
    }
    #expect(held == nil)
  }

  @Test("Any order of insertions, removals, look-ups and retirements is what a dictionary says")
  func model() {
    var entropy = Entropy(seed: 4711)
    let all = keys(40)
    // Keys that collide: only the words that are not hashed differ.
    let colliding = (0..<20).map { NodeKey(words: (1, UInt64($0), 2, UInt64($0))) }
    let universe = all + colliding
    var cache = PeerLookupCache(PeerLookupCache.Limits(entries: 64))
    var known: [NodeKey: RelayPeers] = [:]
    for _ in 0..<50_000 {
      let key = universe[Int.random(in: 0..<universe.count, using: &entropy)]
      switch Int.random(in: 0..<4, using: &entropy) {
      case 0:
        let new = peers(key)
        cache.insert(new, at: start)
        known[key] = new
      case 1:
        cache.remove(key)
        known[key] = nil
      default:
        let found = cache.withPeers(of: key, at: start) { ObjectIdentifier($0) }
        #expect(found == known[key].map { ObjectIdentifier($0) })
      }
    }
    let count = cache.count
    #expect(count == known.count)
  }

  @Test("A full cache keeps its bound and what was used lately")
  func eviction() {
    var cache = PeerLookupCache(PeerLookupCache.Limits(entries: 8))
    let favourite = peers(alice)
    cache.insert(favourite, at: start)
    for (step, key) in keys(1000).enumerated() {
      let now = start + .seconds(31 * Int64(step + 1))
      cache.insert(peers(key), at: now)
      let isKnown = cache.withPeers(of: alice, at: now + .seconds(1)) { $0 === favourite }
      #expect(isKnown == true)
      let count = cache.count
      #expect(count <= 8)
    }
  }
}
