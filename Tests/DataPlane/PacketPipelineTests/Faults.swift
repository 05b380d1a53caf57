// SPDX-License-Identifier: Apache-2.0

import Bytes
import Packets
import Testing

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

extension Fault {
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

  /// A packet of the right kind for this fault, not spoiled: the one at `place` of its flow.
  func packet(_ place: Int, from source: Node, to target: Node) -> [UInt8] {
    let (from, to) = isV4 ? (source.v4, target.v4) : (source.v6, target.v6)
    let payload = HostPacket.payload(600, seed: UInt64(place + 1))
    var made =
      isTCP
      ? HostPacket.tcp(
        from: from,
        to: to,
        flags: .ack,
        sequence: UInt32(place * 600),
        payload: payload
      )
      : HostPacket.udp(from: from, to: to, payload: payload)
    if isV4 {
      // Numbered in order: another number would keep it from being joined.
      made.packet[5] = UInt8(place)
      made.packet.withPacketBytes { IPPacket.writeHeaderChecksum($0, length: 20) }
    }
    return HostPacket.cut(&made.packet, made.offload).first ?? []
  }
}
