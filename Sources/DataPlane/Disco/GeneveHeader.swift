// SPDX-License-Identifier: Apache-2.0

import Bytes

/// What stands before packets that go through a peer relay.
///
/// | Offset | Bytes | Field |
/// |---|---|---|
/// | 0 | 1 | version (2 bits) and length of options (6 bits, 0) |
/// | 1 | 1 | bit 0x80: between a client and the relay itself |
/// | 2 | 2 | protocol: 0x7A11 discovery, 0x7A12 WireGuard |
/// | 4 | 3 | virtual network identifier, never 0 |
/// | 7 | 1 | zero |
///
/// - Source: RFC 8926 §3.4.
package struct GeneveHeader: Hashable, Sendable {
  /// What follows the header.
  package enum Content: UInt16, Hashable, Sendable {
    /// A discovery message.
    case disco = 0x7A11
    /// A WireGuard message.
    case wireguard = 0x7A12
  }

  /// How many bytes it takes.
  package static let byteCount = 8

  /// 0; receivers refuse others.
  package var version: UInt8
  /// Whether it is between a client and the relay itself.
  package var isControl: Bool
  /// What follows.
  package var content: Content
  /// Names the allocation at the relay: 24 bits.
  package var virtualNetwork: UInt32

  /// A header.
  package init(
    version: UInt8 = 0,
    isControl: Bool,
    content: Content,
    virtualNetwork: UInt32
  ) {
    precondition(version < 4 && virtualNetwork >> 24 == 0, "2 bits of version, 24 of network")
    (self.version, self.isControl) = (version, isControl)
    (self.content, self.virtualNetwork) = (content, virtualNetwork)
  }

  /// The header at the start of `datagram`; nil when there is none.
  package init?(parsing datagram: [UInt8]) {
    guard datagram.count >= Self.byteCount, datagram[0] & 0x3F == 0, datagram[1] & 0x3F == 0,
      datagram[7] == 0,
      let content = Content(rawValue: UInt16(datagram[2]) << 8 | UInt16(datagram[3]))
    else { return nil }
    version = datagram[0] >> 6
    isControl = datagram[1] & 0x80 != 0
    self.content = content
    virtualNetwork = datagram[4..<7].reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// The 8 bytes.
  package var bytes: [UInt8] {
    var writer = ByteWriter(capacity: Self.byteCount)
    writer.write([version << 6, isControl ? 0x80 : 0])
    writer.bigEndian(content.rawValue)
    writer.bigEndian(virtualNetwork << 8)
    return writer.bytes
  }
}
