// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import CommandLine
import Packets

/// What a host hands to its tunnel, as `martlet-bench packets` makes it.
enum PacketKind: String, CaseIterable, SettingValue {
  /// A super-packet of TCP, as a bulk flow has them.
  case tcpTrain = "tcp-train"
  /// The same over IPv6.
  case tcp6Train = "tcp6-train"
  /// An acknowledgement without content.
  case tcpAck = "tcp-ack"
  /// A super-packet of UDP, as QUIC has them.
  case udpTrain = "udp-train"
  /// A datagram of 1,200 bytes.
  case udp1200 = "udp-1200"
  /// A datagram of 64 bytes.
  case udp64 = "udp-64"

  init?(settingText text: String) { self.init(rawValue: text) }

  static var expectation: String {
    "one of " + allCases.map(\.rawValue).joined(separator: ", ")
  }

  /// How many packets one of these is on the wire.
  var packetCount: Int {
    switch self {
    case .tcpTrain, .tcp6Train: Self.segments
    case .udpTrain: Self.segments
    case .tcpAck, .udp1200, .udp64: 1
    }
  }

  /// How many of these make a run that the network delivers at once.
  var runLength: Int { packetCount > 1 ? 1 : Self.segments }

  private static let segments = 40
  private static let segmentSize = 1200

  /// The packet and its offload header, checksum unfinished as a kernel leaves it.
  ///
  /// Super-packets of TCP follow one another: `number` is the place of this one.
  func packet(
    from source: Addresses,
    to destination: Addresses,
    number: Int = 0
  ) -> (bytes: [UInt8], offload: OffloadHeader) {
    let isV6 = self == .tcp6Train
    let (from, to) = isV6 ? (source.v6, destination.v6) : (source.v4, destination.v4)
    switch self {
    case .tcpTrain, .tcp6Train:
      let size = Self.segments * Self.segmentSize
      return Self.tcp(from, to, sequence: UInt32(truncatingIfNeeded: number * size), size)
    case .tcpAck: return Self.tcp(from, to, sequence: 1, 0)
    case .udpTrain: return Self.udp(from, to, Self.segments * Self.segmentSize)
    case .udp1200: return Self.udp(from, to, 1200)
    case .udp64: return Self.udp(from, to, 64)
    }
  }

  private static func tcp(
    _ source: IPAddress,
    _ destination: IPAddress,
    sequence: UInt32,
    _ size: Int
  ) -> (bytes: [UInt8], offload: OffloadHeader) {
    var segment = ByteWriter()
    segment.bigEndian(UInt16(40_000))
    segment.bigEndian(UInt16(5201))
    segment.bigEndian(sequence)
    segment.bigEndian(UInt32(1))
    // A header of 32 bytes, ACK, a window, no checksum yet, and timestamps as Linux writes them.
    segment.write([0x80, 0x10, 1, 0, 0, 0, 0, 0, 1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8])
    segment.write([UInt8](repeating: 0x5A, count: size))
    return unfinished(segment.bytes, source, destination, .tcp, field: 16, size: size)
  }

  private static func udp(
    _ source: IPAddress,
    _ destination: IPAddress,
    _ size: Int
  ) -> (bytes: [UInt8], offload: OffloadHeader) {
    var datagram = ByteWriter()
    datagram.bigEndian(UInt16(40_000))
    datagram.bigEndian(UInt16(9000))
    datagram.bigEndian(UInt16(8 + size))
    datagram.bigEndian(UInt16(0))
    datagram.write([UInt8](repeating: 0x5A, count: size))
    return unfinished(datagram.bytes, source, destination, .udp, field: 6, size: size)
  }

  private static func unfinished(
    _ upper: [UInt8],
    _ source: IPAddress,
    _ destination: IPAddress,
    _ proto: IPProtocol,
    field: Int,
    size: Int
  ) -> (bytes: [UInt8], offload: OffloadHeader) {
    var packet = IPPacket.build(from: source, to: destination, proto: proto, payload: upper)
    let start = source.isV4 ? 20 : 40
    let sum = InternetChecksum.pseudoHeader(
      from: source,
      to: destination,
      proto: proto,
      length: upper.count
    )
    packet.withPacketBytes { $0.storeNative(InternetChecksum.folded(sum), at: start + field) }
    let isTrain = size > segmentSize
    let kind: OffloadHeader.Segmentation =
      !isTrain ? .none : proto == .udp ? .udp : source.isV4 ? .tcpV4 : .tcpV6
    let offload = OffloadHeader(
      needsChecksum: true,
      segmentation: kind,
      segmentSize: isTrain ? segmentSize : 0,
      checksumStart: start,
      checksumOffset: field
    )
    return (packet, offload)
  }
}

/// The addresses of one node, one of each family.
struct Addresses {
  var v4: IPAddress
  var v6: IPAddress
}
