// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import Bytes

/// Tells the sender of a packet that it is too large for the way, and how large one may be.
///
/// - Source: RFC 792 and RFC 1191 §4; RFC 4443 §3.2.
public enum PacketTooBig {
  /// What every network with IPv6 carries: senders take no less for an answer.
  private static let leastV6 = 1280
  /// How much of the packet goes back: enough to know its flow by.
  private static let quoted = 128

  /// The packet that says so; nil where its sender is not to be told.
  ///
  /// Not told is who lets routers cut, who sent an ICMP error or a fragment, and who may send as much.
  public static func packet(
    about packet: PacketBytes,
    _ view: PacketView,
    mtu: Int
  ) -> [UInt8]? {
    guard !view.isICMPError, view.kind != .malformed, view.kind != .fragment else { return nil }
    let isV4 = view.source.isV4
    guard isV4 ? packet[6] & 0x40 != 0 && mtu >= 68 : mtu >= leastV6 else { return nil }
    var writer = ByteWriter(capacity: 8 + quoted)
    writer.write(isV4 ? [3, 4, 0, 0] : [2, 0, 0, 0])
    writer.bigEndian(UInt32(clamping: isV4 ? min(mtu, 0xFFFF) : mtu))
    writer.write(packet.slice(0..<min(quoted, view.length)).array)
    var message = writer.bytes
    let length = message.count
    let proto: IPProtocol = isV4 ? .icmp : .icmpv6
    message.withPacketBytes { bytes in
      var sum = InternetChecksum.sum(bytes, 0..<length)
      if !isV4 {
        sum &+= InternetChecksum.pseudoHeader(
          from: view.destination,
          to: view.source,
          proto: proto,
          length: length
        )
      }
      bytes.storeNative(InternetChecksum.field(sum), at: 2)
    }
    return IPPacket.build(
      from: view.destination,
      to: view.source,
      proto: proto,
      payload: message
    )
  }
}
