// SPDX-License-Identifier: Apache-2.0

import PacketPipeline
import Packets
import Testing

@Suite("Bad packets from the host")
struct BadHostPacketTests {
  @Test(
    "A bad packet of the host is a counted drop, here or at the peer, and its neighbours arrive",
    arguments: Fault.fatal
  )
  func fatal(fault: Fault) {
    let network = Network()
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.settleSession(from: here, to: there)
    var packets = (0..<3).map { fault.packet($0, from: here, to: there) }
    fault.spoil(&packets[1])
    let before = here.fallenOff + there.fallenOff
    for packet in packets { network.send(packet, from: here) }
    #expect(there.taken == [packets[0], packets[2]])
    #expect(here.fallenOff + there.fallenOff - before == 1)
  }

  @Test("An odd packet of the host arrives as it is", arguments: Fault.odd)
  func odd(fault: Fault) {
    let network = Network()
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.settleSession(from: here, to: there)
    var packets = (0..<3).map { fault.packet($0, from: here, to: there) }
    fault.spoil(&packets[1])
    for packet in packets { network.send(packet, from: here) }
    #expect(there.taken == packets)
  }

  /// What an offload header may lie about, and the packet that it is in front of.
  struct Lie: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var isSuper = true
    var isUDP = false
    var isV6 = false
    /// What becomes of it; nil when it is refused.
    var outcome: Outcome = .refused
    var tell: @Sendable (inout OffloadHeader, inout [UInt8]) -> Void

    enum Outcome { case refused, harmless }
  }

  static let lies: [Lie] = [
    Lie(testDescription: "segments of no size") { header, _ in header.segmentSize = 0 },
    Lie(testDescription: "segments of TCP over the other family") { header, _ in
      header.segmentation = .tcpV6
    },
    Lie(testDescription: "segments of TCP over IPv4 where IPv6 is", isV6: true) { header, _ in
      header.segmentation = .tcpV4
    },
    Lie(testDescription: "segments of UDP where TCP is") { header, _ in
      header.segmentation = .udp
    },
    Lie(testDescription: "segments of TCP where UDP is", isUDP: true) { header, _ in
      header.segmentation = .tcpV4
    },
    Lie(testDescription: "segments of a fragment") { _, packet in packet[6] = 0x20 },
    Lie(testDescription: "segments behind a header of fragments", isV6: true) { _, packet in
      packet[6] = 44
      packet.replaceSubrange(40..<48, with: [6, 0, 0, 0, 0, 0, 0, 1])
    },
    Lie(testDescription: "segments behind a header of options", isV6: true) { _, packet in
      packet[6] = 60
      packet.replaceSubrange(40..<48, with: [6, 0, 1, 4, 0, 0, 0, 0])
    },
    Lie(testDescription: "a TCP header of 16 bytes") { _, packet in packet[32] = 0x40 },
    Lie(testDescription: "a TCP header longer than the packet") { header, packet in
      packet = Array(packet[..<45])
      (packet[2], packet[3], packet[32]) = (0, 45, 0xF0)
      header.segmentSize = 10
    },
    Lie(testDescription: "a packet longer than what was read") { _, packet in
      packet.removeLast(7)
    },
    Lie(testDescription: "a checksum at a place beyond", isSuper: false) { header, _ in
      header.checksumStart = 65_535
    },
    Lie(testDescription: "a checksum in the IP header", isSuper: false) { header, _ in
      header.checksumStart = 19
    },
    Lie(testDescription: "a checksum from the last byte", isSuper: false) { header, packet in
      header.checksumStart = packet.count - 1
    },
    Lie(testDescription: "a checksum far behind its start", isSuper: false) { header, _ in
      header.checksumOffset = 65_535
    },
    Lie(testDescription: "a checksum across the end", isSuper: false) { header, packet in
      header.checksumOffset = packet.count - 21
    },
    Lie(testDescription: "a checksum in the data", isSuper: false) { header, _ in
      header.checksumOffset = 30
    },
    Lie(testDescription: "a checksum of UDP in its length", isSuper: false, isUDP: true) {
      header,
      _ in header.checksumOffset = 4
    },
    Lie(testDescription: "a checksum of one fragment", isSuper: false) { _, packet in
      packet[6] = 0x20
    },
    // Each segment gets a checksum of its own, wherever the super-packet's is said to be.
    Lie(testDescription: "a super-packet's checksum beyond", outcome: .harmless) { header, _ in
      header.checksumStart = 65_535
    },
    Lie(testDescription: "headers of 64 KB", outcome: .harmless) { header, _ in
      header.headerLength = 65_535
    },
    Lie(testDescription: "segments larger than the packet", outcome: .harmless) { header, _ in
      header.segmentSize = 65_535
    },
    Lie(testDescription: "nothing about a checksum that is needed", outcome: .harmless) {
      header,
      _ in header.needsChecksum = false
    },
    Lie(testDescription: "bytes behind the packet", outcome: .harmless) { _, packet in
      packet += [1, 2, 3, 4, 5, 6, 7]
    },
  ]

  @Test(
    "An offload header that lies is a counted drop or does no harm, and the next packet goes out",
    arguments: lies
  )
  func lying(lie: Lie) {
    let network = Network()
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.settleSession(from: here, to: there)
    let payload = HostPacket.payload(lie.isSuper ? 4000 : 400)
    let (from, to) = lie.isV6 ? (here.v6, there.v6) : (here.v4, there.v4)
    let (packet, honest) =
      lie.isUDP
      ? HostPacket.udp(from: from, to: to, payload: payload)
      : HostPacket.tcp(from: from, to: to, flags: .ack, payload: payload)
    var (told, spoiled) = (honest, packet)
    lie.tell(&told, &spoiled)
    let before = here.fallenOff
    network.send(spoiled, from: here, offload: told)
    #expect(here.fallenOff - before == (lie.outcome == .refused ? 1 : 0))
    network.send(packet, from: here, offload: honest)
    let content = there.taken.flatMap { HostPacket.content($0) }
    #expect(content == (lie.outcome == .refused ? payload : payload + payload))
  }

  @Test("Of a super-packet cut into more segments than we take the rest is counted")
  func tooMany() {
    let network = Network()
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.settleSession(from: here, to: there)
    let made = HostPacket.udp(
      from: here.v4,
      to: there.v4,
      payload: HostPacket.payload(60_000),
      segmentSize: 1
    )
    network.send(made.packet, from: here, offload: made.offload)
    #expect(there.taken.count == Arena.maximumSegments)
    #expect(here.counters.outboundDrops[.tooManySegments] == 60_000 - UInt64(Arena.maximumSegments))
  }

  @Test("A packet larger than any datagram is a counted drop")
  func tooLarge() {
    let network = Network()
    let (here, there) = (network.nodes[0], network.nodes[1])
    network.settleSession(from: here, to: there)
    let made = HostPacket.udp(
      from: here.v6,
      to: there.v6,
      payload: HostPacket.payload(65_500),
      segmentSize: 65_500
    )
    network.send(made.packet, from: here, offload: made.offload)
    #expect(there.taken.isEmpty)
    #expect(here.counters.outboundDrops == [.tooLarge: 1])
  }
}
