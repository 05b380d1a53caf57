// SPDX-License-Identifier: Apache-2.0

public import Addressing
internal import Bytes

/// An ICMP echo request or reply, of either family.
///
/// - Source: RFC 792; RFC 4443 §4.
public struct ICMPEcho: Hashable, Sendable {
  /// Whether it answers.
  public var isReply: Bool
  /// Tells pings of different senders apart.
  public var identifier: UInt16
  /// Tells pings of one sender apart.
  public var sequence: UInt16
  /// What comes back unchanged.
  public var data: [UInt8]

  /// An echo message.
  public init(isReply: Bool = false, identifier: UInt16, sequence: UInt16, data: [UInt8] = []) {
    (self.isReply, self.identifier, self.sequence) = (isReply, identifier, sequence)
    self.data = data
  }

  /// Reads the echo message in `bytes`, of which `view` is the parse; nil when it is none.
  public init?(_ bytes: PacketBytes, _ view: PacketView) {
    guard view.isEchoRequest || view.isEchoReply, !view.isFirstFragment,
      view.length - view.transportOffset >= 8
    else { return nil }
    let start = view.transportOffset
    isReply = view.isEchoReply
    identifier = bytes.uint16(at: start + 4)
    sequence = bytes.uint16(at: start + 6)
    data = bytes.slice(start + 8..<view.length).array
  }

  /// The reply to this request.
  public var reply: ICMPEcho {
    ICMPEcho(isReply: true, identifier: identifier, sequence: sequence, data: data)
  }

  /// The whole packet that carries it.
  public func packet(from source: IPAddress, to destination: IPAddress) -> [UInt8] {
    let proto: IPProtocol = source.isV4 ? .icmp : .icmpv6
    var writer = ByteWriter(capacity: 8 + data.count)
    writer.write([source.isV4 ? (isReply ? 0 : 8) : (isReply ? 129 : 128), 0, 0, 0])
    writer.bigEndian(identifier)
    writer.bigEndian(sequence)
    writer.write(data)
    var message = writer.bytes
    let length = message.count
    message.withPacketBytes { bytes in
      var sum = InternetChecksum.sum(bytes, 0..<length)
      if !source.isV4 {
        sum &+= InternetChecksum.pseudoHeader(
          from: source,
          to: destination,
          proto: proto,
          length: length
        )
      }
      bytes.storeNative(InternetChecksum.field(sum), at: 2)
    }
    return IPPacket.build(from: source, to: destination, proto: proto, payload: message)
  }
}
