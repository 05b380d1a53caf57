// SPDX-License-Identifier: Apache-2.0

internal import Bytes

/// An IPv4 or IPv6 address.
///
/// An IPv4 address and its mapped IPv6 form (`::ffff:a.b.c.d`) are different values; `unmapped`
/// turns the second into the first.
public struct IPAddress: Hashable, Sendable {
  /// The version of the protocol that an address belongs to.
  public enum Family: UInt8, Hashable, Sendable, CaseIterable {
    /// IPv4, 32 bits.
    case v4 = 4
    /// IPv6, 128 bits.
    case v6 = 6

    /// 32 or 128.
    @inlinable public var bitWidth: Int { self == .v4 ? 32 : 128 }
  }

  /// Which protocol it belongs to.
  public let family: Family
  /// The upper half of an IPv6 address; zero in IPv4.
  public let high: UInt64
  /// The lower half of an IPv6 address, or an IPv4 address in the low 32 bits.
  public let low: UInt64

  /// An IPv4 address from its 32 bits, most significant byte first.
  @inlinable public init(v4 bits: UInt32) {
    (family, high, low) = (.v4, 0, UInt64(bits))
  }

  /// An IPv4 address from its four numbers.
  @inlinable public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
    self.init(v4: UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d))
  }

  /// An IPv6 address from its two halves.
  @inlinable public init(high: UInt64, low: UInt64) {
    (family, self.high, self.low) = (.v6, high, low)
  }

  /// An address from its 4 or 16 bytes; nil for any other count.
  public init?(bytes: some Collection<UInt8>) {
    switch bytes.count {
    case 4: self.init(v4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
    case 16:
      self.init(
        high: bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) },
        low: bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
      )
    default: return nil
    }
  }

  /// The 32 bits of an IPv4 address (the lowest 32 of an IPv6 one).
  @inlinable public var v4Bits: UInt32 { UInt32(truncatingIfNeeded: low) }

  /// Whether this is IPv4.
  @inlinable public var isV4: Bool { family == .v4 }

  /// The 4 or 16 bytes, most significant first.
  public var bytes: [UInt8] {
    var writer = ByteWriter(capacity: 16)
    if isV4 {
      writer.bigEndian(v4Bits)
    } else {
      writer.bigEndian(high)
      writer.bigEndian(low)
    }
    return writer.bytes
  }

  /// The 16 bytes of the IPv6 form: IPv4 as `::ffff:a.b.c.d`.
  public var bytesMapped: [UInt8] { mapped.bytes }

  /// The IPv6 form: IPv4 as `::ffff:a.b.c.d`, IPv6 as it is.
  public var mapped: IPAddress { isV4 ? IPAddress(high: 0, low: 0xFFFF_0000_0000 | low) : self }

  /// IPv4 when this is `::ffff:a.b.c.d`, else itself.
  public var unmapped: IPAddress {
    guard !isV4, high == 0, low >> 32 == 0xFFFF else { return self }
    return IPAddress(v4: v4Bits)
  }

  /// `0.0.0.0` or `::`.
  public static func unspecified(_ family: Family) -> IPAddress {
    family == .v4 ? IPAddress(v4: 0) : IPAddress(high: 0, low: 0)
  }

  /// Bit `index` counted from the most significant one.
  @inlinable public func bit(_ index: Int) -> Bool {
    if isV4 { return low >> UInt64(31 - index) & 1 == 1 }
    return index < 64 ? high >> UInt64(63 - index) & 1 == 1 : low >> UInt64(127 - index) & 1 == 1
  }

  /// This address with all but its first `length` bits cleared.
  @inlinable public func masked(to length: Int) -> IPAddress {
    if isV4 {
      return IPAddress(v4: length <= 0 ? 0 : v4Bits & (UInt32.max << UInt32(32 - min(length, 32))))
    }
    let highMask = length <= 0 ? 0 : length >= 64 ? UInt64.max : UInt64.max << UInt64(64 - length)
    let lowMask =
      length <= 64 ? 0 : length >= 128 ? UInt64.max : UInt64.max << UInt64(128 - length)
    return IPAddress(high: high & highMask, low: low & lowMask)
  }

  /// The address one further; wraps at the end of the family.
  public var next: IPAddress {
    if isV4 { return IPAddress(v4: v4Bits &+ 1) }
    return IPAddress(high: low == .max ? high &+ 1 : high, low: low &+ 1)
  }
}

extension IPAddress {
  /// `0.0.0.0` or `::`.
  public var isUnspecified: Bool { high == 0 && low == 0 }

  /// 127.0.0.0/8 or `::1`.
  public var isLoopback: Bool { isV4 ? v4Bits >> 24 == 127 : high == 0 && low == 1 }

  /// 169.254.0.0/16 or fe80::/10.
  public var isLinkLocal: Bool { isV4 ? v4Bits >> 16 == 0xA9FE : high >> 54 == 0x3FA }

  /// RFC 1918 or fc00::/7.
  public var isPrivate: Bool {
    guard isV4 else { return high >> 57 == 0x7E }
    return v4Bits >> 24 == 10 || v4Bits >> 20 == 0xAC1 || v4Bits >> 16 == 0xC0A8
  }

  /// 224.0.0.0/4 or ff00::/8.
  public var isMulticast: Bool { isV4 ? v4Bits >> 28 == 0xE : high >> 56 == 0xFF }
}

extension IPAddress: Comparable {
  /// IPv4 before IPv6, then by value.
  public static func < (left: IPAddress, right: IPAddress) -> Bool {
    (left.family.rawValue, left.high, left.low) < (right.family.rawValue, right.high, right.low)
  }
}
