// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@Suite("Bad datagrams from the network")
struct BadDatagramTests {
  /// A way to spoil the third of five datagrams without changing its size.
  struct Spoiling: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var spoil: @Sendable (inout [[UInt8]]) -> Void

    init(_ name: String, _ spoil: @escaping @Sendable (inout [[UInt8]]) -> Void) {
      (testDescription, self.spoil) = (name, spoil)
    }

    /// Other bytes at the front.
    static func front(_ name: String, _ bytes: [UInt8], at offset: Int = 0) -> Spoiling {
      Spoiling(name) { $0[2].replaceSubrange(offset..<offset + bytes.count, with: bytes) }
    }

    /// A counter, least significant byte first.
    static func counter(_ name: String, _ value: UInt64) -> Spoiling {
      front(name, (0..<8).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }, at: 8)
    }
  }

  private static let disco: [UInt8] = [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC]

  static let cases: [Spoiling] = [
    Spoiling("a flipped bit in the tag") { $0[2][RawPeer.datagramSize - 1] ^= 1 },
    Spoiling("a flipped bit at the start of the packet") { $0[2][16] ^= 1 },
    Spoiling("a flipped bit in the padding") { $0[2][RawPeer.datagramSize - 17] ^= 0x80 },
    Spoiling("a flipped bit of the counter") { $0[2][10] ^= 1 },
    Spoiling("the counter of its neighbour") { $0[2][8] = $0[3][8] },
    Spoiling("another receiver") { $0[2][4] ^= 0xFF },
    .front("receiver 0", [0, 0, 0, 0], at: 4),
    .front("the last receiver", [255, 255, 255, 255], at: 4),
    .counter("the first counter past the limit", .max - (1 << 13)),
    .counter("the greatest counter", .max),
    .counter("the last counter before the limit, forged", .max - (1 << 13) - 1),
    Spoiling("the datagram before it, again") { $0[2] = $0[1] },
    .front("no type", [0, 0, 0, 0]),
    .front("a type that nobody knows", [5, 0, 0, 0]),
    .front("a type of 255", [255, 0, 0, 0]),
    .front("a second byte that is not zero", [4, 1, 0, 0]),
    .front("a fourth byte that is not zero", [4, 0, 0, 128]),
    .front("an initiation of a wrong length", [1, 0, 0, 0]),
    .front("a response of a wrong length", [2, 0, 0, 0]),
    .front("a cookie of a wrong length", [3, 0, 0, 0]),
    Spoiling("zeros") { $0[2] = [UInt8](repeating: 0, count: RawPeer.datagramSize) },
    Spoiling("ones") { $0[2] = [UInt8](repeating: 255, count: RawPeer.datagramSize) },
    .front("discovery of nobody", disco),
    .front("an answer of STUN to no question", [1, 1, 4, 204, 0x21, 0x12, 0xA4, 0x42]),
    .front("the header of a peer relay that carries nothing", [0, 0, 0x7A, 0x12, 0, 0, 7, 0]),
    .front("discovery through a peer relay", [0, 0, 0x7A, 0x11, 0, 0, 7, 0] + disco),
  ]

  private static let fault = Fault("none", tcp: true) { _ in }

  @Test(
    "A bad datagram in a train is a counted drop, its neighbours arrive in order, the session goes on",
    arguments: cases
  )
  func inTrain(spoiling: Spoiling) throws {
    let peer = try RawPeer()
    let packets = (0..<10).map { Self.fault.packet($0, from: peer.identity, to: peer.node) }
    var datagrams = try peer.datagrams(Array(packets[..<5]))
    spoiling.spoil(&datagrams)
    peer.arrive(datagrams.flatMap { $0 }, segmentSize: RawPeer.datagramSize)
    #expect(peer.node.taken == [0, 1, 3, 4].map { packets[$0] })
    #expect(peer.node.fallenOff == 1)
    peer.arrive(try peer.sealed(Array(packets[5...])), segmentSize: RawPeer.datagramSize)
    #expect(peer.node.taken.suffix(5) == packets[5...])
    #expect(peer.node.fallenOff == 1)
  }

  @Test("A bad datagram alone is a counted drop, and the session goes on", arguments: cases)
  func alone(spoiling: Spoiling) throws {
    let peer = try RawPeer()
    let packets = (0..<5).map { Self.fault.packet($0, from: peer.identity, to: peer.node) }
    var datagrams = try peer.datagrams(packets)
    spoiling.spoil(&datagrams)
    for datagram in datagrams { peer.arrive(datagram) }
    #expect(peer.node.taken == [0, 1, 3, 4].map { packets[$0] })
    #expect(peer.node.fallenOff == 1)
  }

  @Test("A train that comes again is dropped whole and counted, whichever half came before")
  func replayedTrain() throws {
    let peer = try RawPeer()
    let packets = (0..<40).map { Self.fault.packet($0, from: peer.identity, to: peer.node) }
    let train = try peer.sealed(packets)
    let half = train.count / 2
    peer.arrive(Array(train[half...]), segmentSize: RawPeer.datagramSize)
    peer.arrive(train, segmentSize: RawPeer.datagramSize)
    #expect(peer.node.taken == Array(packets[20...] + packets[..<20]))
    #expect(peer.node.fallenOff == 20)
    peer.arrive(train, segmentSize: RawPeer.datagramSize)
    #expect(peer.node.taken.count == 40)
    #expect(peer.node.fallenOff == 60)
  }

  @Test("A train whose last datagram is cut, at any byte, loses that one, counted")
  func truncated() throws {
    let peer = try RawPeer()
    for cut in 1...RawPeer.datagramSize {
      peer.node.delivered = []
      let before = peer.node.fallenOff
      let packets = (0..<2).map { Self.fault.packet($0, from: peer.identity, to: peer.node) }
      let train = try peer.sealed(packets)
      peer.arrive(Array(train.dropLast(cut)), segmentSize: RawPeer.datagramSize)
      #expect(peer.node.taken == [packets[0]])
      // Of the last cut nothing is left that could be counted.
      #expect(peer.node.fallenOff - before == (cut < RawPeer.datagramSize ? 1 : 0))
    }
  }

  @Test(
    "A train whose datagrams are said to have a wrong size loses them, and no more",
    arguments: 1...60 as ClosedRange<UInt64>
  )
  func unevenTrain(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    let peer = try RawPeer()
    let packets = (0..<6).map { Self.fault.packet($0, from: peer.identity, to: peer.node) }
    let train = try peer.sealed(packets)
    let sizes = [1, 7, 8, 9, 31, 32, 33, RawPeer.datagramSize - 1, RawPeer.datagramSize + 1]
    let size =
      seed <= sizes.count
      ? sizes[Int(seed) - 1] : Int.random(in: 1...2 * RawPeer.datagramSize, using: &random)
    let count = Int.random(in: 1...train.count, using: &random)
    peer.arrive(Array(train.prefix(count)), segmentSize: size)
    let early = peer.node.taken
    #expect(early.allSatisfy(packets.contains))
    let pieces = (count + size - 1) / size
    #expect(Int(peer.node.fallenOff) == pieces - early.count)
    // What was not taken by then still is: a counter is used up by an authentic datagram alone.
    peer.node.delivered = []
    peer.arrive(train, segmentSize: RawPeer.datagramSize)
    #expect(peer.node.taken == packets.filter { !early.contains($0) })
  }

  @Test("Datagrams of sizes that differ, one behind the other, are taken as what they are")
  func growing() throws {
    let peer = try RawPeer()
    let packets = (0..<3).map { Self.fault.packet($0, from: peer.identity, to: peer.node) }
    let datagrams = try peer.datagrams(packets)
    // A good one, one with a byte too many, a good one that is now in no place.
    let buffer = datagrams[0] + datagrams[1] + [0] + datagrams[2]
    peer.arrive(buffer, segmentSize: RawPeer.datagramSize)
    #expect(peer.node.taken == Array(packets[..<2]))
    #expect(peer.node.fallenOff == 2)
  }

  @Test("An empty datagram, or a size of nothing, ends nothing")
  func empty() throws {
    let peer = try RawPeer()
    let packet = Self.fault.packet(0, from: peer.identity, to: peer.node)
    let datagram = try peer.sealed([packet])
    peer.arrive([])
    peer.arrive([], segmentSize: 1)
    peer.arrive(datagram, segmentSize: 0)
    #expect(peer.node.taken == [packet])
  }
}
