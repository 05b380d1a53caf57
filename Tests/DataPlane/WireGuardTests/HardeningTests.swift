// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Keys
import Testing
import Timing

@testable import WireGuard

@Suite("What attackers, restarts and clocks do to a tunnel")
struct HardeningTests {
  private func connected(seed: UInt64 = 1) -> Laboratory {
    let laboratory = Laboratory(seed: seed)
    laboratory.send(packet(0), from: 0)
    laboratory.run(for: .seconds(1))
    return laboratory
  }

  private func reconfigure(
    _ laboratory: Laboratory,
    _ index: Int,
    _ change: (inout PeerConfiguration) -> Void
  ) {
    let node = laboratory.nodes[index]
    var configuration = PeerConfiguration(
      publicKey: laboratory.nodes[1 - index].key.publicKey,
      allowedIPs: [Laboratory.prefix(1 - index)]
    )
    change(&configuration)
    node.tunnel.setPeer(
      laboratory.peer(of: index),
      configuration,
      at: laboratory.now,
      into: &node.effects
    )
  }

  // MARK: Replays

  @Test("Everything that was ever sent, sent again, changes nothing")
  func replays() {
    let laboratory = connected()
    for number in 1..<50 {
      laboratory.send(packet(number), from: number % 2)
      laboratory.run(for: .seconds(3))
    }
    let record = laboratory.sent
    let delivered = laboratory.nodes.map(\.delivered)
    let status = laboratory.nodes.map {
      $0.status(of: laboratory.peer(of: Int($0.id.rawValue) - 1))
    }
    let wanted = laboratory.nodes.map(\.nextTimeout)
    for datagram in record {
      let received = laboratory.deliver(datagram.bytes, to: 1 - datagram.from)
      guard case .dropped = received else {
        Issue.record("\(received)")
        continue
      }
    }
    #expect(laboratory.sent.count == record.count)
    #expect(laboratory.nodes.map(\.delivered) == delivered)
    #expect(laboratory.nodes.map(\.nextTimeout) == wanted)
    let after = laboratory.nodes.map {
      $0.status(of: laboratory.peer(of: Int($0.id.rawValue) - 1))
    }
    #expect(after == status)
  }

  @Test("A second initiation within 20 milliseconds is refused although its stamp is newer")
  func initiationFlood() {
    let laboratory = Laboratory()
    let node = laboratory.nodes[0]
    laboratory.send(packet(1), from: 0)
    let first = laboratory.takeFlights()[0]
    node.tunnel.resetSession(PeerID(2))
    laboratory.handleTimeouts(0)
    let second = laboratory.takeFlights()[0]
    #expect(second != first)
    let accepted = laboratory.deliver(first, to: 1)
    #expect(accepted == .handshake(PeerID(1)))
    laboratory.now = laboratory.now + .milliseconds(19)
    let refused = laboratory.deliver(second, to: 1)
    #expect(refused == .dropped(.tooSoon))
    laboratory.now = laboratory.now + .milliseconds(1)
    let later = laboratory.deliver(second, to: 1)
    #expect(later == .handshake(PeerID(1)))
  }

  // MARK: Clocks

  @Test("A wall clock that goes forward and back does not keep a running node out")
  func clockBack() {
    let laboratory = connected()
    laboratory.nodes[0].clockError = .seconds(10 * 365 * 86_400)
    laboratory.run(for: .seconds(200))
    laboratory.send(packet(1), from: 0)
    laboratory.run(for: .seconds(1))
    laboratory.nodes[0].clockError = .zero - .seconds(10 * 365 * 86_400)
    laboratory.run(for: .seconds(200))
    laboratory.send(packet(2), from: 0)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].delivered == [packet(0), packet(1), packet(2)])
  }

  @Test("Stamps increase strictly while the clock stands still or runs back, and past any second")
  func stamps() {
    var clock = StampClock()
    var last = clock.stamp(at: Timestamp(seconds: 100, nanoseconds: 999_999_999))
    for step in 0..<500 {
      let time = Timestamp(seconds: step.isMultiple(of: 2) ? 100 : -50)
      let stamp = clock.stamp(at: time)
      #expect(stamp > last)
      #expect(TAI64N(bytes: stamp.bytes) == stamp)
      last = stamp
    }
    for time in [Timestamp(seconds: .max), Timestamp(seconds: .min), .zero] {
      let stamp = clock.stamp(at: time)
      #expect(stamp > last)
      last = stamp
    }
  }

  @Test("A peer that was restarted with its clock back gets in once it is known to be restarted")
  func restartedPeer() {
    let laboratory = connected()
    let node = laboratory.nodes[0]
    node.clockError = .zero - .seconds(1_000_000)
    // A restart: same key, no memory.
    node.tunnel = Tunnel(privateKey: node.key, mtu: 1280, entropy: Entropy(seed: 4711))
    reconfigure(laboratory, 0) { _ in }
    laboratory.send(packet(1), from: 0)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].received.last == .dropped(.oldStamp))
    laboratory.nodes[1].tunnel.resetSession(PeerID(1))
    laboratory.run(for: .seconds(6))
    #expect(laboratory.nodes[1].delivered.last == packet(1))
  }

  // MARK: Lengths

  @Test("Every length of every type is either right or dropped, up to oversized ones")
  func lengths() {
    let laboratory = connected()
    laboratory.send(packet(1), from: 0)
    let good = laboratory.takeFlights()[0]
    for type in UInt8(0)...6 {
      for length in Array(0...200) + [1500, 9000, 65_535, 200_000] {
        var datagram = [UInt8](repeating: 0xA5, count: length)
        if length > 0 {
          datagram.replaceSubrange(0..<min(4, length), with: [type, 0, 0, 0].prefix(length))
        }
        if type == 4, length >= 8 { datagram.replaceSubrange(4..<8, with: good[4..<8]) }
        guard case .dropped(let reason) = laboratory.deliver(datagram, to: 1) else {
          Issue.record("type \(type), length \(length)")
          continue
        }
        if length < 32 { #expect(reason == .tooShort) }
      }
    }
    for end in 0..<good.count {
      guard case .dropped = laboratory.deliver(Array(good[..<end]), to: 1) else {
        Issue.record("cut at \(end)")
        continue
      }
    }
    let received = laboratory.deliver(good, to: 1)
    #expect(received == .packet(PeerID(1), offset: 16, count: 64))
  }

  @Test("Reserved bytes that are not zero make a message of no type")
  func reservedBytes() {
    let laboratory = connected()
    laboratory.send(packet(1), from: 0)
    var datagram = laboratory.takeFlights()[0]
    datagram[2] = 1
    let received = laboratory.deliver(datagram, to: 1)
    #expect(received == .dropped(.unknownType))
  }

  @Test("A packet of 64 KB, larger than any MTU, travels whole")
  func largePackets() {
    let laboratory = connected()
    let large = packet(1, length: 64_000)
    laboratory.send(large, from: 0)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].delivered.last?.prefix(64_000) == large[...])
  }

  @Test("Packets are padded to 16 bytes with zeros, keepalives not at all")
  func padding() {
    let laboratory = connected()
    laboratory.send(packet(1, length: 65), from: 0)
    #expect(laboratory.takeFlights()[0].count == 80 + 32)
    laboratory.isCut = true
    laboratory.nodes[0].tunnel.resetSession(PeerID(2))
    laboratory.isCut = false
    laboratory.send(packet(2, length: 65), from: 0)
    laboratory.run(for: .seconds(1))
    let staged = laboratory.nodes[1].delivered.last
    #expect(staged == packet(2, length: 65) + [UInt8](repeating: 0, count: 15))
  }

  // MARK: Counters

  @Test("A session ends when its counters do, and a new one takes over")
  func rejectAfterMessages() {
    let laboratory = connected()
    let node = laboratory.nodes[0]
    let last = ProtocolConstants.rejectAfterMessages - 1
    node.tunnel.peers.slots[0].withSessions { sessions in
      sessions.withCurrent { $0?.setSendCounter(last) }
    }
    laboratory.send(packet(1), from: 0)
    #expect(laboratory.nodes[1].delivered.count == 1)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].delivered.last == packet(1))
    #expect(laboratory.count(type: 1, from: 0) == 1, "one went out a second ago")
    let none = node.tunnel.beginSealing(
      PeerID(2),
      packets: 1,
      at: laboratory.now,
      timestamp: laboratory.wall(0),
      into: &node.effects
    )
    let header = node.tunnel.peers.slots[0].sessions.current
    #expect(none == nil || header?.isInitiator == true)
    laboratory.run(for: .seconds(6))
    laboratory.send(packet(2), from: 0)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].delivered.last == packet(2))
    #expect(laboratory.count(type: 1, from: 0) == 2)
  }

  @Test("A run that does not fit before the end of the counters is refused whole")
  func runAtTheEnd() {
    let laboratory = connected()
    let node = laboratory.nodes[0]
    node.tunnel.peers.slots[0].withSessions { sessions in
      sessions.withCurrent { $0?.setSendCounter(ProtocolConstants.rejectAfterMessages - 10) }
    }
    let run = node.tunnel.beginSealing(
      PeerID(2),
      packets: 11,
      at: laboratory.now,
      timestamp: laboratory.wall(0),
      into: &node.effects
    )
    #expect(run == nil)
  }

  @Test("After 2^60 messages either side renews the session, the responder too")
  func rekeyAfterMessages() {
    let laboratory = connected()
    laboratory.run(for: .seconds(6))
    laboratory.nodes[1].tunnel.peers.slots[0].withSessions { sessions in
      sessions.withCurrent { $0?.setSendCounter(1 << 60) }
    }
    laboratory.send(packet(1), from: 1)
    #expect(laboratory.count(type: 1, from: 1) == 1)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[0].delivered == [packet(1)])
  }

  @Test("Counters are 64 bits wide on the wire")
  func wideCounters() {
    let laboratory = connected()
    laboratory.nodes[0].tunnel.peers.slots[0].withSessions { sessions in
      sessions.withCurrent { $0?.setSendCounter(0x0102_0304_0506_0708) }
    }
    laboratory.send(packet(1), from: 0)
    let datagram = laboratory.takeFlights()[0]
    #expect(Array(datagram[8..<16]) == [8, 7, 6, 5, 4, 3, 2, 1])
    let received = laboratory.deliver(datagram, to: 1)
    #expect(received == .packet(PeerID(1), offset: 16, count: 64))
  }

  @Test("A received counter past the last is refused unopened")
  func exhaustedCounter() {
    let laboratory = connected()
    laboratory.send(packet(1), from: 0)
    var datagram = laboratory.takeFlights()[0]
    datagram.replaceSubrange(8..<16, with: [UInt8](repeating: 0xFF, count: 8))
    let received = laboratory.deliver(datagram, to: 1)
    #expect(received == .dropped(.exhaustedCounter))
  }

  // MARK: Indices

  @Test("Indices are random 32-bit numbers, new for every handshake")
  func indices() {
    var seen: Set<[UInt8]> = []
    for seed in UInt64(1)...40 {
      let laboratory = connected(seed: seed)
      for datagram in laboratory.sent where datagram.bytes[0] <= 2 {
        seen.insert(Array(datagram.bytes[4..<8]))
      }
    }
    #expect(seen.count == 80)
    #expect(seen.contains { $0[3] > 127 } && seen.contains { $0[3] < 128 })
  }

  @Test("The table of indices holds what peers use, and no more, whatever happens")
  func indexTable() {
    let laboratory = Laboratory(seed: 3)
    laboratory.lossPercent = 40
    for number in 0..<600 {
      laboratory.send(packet(number), from: number % 2)
      laboratory.run(for: .seconds(2))
      for node in laboratory.nodes { #expect(node.indexCount <= 4) }
    }
    for index in 0...1 { laboratory.nodes[index].tunnel.removePeer(laboratory.peer(of: index)) }
    for node in laboratory.nodes {
      #expect(node.indexCount == 0)
      #expect(node.peerCount == 0)
    }
  }

  // MARK: Keys

  @Test("A pre-shared key that only one side has keeps them apart; on both it lets them talk")
  func presharedKey() {
    let secret = [UInt8](repeating: 7, count: 32)
    let laboratory = connected()
    reconfigure(laboratory, 0) { $0.presharedKey = secret }
    laboratory.send(packet(1), from: 0)
    laboratory.run(for: .seconds(2))
    #expect(laboratory.nodes[1].delivered == [packet(0)], "the change takes effect at once")
    #expect(laboratory.nodes[0].counters[.notAuthentic] == 1)
    reconfigure(laboratory, 1) { $0.presharedKey = secret }
    laboratory.run(for: .seconds(6))
    #expect(laboratory.nodes[1].delivered == [packet(0), packet(1)])
  }

  @Test("Another private key ends every session, and peers that know it come back")
  func ownKey() throws {
    let laboratory = connected()
    var entropy = Entropy(seed: 31)
    let key = NodePrivateKey.generate(using: &entropy)
    laboratory.nodes[0].tunnel.setPrivateKey(key)
    #expect(laboratory.nodes[0].indexCount == 0)
    reconfigure(laboratory, 1) { $0.publicKey = key.publicKey }
    #expect(laboratory.nodes[1].indexCount == 0)
    laboratory.send(packet(1), from: 1)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[0].delivered == [packet(1)])
  }

  @Test("A public key of small order is answered nothing and traps nothing")
  func smallOrder() {
    let laboratory = Laboratory()
    let node = laboratory.nodes[0]
    node.tunnel.setPeer(
      PeerID(8),
      PeerConfiguration(publicKey: .zero, allowedIPs: []),
      at: laboratory.now,
      into: &node.effects
    )
    _ = node.tunnel.beginSealing(
      PeerID(8),
      packets: 1,
      at: laboratory.now,
      timestamp: laboratory.wall(0),
      into: &node.effects
    )
    node.tunnel.stage(packet(1), for: PeerID(8))
    laboratory.settle(0)
    laboratory.run(for: .seconds(200))
    #expect(laboratory.sent.isEmpty)
    #expect(node.indexCount == 0)
    #expect(node.counters.stagedAbandoned == 1)
  }

  @Test("A stranger's handshake is dropped in silence")
  func stranger() {
    let laboratory = Laboratory()
    laboratory.nodes[1].tunnel.removePeer(PeerID(1))
    laboratory.send(packet(1), from: 0)
    laboratory.run(for: .seconds(3))
    #expect(laboratory.sent.count == 1)
    #expect(laboratory.nodes[1].counters[.unknownPeer] == 1)
  }

  // MARK: Peers that come and go

  @Test("A peer that is removed between sealing and sending is missed by nobody")
  func removedInUse() {
    let laboratory = connected()
    let node = laboratory.nodes[0]
    let run = node.tunnel.beginSealing(
      PeerID(2),
      packets: 1,
      at: laboratory.now,
      timestamp: laboratory.wall(0),
      into: &node.effects
    )
    node.tunnel.removePeer(PeerID(2))
    guard let run else {
      Issue.record("there was a session")
      return
    }
    let datagram = Laboratory.seal(packet(1), run, 0, node)
    let received = laboratory.deliver(datagram, to: 1)
    #expect(received == .packet(PeerID(1), offset: 16, count: 64))
    // Its slot now belongs to somebody else, whose timers must not move.
    var entropy = Entropy(seed: 77)
    node.tunnel.setPeer(
      PeerID(3),
      PeerConfiguration(
        publicKey: NodePrivateKey.generate(using: &entropy).publicKey,
        allowedIPs: []
      ),
      at: laboratory.now,
      into: &node.effects
    )
    node.tunnel.didSend(run, bytes: 96, at: laboratory.now)
    #expect(node.status(of: PeerID(3))?.bytesSent == 0)
    #expect(node.nextTimeout.map { $0 > laboratory.now + .seconds(1) } ?? true)
    laboratory.send(packet(2), from: 1)
    laboratory.run(for: .seconds(1))
    #expect(node.received.last == .dropped(.unknownReceiver))
  }

  @Test("Of two peers with one key the later stays, with its addresses")
  func sameKey() {
    let laboratory = connected()
    let node = laboratory.nodes[0]
    node.tunnel.setPeer(
      PeerID(9),
      PeerConfiguration(
        publicKey: laboratory.nodes[1].key.publicKey,
        allowedIPs: [Laboratory.prefix(1)]
      ),
      at: laboratory.now,
      into: &node.effects
    )
    #expect(node.peerCount == 1)
    #expect(node.peer(for: Laboratory.address(1)) == PeerID(9))
    #expect(node.status(of: PeerID(2)) == nil)
  }

  @Test("There are at most 65,536 peers, and who does not fit is counted")
  func peerLimit() throws {
    var tunnel = Laboratory().nodes[0].key.emptyTunnel
    var effects = Effects()
    for number in 0...65_536 {
      var bytes = [UInt8](repeating: 9, count: 32)
      (bytes[0], bytes[1], bytes[2]) = (
        UInt8(number & 255), UInt8(number >> 8 & 255), UInt8(number >> 16)
      )
      let key = try #require(NodeKey(bytes: bytes))
      let isAdded = tunnel.setPeer(
        PeerID(Int64(number)),
        PeerConfiguration(publicKey: key, allowedIPs: []),
        at: .origin,
        into: &effects
      )
      #expect(isAdded == (number < 65_536))
    }
    #expect(tunnel.counters.peersRefused == 1)
  }

  // MARK: Addresses

  @Test("A source address belongs to the peer of its longest prefix, and to no other")
  func allowedSources() throws {
    let laboratory = Laboratory()
    let node = laboratory.nodes[0]
    var entropy = Entropy(seed: 12)
    func set(_ number: Int64, _ prefixes: [String]) throws {
      let key = NodePrivateKey.generate(using: &entropy).publicKey
      let list = try prefixes.map { try #require(IPPrefix($0)) }
      node.tunnel.setPeer(
        PeerID(number),
        PeerConfiguration(publicKey: key, allowedIPs: list),
        at: laboratory.now,
        into: &node.effects
      )
    }
    func owner(_ text: String) throws -> PeerID? {
      node.peer(for: try #require(IPAddress(text)))
    }
    try set(10, ["10.0.0.0/8", "fd00::/8", "0.0.0.0/0"])
    try set(11, ["10.1.0.0/16", "10.1.2.3/16", "fd00::1/128"])
    #expect(try owner("10.2.0.1") == PeerID(10))
    #expect(try owner("10.1.0.1") == PeerID(11))
    #expect(try owner("fd00::1") == PeerID(11))
    #expect(try owner("fd00::2") == PeerID(10))
    #expect(try owner("8.8.8.8") == PeerID(10))
    #expect(try owner("2001:db8::1") == nil)
    let source = try #require(IPAddress("10.1.0.1"))
    #expect(node.peer(PeerID(11), owns: source))
    #expect(!node.peer(PeerID(10), owns: source))
    #expect(!node.peer(PeerID(2), owns: source))
  }

  @Test("A prefix that two peers want is the later one's, and comes back when that one goes")
  func contestedPrefix() throws {
    var addresses = AllowedIPs()
    let prefix = try #require(IPPrefix("10.0.0.0/24"))
    let inside = IPAddress(10, 0, 0, 5)
    addresses.insert(prefix, for: PeerID(1))
    addresses.insert(prefix, for: PeerID(2))
    addresses.insert(prefix, for: PeerID(3))
    #expect(addresses.peer(for: inside) == PeerID(3))
    addresses.remove(prefix, from: PeerID(2))
    #expect(addresses.peer(for: inside) == PeerID(3))
    addresses.remove(prefix, from: PeerID(3))
    #expect(addresses.peer(for: inside) == PeerID(1))
    addresses.remove(prefix, from: PeerID(1))
    #expect(addresses.peer(for: inside) == nil)
  }

  @Test("Allowed addresses change in place, without a new handshake")
  func changedAddresses() throws {
    let laboratory = connected()
    let more = try #require(IPPrefix("192.168.7.0/24"))
    reconfigure(laboratory, 0) { $0.allowedIPs = [more] }
    let node = laboratory.nodes[0]
    #expect(node.peer(for: IPAddress(192, 168, 7, 1)) == PeerID(2))
    #expect(node.peer(for: Laboratory.address(1)) == nil)
    laboratory.send(packet(1), from: 0)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].delivered.last == packet(1))
    #expect(laboratory.count(type: 1, from: 0) == 1)
    node.tunnel.removePeer(PeerID(2))
    #expect(node.peer(for: IPAddress(192, 168, 7, 1)) == nil)
  }
}

extension NodePrivateKey {
  fileprivate var emptyTunnel: Tunnel {
    Tunnel(privateKey: self, mtu: 1280, entropy: Entropy(seed: 1))
  }
}
