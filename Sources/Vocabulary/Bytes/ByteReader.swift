// SPDX-License-Identifier: Apache-2.0

/// Bytes ended before a field did.
public struct TruncatedError: Error, Hashable, Sendable {
  /// How many bytes the field takes.
  public let needed: Int
  /// How many were left.
  public let got: Int

  /// A field of `needed` bytes met `got`.
  @inlinable public init(needed: Int, got: Int) {
    self.needed = needed
    self.got = got
  }
}

/// Reads fields off the front of a message, never past its end.
///
/// For messages of a control kind (discovery, relay frames, handshakes). Bulk packets are read in
/// place by `Packets`.
public struct ByteReader: Sendable {
  @usableFromInline let bytes: ArraySlice<UInt8>
  @usableFromInline var position: Int

  /// A reader at the start of `bytes`.
  @inlinable public init(_ bytes: [UInt8]) { self.init(bytes[...]) }

  /// A reader at the start of `bytes`.
  @inlinable public init(_ bytes: ArraySlice<UInt8>) {
    self.bytes = bytes
    self.position = bytes.startIndex
  }

  /// How many bytes are left.
  @inlinable public var remaining: Int { bytes.endIndex - position }

  /// Whether nothing is left.
  @inlinable public var isAtEnd: Bool { remaining == 0 }

  /// The next `count` bytes.
  ///
  /// - Throws: `TruncatedError` when fewer are left, or `count` is negative; nothing is consumed then.
  @inlinable
  public mutating func take(_ count: Int) throws(TruncatedError) -> ArraySlice<UInt8> {
    guard count >= 0, count <= remaining else {
      throw TruncatedError(needed: count, got: remaining)
    }
    defer { position += count }
    return bytes[position..<position + count]
  }

  /// Everything that is left.
  @inlinable
  public mutating func takeRest() -> ArraySlice<UInt8> {
    defer { position = bytes.endIndex }
    return bytes[position...]
  }

  /// The next byte.
  @inlinable
  public mutating func uint8() throws(TruncatedError) -> UInt8 { try bigEndian() }
  /// The next two bytes, most significant first.
  @inlinable
  public mutating func uint16() throws(TruncatedError) -> UInt16 { try bigEndian() }
  /// The next four bytes, most significant first.
  @inlinable
  public mutating func uint32() throws(TruncatedError) -> UInt32 { try bigEndian() }
  /// The next eight bytes, most significant first.
  @inlinable
  public mutating func uint64() throws(TruncatedError) -> UInt64 { try bigEndian() }

  /// The next integer, most significant byte first.
  @inlinable
  public mutating func bigEndian<Value: FixedWidthInteger>(
    _: Value.Type = Value.self
  ) throws(TruncatedError) -> Value {
    var value: Value = 0
    for byte in try take(Value.bitWidth / 8) {
      value = Value.bitWidth == 8 ? Value(truncatingIfNeeded: byte) : value << 8 | Value(byte)
    }
    return value
  }

  /// The next integer, least significant byte first.
  @inlinable
  public mutating func littleEndian<Value: FixedWidthInteger>(
    _: Value.Type = Value.self
  ) throws(TruncatedError) -> Value {
    try bigEndian(Value.self).byteSwapped
  }
}
