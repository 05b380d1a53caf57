// SPDX-License-Identifier: Apache-2.0

/// Appends fields to a message.
public struct ByteWriter: Sendable {
  @usableFromInline var written: [UInt8] = []

  /// What has been written.
  @inlinable public var bytes: [UInt8] { written }

  /// An empty message, with room for `capacity` bytes.
  @inlinable public init(capacity: Int = 0) { written.reserveCapacity(capacity) }

  /// Appends bytes as they are.
  @inlinable
  public mutating func write(_ more: some Sequence<UInt8>) { written.append(contentsOf: more) }

  /// Appends an integer, most significant byte first.
  @inlinable
  public mutating func bigEndian(_ value: some FixedWidthInteger) {
    var rest = value.byteSwapped
    for _ in 0..<value.bitWidth / 8 {
      written.append(UInt8(truncatingIfNeeded: rest))
      rest = value.bitWidth == 8 ? 0 : rest >> 8
    }
  }

  /// Appends an integer, least significant byte first.
  @inlinable
  public mutating func littleEndian(_ value: some FixedWidthInteger) {
    bigEndian(value.byteSwapped)
  }

  /// Appends `count` zero bytes.
  @inlinable
  public mutating func zeros(_ count: Int) {
    written.append(contentsOf: repeatElement(0, count: count))
  }
}
