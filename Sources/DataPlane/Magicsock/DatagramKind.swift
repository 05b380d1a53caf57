// SPDX-License-Identifier: Apache-2.0

/// What a datagram on the one UDP socket is.
///
/// - Source: `Documentation/Protocols/disco.md`, rules.
public enum DatagramKind: Hashable, Sendable {
  /// A STUN message.
  case stun
  /// A discovery message.
  case disco
  /// Anything that is none of the others: WireGuard judges it.
  case wireguard
  /// Discovery or WireGuard behind the header of a peer relay.
  case geneve
  /// Nothing at all.
  case noise

  /// The kind of a datagram, by its first bytes.
  @inlinable public static func classify(_ datagram: UnsafeRawBufferPointer) -> DatagramKind {
    let count = datagram.count
    guard count >= 8 else { return count == 0 ? .noise : .wireguard }
    // SAFETY: at least 8 bytes are there; each further load is behind a check of the count.
    let first = unsafe UInt32(bigEndian: datagram.loadUnaligned(as: UInt32.self))
    let second = unsafe UInt32(
      bigEndian: datagram.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
    )
    if first & 0x00FF_FFFF == 0, (1...4).contains(first >> 24) { return .wireguard }
    if count >= 20, second == 0x2112_A442, first & 0xC0FF_0000 == 0x0001_0000 { return .stun }
    if first & 0xC03F_FFFF == 0x0000_7A12, second & 0xFF == 0 { return .geneve }
    if first & 0xC03F_FFFF == 0x0000_7A11, second & 0xFF == 0 {
      return unsafe count >= 8 + 38 && hasDiscoMagic(datagram, at: 8) ? .geneve : .wireguard
    }
    return unsafe count >= 38 && hasDiscoMagic(datagram, at: 0) ? .disco : .wireguard
  }

  /// The kind of a datagram, by its first bytes.
  public static func classify(_ datagram: [UInt8]) -> DatagramKind {
    // SAFETY: the pointer does not leave the call.
    unsafe datagram.withUnsafeBytes { unsafe classify($0) }
  }

  @usableFromInline @inline(__always)
  static func hasDiscoMagic(_ datagram: UnsafeRawBufferPointer, at offset: Int) -> Bool {
    // SAFETY: callers checked that 38 bytes follow `offset`.
    let head = unsafe UInt32(
      bigEndian: datagram.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
    )
    let tail = unsafe UInt16(
      bigEndian: datagram.loadUnaligned(fromByteOffset: offset + 4, as: UInt16.self)
    )
    return head == 0x5453_F09F && tail == 0x92AC
  }
}
