// SPDX-License-Identifier: Apache-2.0

public import Addressing
internal import Bytes

/// Builds whole packets for the few that the node itself sends; bulk traffic is never built here.
public enum IPPacket {
  /// The time to live, or hop limit, of packets built here.
  public static let hopLimit: UInt8 = 64

  /// A packet around `payload`.
  ///
  /// - Parameters:
  ///   - source: The sender.
  ///   - destination: The receiver, of the same family.
  ///   - proto: What `payload` is.
  ///   - identification: The identification field of IPv4; IPv6 has none.
  ///   - payload: What follows the IP header.
  /// - Returns: Header and payload.
  public static func build(
    from source: IPAddress,
    to destination: IPAddress,
    proto: IPProtocol,
    identification: UInt16 = 0,
    payload: [UInt8]
  ) -> [UInt8] {
    precondition(source.family == destination.family, "a packet has addresses of one family")
    precondition(payload.count <= 65_515, "a packet has a length of 16 bits")
    return source.isV4
      ? v4(source, destination, proto, identification, payload)
      : v6(source, destination, proto, payload)
  }

  /// Writes the checksum of the IPv4 header of `length` bytes at the start of `packet`.
  @inlinable
  public static func writeHeaderChecksum(_ packet: PacketBytes, length: Int) {
    packet.storeNative(UInt16(0), at: 10)
    packet.storeNative(
      InternetChecksum.field(InternetChecksum.sum(packet, 0..<length)),
      at: 10
    )
  }

  private static func v4(
    _ source: IPAddress,
    _ destination: IPAddress,
    _ proto: IPProtocol,
    _ identification: UInt16,
    _ payload: [UInt8]
  ) -> [UInt8] {
    var writer = ByteWriter(capacity: 20 + payload.count)
    writer.write([0x45, 0])
    writer.bigEndian(UInt16(20 + payload.count))
    writer.bigEndian(identification)
    writer.write([0, 0, hopLimit, proto.rawValue, 0, 0])
    writer.bigEndian(source.v4Bits)
    writer.bigEndian(destination.v4Bits)
    writer.write(payload)
    var packet = writer.bytes
    packet.withPacketBytes { writeHeaderChecksum($0, length: 20) }
    return packet
  }

  private static func v6(
    _ source: IPAddress,
    _ destination: IPAddress,
    _ proto: IPProtocol,
    _ payload: [UInt8]
  ) -> [UInt8] {
    var writer = ByteWriter(capacity: 40 + payload.count)
    writer.write([0x60, 0, 0, 0])
    writer.bigEndian(UInt16(payload.count))
    writer.write([proto.rawValue, hopLimit])
    writer.write(source.bytes)
    writer.write(destination.bytes)
    writer.write(payload)
    return writer.bytes
  }
}
