// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import PacketPipeline
import Packets
import TestSupport
import Testing

@Suite("Bad packets from peers and from the host")
struct BadInputTests {
  /// A way to spoil a packet of the right kind.
  struct Fault: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var isV4 = true
    var isTCP = false
    var spoil: @Sendable (inout [UInt8]) -> Void

    init(
      _ name: String,
      v6: Bool = false,
      tcp: Bool = false,
      _ spoil: @escaping @Sendable (inout [UInt8]) -> Void
    ) {
      (testDescription, isV4, isTCP) = (name, !v6, tcp)
      self.spoil = spoil
    }
  }

  /// What can be read in two ways or not at all, or what no rule for the usual protocols lets in.
  static let fatal: [Fault] = [
    Fault("nothing") { $0 = [] },
    Fault("one byte") { $0 = [0x45] },
    Fault("version 0") { $0[0] = 0x05 },
    Fault("version 5") { $0[0] = 0x55 },
    Fault("version 15") { $0[0] = 0xF5 },
    Fault("IHL 0") { $0[0] = 0x40 },
    Fault("IHL 4") { $0[0] = 0x44 },
    Fault("IHL beyond the length") { ($0[0], $0[2], $0[3]) = (0x4F, 0, 40) },
    Fault("length 0") { ($0[2], $0[3]) = (0, 0) },
    Fault("length less than the header") { ($0[2], $0[3]) = (0, 19) },
    Fault("length of 64 KB") { ($0[2], $0[3]) = (0xFF, 0xFF) },
    Fault("length one beyond the padding") {
      let length = RawPeer.padded + 1
      ($0[2], $0[3]) = (UInt8(length >> 8), UInt8(length & 0xFF))
    },
    Fault("half a UDP header") { ($0[2], $0[3]) = (0, 24) },
    Fault("half a TCP header", tcp: true) { ($0[2], $0[3]) = (0, 39) },
    Fault("half an ICMP header") { ($0[2], $0[3], $0[9]) = (0, 22, 1) },
    Fault("half an SCTP header") { ($0[2], $0[3], $0[9]) = (0, 30, 132) },
    Fault("a fragment over the ports") { ($0[6], $0[7]) = (0x20, 1) },
    Fault("a fragment over the flags of TCP", tcp: true) { ($0[6], $0[7]) = (0, 2) },
    Fault("IPv6 length of 64 KB", v6: true) { ($0[4], $0[5]) = (0xFF, 0xFF) },
    Fault("IPv6 length 0 under a transport header", v6: true) { ($0[4], $0[5]) = (0, 0) },
    Fault("a jumbogram", v6: true) {
      ($0[4], $0[5], $0[6]) = (0, 0, 0)
      $0.replaceSubrange(40..<48, with: [17, 0, 0xC2, 4, 0, 1, 0, 0])
    },
    Fault("IPv6 from a mapped address", v6: true) {
      $0.replaceSubrange(8..<24, with: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 100, 64, 0, 2])
    },
    Fault("IPv6 to a mapped address", v6: true) {
      $0.replaceSubrange(24..<40, with: [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 100, 64, 0, 1])
    },
    Fault("an IPv6 fragment over the ports", v6: true) {
      $0[6] = 44
      $0.replaceSubrange(40..<48, with: [17, 0, 0, 9, 0, 0, 0, 1])
    },
    Fault("half an IPv6 fragment header", v6: true) { ($0[4], $0[5], $0[6]) = (0, 7, 44) },
    Fault("an options header that is cut", v6: true) { ($0[4], $0[5], $0[6]) = (0, 4, 60) },
    Fault("a routing header that is longer than the packet", v6: true) {
      $0[6] = 43
      $0.replaceSubrange(40..<48, with: [17, 255, 0, 0, 0, 0, 0, 0])
    },
    Fault("from an address of somebody else") { $0[15] = 77 },
    Fault("from a multicast address") { $0.replaceSubrange(12..<16, with: [224, 0, 0, 1]) },
    Fault("to a multicast address") { $0.replaceSubrange(16..<20, with: [224, 0, 0, 1]) },
    Fault("to a link-local address") { $0.replaceSubrange(16..<20, with: [169, 254, 0, 1]) },
    Fault("to an address that is not here") { $0[19] = 77 },
    Fault("to a link-local address of IPv6", v6: true) { ($0[24], $0[25]) = (0xFE, 0x80) },
    Fault("IPv4 within IPv4") { $0[9] = 4 },
    Fault("IPv4 within IPv6", v6: true) { $0[6] = 4 },
    Fault("a chain of options headers", v6: true) {
      $0[6] = 0
      $0.replaceSubrange(40..<56, with: [60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0])
    },
    Fault("no next header", v6: true) { $0[6] = 59 },
    Fault("a protocol that nobody knows") { $0[9] = 253 },
  ]

  /// What the host may make of as it likes: handed on as it is, joined with nothing.
  static let odd: [Fault] = [
    Fault("a wrong header checksum") { $0[10] ^= 0x55 },
    Fault("a wrong checksum of UDP") { $0[27] ^= 0x55 },
    Fault("a wrong checksum of TCP", tcp: true) { $0[37] ^= 0x55 },
    Fault("a wrong checksum over IPv6", v6: true) { $0[47] ^= 0x55 },
    Fault("a TCP offset into the data", tcp: true) { $0[32] = 0xF0 },
    Fault("a TCP offset within the ports", tcp: true) { $0[32] = 0x10 },
    Fault("a length of UDP that is not the packet's") { $0[25] ^= 1 },
    Fault("the first of some fragments") { $0[6] = 0x20 },
    Fault("a later fragment") { ($0[6], $0[7]) = (0x20, 64) },
  ]

  private static func packet(
    _ fault: Fault,
    _ place: Int,
    from source: Node,
    to target: Node
  ) -> [UInt8] {
    let (from, to) = fault.isV4 ? (source.v4, target.v4) : (source.v6, target.v6)
    let payload = HostPacket.payload(600, seed: UInt64(place + 1))
    var made =
      fault.isTCP
      ? HostPacket.tcp(
        from: from,
        to: to,
        flags: .ack,
        sequence: UInt32(place * 600),
        payload: payload
      )
      : HostPacket.udp(from: from, to: to, payload: payload)
    return made.packet.withPacketBytes { bytes in
      guard let segmenter = Segmenter(bytes, PacketView(bytes), made.offload) else { return [] }
      var whole = [UInt8](repeating: 0, count: segmenter.length(of: 0))
      whole.withPacketBytes { segmenter.write(0, of: bytes, to: $0) }
      return whole
    }
  }

  /// The packets that a host makes of what it is given.
  private func taken(by node: Node) -> [[UInt8]] {
    node.delivered.flatMap { header, bytes -> [[UInt8]] in
      var bytes = bytes
      return bytes.withPacketBytes { whole in
        guard let segmenter = Segmenter(whole, PacketView(whole), header) else { return [] }
        return (0..<segmenter.count).map { index in
          var one = [UInt8](repeating: 0, count: segmenter.length(of: index))
          one.withPacketBytes { segmenter.write(index, of: whole, to: $0) }
          return one
        }
      }
    }
  }

  @Test("A bad packet in a train is a counted drop, and its neighbours arrive", arguments: fatal)
  func fatalInTrain(fault: Fault) throws {
    let peer = try RawPeer()
    var packets = (0..<4).map { Self.packet(fault, $0, from: peer.identity, to: peer.node) }
    fault.spoil(&packets[2])
    peer.arrive(try peer.sealed(packets), segmentSize: RawPeer.datagramSize)
    packets.remove(at: 2)
    #expect(taken(by: peer.node) == packets)
    #expect(peer.dropped == 1)
  }

  @Test("An odd packet in a train is handed on as it is, joined with nothing", arguments: odd)
  func oddInTrain(fault: Fault) throws {
    let peer = try RawPeer()
    var packets = (0..<4).map { Self.packet(fault, $0, from: peer.identity, to: peer.node) }
    fault.spoil(&packets[2])
    peer.arrive(try peer.sealed(packets), segmentSize: RawPeer.datagramSize)
    let alone = peer.node.delivered.filter { $0.header == .none }.map(\.bytes)
    #expect(alone.contains(packets[2]))
    #expect(Set(taken(by: peer.node)) == Set(packets))
    #expect(peer.dropped == 0)
  }

  @Test(
    "A train whose datagrams are cut at a wrong size loses them, and no more",
    arguments: 1...40
  )
  func unevenTrain(seed: UInt64) throws {
    var random = SeededGenerator(state: seed)
    let peer = try RawPeer()
    let fault = Fault("none") { _ in }
    let packets = (0..<6).map { Self.packet(fault, $0, from: peer.identity, to: peer.node) }
    let train = try peer.sealed(packets)
    let size = Int.random(in: 1...2 * RawPeer.datagramSize, using: &random)
    let count = Int.random(in: 0...train.count, using: &random)
    peer.arrive(Array(train.prefix(count)), segmentSize: size)
    let early = taken(by: peer.node)
    #expect(early.allSatisfy(packets.contains))
    // What was not taken by then still is: a counter is used up by an authentic datagram alone.
    peer.node.delivered = []
    peer.arrive(train, segmentSize: RawPeer.datagramSize)
    #expect(taken(by: peer.node) == packets.filter { !early.contains($0) })
  }

  @Test("An offload header that lies is a counted drop, and the next packet goes out")
  func lyingOffload() throws {
    let network = Network()
    let (here, there) = (network.nodes[0], network.nodes[1])
    let (packet, honest) = HostPacket.tcp(
      from: here.v4,
      to: there.v4,
      flags: .ack,
      payload: HostPacket.payload(4000)
    )
    network.send(packet, from: here, offload: honest)
    network.advance(by: .milliseconds(100))
    let lies: [(inout OffloadHeader) -> Void] = [
      { $0.segmentSize = 0 },
      { $0.segmentation = .tcpV6 },
      { $0.segmentation = .udp },
      { $0.checksumStart = 65_535 },
      { $0.checksumStart = 19 },
      { $0.checksumStart = packet.count },
      { $0.checksumOffset = 65_535 },
      { $0.checksumOffset = packet.count - 20 },
    ]
    for (number, lie) in lies.enumerated() {
      there.delivered = []
      let before = here.counters.outboundDrops.values.reduce(0, +)
      var offload = honest
      lie(&offload)
      network.send(packet, from: here, offload: offload)
      let refused = here.counters.outboundDrops.values.reduce(0, +) - before
      network.send(packet, from: here, offload: honest)
      let arrived = there.delivered.flatMap { HostPacket.content($0.bytes) }
      let content = HostPacket.content(packet)
      // A lie about a super-packet's checksum is not asked for: each segment gets one of its own.
      #expect(refused >= 1 && arrived == content || arrived == content + content, "lie \(number)")
    }
  }
}
