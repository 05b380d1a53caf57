// SPDX-License-Identifier: Apache-2.0

public import Addressing

/// What a packet says about itself, read once and then passed along.
///
/// Holds values only, no reference to the bytes. Whatever cannot be read with certainty is
/// `malformed`, and the filter drops that: a packet that two parsers could read differently must not
/// pass one of them (security S34).
///
/// - Source: `Documentation/Protocols/packet-filter.md`, parse of packets; RFC 1858 and RFC 5722 for
///   why early fragments are refused.
public struct PacketView: Hashable, Sendable {
  /// The kinds of packet that are treated differently.
  public enum Kind: UInt8, Hashable, Sendable {
    /// Too short, inconsistent or overlapping: never accepted.
    case malformed
    /// A later fragment, without a transport header.
    case fragment
    /// TCP.
    case tcp
    /// UDP.
    case udp
    /// SCTP.
    case sctp
    /// ICMP of the packet's own family.
    case icmp
    /// A message between nodes.
    case tsmp
    /// Any other protocol, extension headers but the fragment header included.
    case other
  }

  /// What kind of packet it is.
  public private(set) var kind = Kind.malformed
  /// The number of the protocol above IP.
  public private(set) var proto = IPProtocol(rawValue: 0)
  /// Whether it is the first of several fragments.
  public private(set) var isFirstFragment = false
  /// TCP's control bits.
  public private(set) var flags = TCPFlags()
  /// ICMP's type.
  public private(set) var icmpType: UInt8 = 0
  /// ICMP's code.
  public private(set) var icmpCode: UInt8 = 0
  /// The port it comes from; 0 when it has none.
  public private(set) var sourcePort: UInt16 = 0
  /// The port it goes to; 0 when it has none.
  public private(set) var destinationPort: UInt16 = 0
  /// Where the transport header starts.
  public private(set) var transportOffset = 0
  /// The length that the IP header gives; what follows in the buffer is padding.
  public private(set) var length = 0
  /// The sender.
  public private(set) var source = IPAddress(v4: 0)
  /// The receiver.
  public private(set) var destination = IPAddress(v4: 0)

  /// Reads the headers of `bytes`.
  public init(_ bytes: PacketBytes) {
    guard bytes.count >= 20 else { return }
    switch bytes[0] >> 4 {
    case 4: readV4(bytes)
    case 6: readV6(bytes)
    default: break
    }
  }

  /// Whether it opens a TCP connection.
  @inlinable public var isSYN: Bool {
    kind == .tcp && flags.contains(.syn) && !flags.contains(.ack)
  }

  /// Whether it is an ICMP echo request.
  @inlinable public var isEchoRequest: Bool {
    kind == .icmp && icmpCode == 0 && icmpType == (source.isV4 ? 8 : 128)
  }

  /// Whether it is an ICMP echo reply.
  @inlinable public var isEchoReply: Bool {
    kind == .icmp && icmpCode == 0 && icmpType == (source.isV4 ? 0 : 129)
  }

  /// Whether it is an ICMP error about another packet.
  @inlinable public var isICMPError: Bool {
    guard kind == .icmp else { return false }
    return source.isV4
      ? icmpType == 3 || icmpType == 11 || icmpType == 12 : (1...4).contains(icmpType)
  }

  /// Whether `other` belongs to the same flow: addresses, protocol and ports.
  @inlinable
  public func isSameFlow(as other: PacketView) -> Bool {
    kind == other.kind && proto == other.proto && destinationPort == other.destinationPort
      && sourcePort == other.sourcePort && destination == other.destination
      && source == other.source
  }

  private mutating func readV4(_ bytes: PacketBytes) {
    let header = Int(bytes[0] & 0x0F) * 4
    let total = Int(bytes.uint16(at: 2))
    guard header >= 20, header <= total, total <= bytes.count else { return }
    source = bytes.address(.v4, at: 12)
    destination = bytes.address(.v4, at: 16)
    length = total
    let fragment = bytes.uint16(at: 6)
    readUpper(
      IPProtocol(rawValue: bytes[9]),
      bytes,
      at: header,
      fragmentBlock: Int(fragment & 0x1FFF),
      moreFragments: fragment & 0x2000 != 0
    )
  }

  private mutating func readV6(_ bytes: PacketBytes) {
    guard bytes.count >= 40 else { return }
    let total = 40 + Int(bytes.uint16(at: 4))
    source = bytes.address(.v6, at: 8)
    destination = bytes.address(.v6, at: 24)
    // A mapped address names an IPv4 host on the inside of the operating system only.
    guard total <= bytes.count, source.unmapped == source, destination.unmapped == destination
    else { return }
    length = total
    let next = IPProtocol(rawValue: bytes[6])
    guard next == .fragmentHeader else {
      return readUpper(next, bytes, at: 40, fragmentBlock: 0, moreFragments: false)
    }
    guard total >= 48 else { return }
    let fragment = bytes.uint16(at: 42)
    readUpper(
      IPProtocol(rawValue: bytes[40]),
      bytes,
      at: 48,
      fragmentBlock: Int(fragment >> 3),
      moreFragments: fragment & 1 != 0
    )
  }

  /// Fragments that begin within this many blocks of eight bytes could overwrite a transport header.
  private static let firstBlockBeyondHeaders = 10

  private mutating func readUpper(
    _ upper: IPProtocol,
    _ bytes: PacketBytes,
    at offset: Int,
    fragmentBlock: Int,
    moreFragments: Bool
  ) {
    (proto, transportOffset) = (upper, offset)
    guard fragmentBlock == 0 else {
      kind = fragmentBlock >= Self.firstBlockBeyondHeaders ? .fragment : .malformed
      return
    }
    isFirstFragment = moreFragments
    let room = length - offset
    switch (upper, source.family) {
    case (.tcp, _) where room >= 20:
      kind = .tcp
      flags = TCPFlags(rawValue: bytes[offset + 13])
      readPorts(bytes)
    case (.udp, _) where room >= 8:
      kind = .udp
      readPorts(bytes)
    case (.sctp, _) where room >= 12:
      kind = .sctp
      readPorts(bytes)
    case (.icmp, .v4) where room >= 4, (.icmpv6, .v6) where room >= 4:
      (kind, icmpType, icmpCode) = (.icmp, bytes[offset], bytes[offset + 1])
    case (.tsmp, _) where room >= 7 && !moreFragments: kind = .tsmp
    case (.igmp, _) where room >= 8: kind = .other
    case (.tcp, _), (.udp, _), (.sctp, _), (.icmp, .v4), (.icmpv6, .v6), (.tsmp, _), (.igmp, _):
      kind = .malformed
    case (_, .v6) where upper.isOptions && !hasWholeOptions(bytes, at: offset): kind = .malformed
    default: kind = .other
    }
  }

  /// Whether the extension header at `offset` ends within the packet; a jumbogram has none by its length.
  private func hasWholeOptions(_ bytes: PacketBytes, at offset: Int) -> Bool {
    offset + 8 <= length && offset + (Int(bytes[offset + 1]) + 1) * 8 <= length
  }

  private mutating func readPorts(_ bytes: PacketBytes) {
    sourcePort = bytes.uint16(at: transportOffset)
    destinationPort = bytes.uint16(at: transportOffset + 2)
  }
}
