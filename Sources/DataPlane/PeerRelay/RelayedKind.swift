// SPDX-License-Identifier: Apache-2.0

package import Packets

/// What a datagram that arrives at a peer relay is.
///
/// Carried on is only what looks like what two nodes say to each other; a relay is no tunnel for others.
package enum RelayedKind: Hashable, Sendable {
  /// From one client to the other, in the network of that number.
  case data(UInt32)
  /// From a client to the relay.
  case control
  /// STUN: perhaps an answer to the relay.
  case stun
  /// None of these.
  case other

  /// The least datagram of WireGuard: a keep-alive.
  private static let leastWireGuard = 32
  /// The least datagram of discovery.
  private static let leastDisco = 62

  /// The kind of a datagram, by its first bytes.
  package init(of datagram: PacketBytes) {
    let count = datagram.count
    guard count >= 20 else {
      self = .other
      return
    }
    let first = datagram.uint32(at: 0)
    let second = datagram.uint32(at: 4)
    let isNumbered = second & 0xFF == 0 && second != 0
    switch first {
    case 0x0000_7A12 where isNumbered && count >= 8 + Self.leastWireGuard:
      let type = datagram.uint32(at: 8)
      let isMessage = type & 0x00FF_FFFF == 0 && (1...4).contains(type >> 24)
      self = isMessage ? .data(second >> 8) : .other
    case 0x0000_7A11 where isNumbered && count >= 8 + Self.leastDisco:
      self = Self.isDisco(datagram) ? .data(second >> 8) : .other
    case 0x0080_7A11 where isNumbered && count >= 8 + Self.leastDisco:
      self = Self.isDisco(datagram) ? .control : .other
    default:
      self = second == 0x2112_A442 && first & 0xC000_0000 == 0 ? .stun : .other
    }
  }

  private static func isDisco(_ datagram: PacketBytes) -> Bool {
    datagram.uint32(at: 8) == 0x5453_F09F && datagram.uint16(at: 12) == 0x92AC
  }
}
