// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Foundation
import Packets
import TestSupport

/// What the tests of this module build and read packets with.
enum Support {
  static let source4 = IPAddress(100, 64, 0, 1)
  static let destination4 = IPAddress(100, 64, 0, 2)
  static let source6 = IPAddress(high: 0xFD7A_115C_A1E0_0000, low: 1)
  static let destination6 = IPAddress(high: 0xFD7A_115C_A1E0_0000, low: 2)

  static var fixtures: URL {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../../Fixtures")
  }

  static func corpus(_ name: String) throws -> [[UInt8]] {
    let folder = fixtures.appendingPathComponent("Corpora/\(name)")
    return try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted().map {
      try [UInt8](Data(contentsOf: folder.appendingPathComponent($0)))
    }
  }

  static func payload(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var random = SeededGenerator(state: seed)
    return (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
  }

  /// A TCP packet as the operating system hands it over: whole or larger than the link.
  static func tcp(
    v6: Bool = false,
    sequence: UInt32 = 1000,
    flags: TCPFlags = [.ack, .psh],
    options: [UInt8] = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
    payload: [UInt8]
  ) -> [UInt8] {
    var segment = ByteWriter()
    segment.bigEndian(UInt16(443))
    segment.bigEndian(UInt16(5555))
    segment.bigEndian(sequence)
    segment.bigEndian(UInt32(77))
    segment.write([UInt8((20 + options.count) / 4) << 4, flags.rawValue, 0x12, 0x34, 0, 0, 0, 0])
    segment.write(options)
    segment.write(payload)
    return finished(segment.bytes, proto: .tcp, field: 16, v6: v6)
  }

  static func udp(v6: Bool = false, payload: [UInt8]) -> [UInt8] {
    var datagram = ByteWriter()
    datagram.bigEndian(UInt16(4000))
    datagram.bigEndian(UInt16(53))
    datagram.bigEndian(UInt16(8 + payload.count))
    datagram.bigEndian(UInt16(0))
    datagram.write(payload)
    return finished(datagram.bytes, proto: .udp, field: 6, v6: v6)
  }

  private static func finished(
    _ upper: [UInt8],
    proto: IPProtocol,
    field: Int,
    v6: Bool
  ) -> [UInt8] {
    var packet = IPPacket.build(
      from: v6 ? source6 : source4,
      to: v6 ? destination6 : destination4,
      proto: proto,
      identification: 42,
      payload: upper
    )
    let start = v6 ? 40 : 20
    if !v6 {
      packet[6] = 0x40
      packet.withPacketBytes { IPPacket.writeHeaderChecksum($0, length: 20) }
    }
    let sum = referenceSum(Array(packet[start...]), pseudo: pseudo(packet, start, proto))
    packet[start + field] = UInt8(~sum >> 8 & 0xFF)
    packet[start + field + 1] = UInt8(~sum & 0xFF)
    return packet
  }

  /// Whether IP and transport checksums hold, computed the plain way.
  static func isIntact(_ packet: [UInt8]) -> Bool {
    let v6 = packet[0] >> 4 == 6
    let start = v6 ? 40 : 20
    let proto = IPProtocol(rawValue: v6 ? packet[6] : packet[9])
    let upper = referenceSum(Array(packet[start...]), pseudo: pseudo(packet, start, proto))
    return upper == 0xFFFF && (v6 || referenceSum(Array(packet[..<20]), pseudo: []) == 0xFFFF)
  }

  private static func pseudo(_ packet: [UInt8], _ start: Int, _ proto: IPProtocol) -> [UInt8] {
    let length = packet.count - start
    return Array(start == 40 ? packet[8..<40] : packet[12..<20])
      + [0, proto.rawValue, UInt8(length >> 8), UInt8(length & 255)]
  }

  static func referenceSum(_ bytes: [UInt8], pseudo: [UInt8]) -> UInt16 {
    var total = 0
    for part in [pseudo, bytes] {
      for (index, byte) in part.enumerated() {
        total += index.isMultiple(of: 2) ? Int(byte) << 8 : Int(byte)
      }
    }
    while total > 0xFFFF { total = total & 0xFFFF + total >> 16 }
    return UInt16(total)
  }

  static func view(_ packet: [UInt8]) -> PacketView {
    var copy = packet
    return copy.withPacketBytes { PacketView($0) }
  }
}
