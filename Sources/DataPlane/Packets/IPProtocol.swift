// SPDX-License-Identifier: Apache-2.0

/// The number by which an IP header names what follows it.
///
/// - Source: IANA, assigned Internet protocol numbers.
public struct IPProtocol: RawRepresentable, Hashable, Sendable {
  /// The number.
  public let rawValue: UInt8

  /// The protocol of this number.
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// ICMP, of IPv4.
  @inlinable public static var icmp: IPProtocol { IPProtocol(rawValue: 1) }
  /// IGMP.
  @inlinable public static var igmp: IPProtocol { IPProtocol(rawValue: 2) }
  /// TCP.
  @inlinable public static var tcp: IPProtocol { IPProtocol(rawValue: 6) }
  /// UDP.
  @inlinable public static var udp: IPProtocol { IPProtocol(rawValue: 17) }
  /// The fragment extension header of IPv6.
  @inlinable public static var fragmentHeader: IPProtocol { IPProtocol(rawValue: 44) }
  /// ICMP, of IPv6.
  @inlinable public static var icmpv6: IPProtocol { IPProtocol(rawValue: 58) }
  /// Messages between the nodes of a tailnet, inside the tunnel.
  @inlinable public static var tsmp: IPProtocol { IPProtocol(rawValue: 99) }
  /// SCTP.
  @inlinable public static var sctp: IPProtocol { IPProtocol(rawValue: 132) }

  /// Whether IPv6 tells its length in its second byte: hop-by-hop options, routing, destination options.
  ///
  /// - Source: RFC 8200 §4.3, §4.4 and §4.6.
  @inlinable public var isOptions: Bool { rawValue == 0 || rawValue == 43 || rawValue == 60 }
}

/// The control bits of a TCP header.
///
/// - Source: RFC 9293 §3.1.
public struct TCPFlags: OptionSet, Hashable, Sendable {
  /// The bits of byte 13.
  public let rawValue: UInt8

  /// The flags of byte 13.
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// No more data from the sender.
  @inlinable public static var fin: TCPFlags { TCPFlags(rawValue: 0x01) }
  /// Opens a connection.
  @inlinable public static var syn: TCPFlags { TCPFlags(rawValue: 0x02) }
  /// Resets the connection.
  @inlinable public static var rst: TCPFlags { TCPFlags(rawValue: 0x04) }
  /// The receiver should hand the data up.
  @inlinable public static var psh: TCPFlags { TCPFlags(rawValue: 0x08) }
  /// The acknowledgment field counts.
  @inlinable public static var ack: TCPFlags { TCPFlags(rawValue: 0x10) }
  /// The receiver has seen congestion (RFC 3168).
  @inlinable public static var ece: TCPFlags { TCPFlags(rawValue: 0x40) }
  /// The sender has reduced its window (RFC 3168).
  @inlinable public static var cwr: TCPFlags { TCPFlags(rawValue: 0x80) }
}
