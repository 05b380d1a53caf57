// SPDX-License-Identifier: Apache-2.0

public import Addressing

/// The sum that IP, TCP, UDP and ICMP protect their headers and data with.
///
/// Partial sums are `UInt64` totals of words in the byte order of the machine; the one's complement
/// sum does not care (RFC 1071 §2B), so nothing is swapped on the way. Pieces may be summed apart and
/// added as long as every piece but the last has an even length.
///
/// - Source: RFC 1071.
public enum InternetChecksum {
  /// The partial sum of the bytes in `range`.
  @inlinable
  public static func sum(_ bytes: PacketBytes, _ range: Range<Int>) -> UInt64 {
    bytes.check(range.lowerBound, range.count)
    let count = range.count
    // SAFETY: the range was checked, and every load below stays under `count`.
    return unsafe sum(bytes.base + range.lowerBound, count)
  }

  /// Copies the bytes of `source` in `range` to `offset` of `target` and sums them on the way.
  @inlinable
  public static func copy(
    _ source: PacketBytes,
    _ range: Range<Int>,
    to target: PacketBytes,
    at offset: Int
  ) -> UInt64 {
    source.check(range.lowerBound, range.count)
    target.check(offset, range.count)
    // SAFETY: both ranges were checked, and the loop stays under their common count.
    return unsafe copy(source.base + range.lowerBound, target.base + offset, range.count)
  }

  /// The partial sum of the pseudo header of TCP, UDP or ICMPv6.
  ///
  /// - Source: RFC 9293 §3.1; RFC 8200 §8.1.
  @inlinable
  public static func pseudoHeader(
    from source: IPAddress,
    to destination: IPAddress,
    proto: IPProtocol,
    length: Int
  ) -> UInt64 {
    words(source) &+ words(destination) &+ UInt64(UInt32(proto.rawValue).bigEndian)
      &+ UInt64(UInt32(truncatingIfNeeded: length).bigEndian)
  }

  /// A partial sum reduced to 16 bits, in the byte order of the machine.
  @inlinable
  public static func folded(_ sum: UInt64) -> UInt16 {
    var rest = (sum & 0xFFFF_FFFF) &+ (sum >> 32)
    rest = (rest & 0xFFFF_FFFF) &+ (rest >> 32)
    var short = (rest & 0xFFFF) &+ (rest >> 16)
    short = (short & 0xFFFF) &+ (short >> 16)
    short = (short & 0xFFFF) &+ (short >> 16)
    return UInt16(truncatingIfNeeded: short)
  }

  /// What stands in a checksum field, in the byte order of the machine.
  @inlinable
  public static func field(_ sum: UInt64) -> UInt16 { ~folded(sum) }

  /// Whether a sum that includes the checksum field says that nothing changed.
  @inlinable
  public static func isIntact(_ sum: UInt64) -> Bool { folded(sum) == 0xFFFF }

  @usableFromInline static func words(_ address: IPAddress) -> UInt64 {
    guard !address.isV4 else { return UInt64(address.v4Bits.bigEndian) }
    let high = address.high.bigEndian
    let low = address.low.bigEndian
    return (high & 0xFFFF_FFFF) &+ (high >> 32) &+ (low & 0xFFFF_FFFF) &+ (low >> 32)
  }

  @unsafe
  @usableFromInline
  static func sum(_ start: UnsafeMutableRawPointer, _ count: Int) -> UInt64 {
    var lanes = SIMD8<UInt64>(repeating: 0)
    var index = 0
    while index &+ 32 <= count {
      // SAFETY: the caller guarantees `count` readable bytes at `start`.
      let words = unsafe start.loadUnaligned(fromByteOffset: index, as: SIMD8<UInt32>.self)
      lanes &+= SIMD8<UInt64>(truncatingIfNeeded: words)
      index &+= 32
    }
    var total = lanes.wrappedSum()
    while index &+ 4 <= count {
      // SAFETY: as above.
      total &+= UInt64(unsafe start.loadUnaligned(fromByteOffset: index, as: UInt32.self))
      index &+= 4
    }
    while index < count {
      // SAFETY: as above.
      total &+= unsafe oddByte(start.load(fromByteOffset: index, as: UInt8.self), index)
      index &+= 1
    }
    return total
  }

  @unsafe
  @usableFromInline
  static func copy(
    _ source: UnsafeMutableRawPointer,
    _ target: UnsafeMutableRawPointer,
    _ count: Int
  ) -> UInt64 {
    var lanes = SIMD8<UInt64>(repeating: 0)
    var index = 0
    while index &+ 32 <= count {
      // SAFETY: the caller guarantees `count` bytes on both sides.
      let words = unsafe source.loadUnaligned(fromByteOffset: index, as: SIMD8<UInt32>.self)
      unsafe target.storeBytes(of: words, toByteOffset: index, as: SIMD8<UInt32>.self)
      lanes &+= SIMD8<UInt64>(truncatingIfNeeded: words)
      index &+= 32
    }
    var total = lanes.wrappedSum()
    while index &+ 4 <= count {
      // SAFETY: as above.
      let word = unsafe source.loadUnaligned(fromByteOffset: index, as: UInt32.self)
      unsafe target.storeBytes(of: word, toByteOffset: index, as: UInt32.self)
      total &+= UInt64(word)
      index &+= 4
    }
    while index < count {
      // SAFETY: as above.
      let byte = unsafe source.load(fromByteOffset: index, as: UInt8.self)
      unsafe target.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
      total &+= oddByte(byte, index)
      index &+= 1
    }
    return total
  }

  /// A byte at `index` as its part of a 16-bit word in the byte order of the machine.
  @inlinable
  static func oddByte(_ byte: UInt8, _ index: Int) -> UInt64 {
    let first = UInt16(littleEndian: UInt16(byte))
    return UInt64(index & 1 == 0 ? first : first.byteSwapped)
  }
}
