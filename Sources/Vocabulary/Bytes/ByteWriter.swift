// SPDX-License-Identifier: Apache-2.0

/// Appends fields to a message.
public struct ByteWriter: Sendable {
  /// What has been written.
  public private(set) var bytes: [UInt8] = []

  /// An empty message, with room for `capacity` bytes.
  public init(capacity: Int = 0) { bytes.reserveCapacity(capacity) }

  /// Appends bytes as they are.
  public mutating func write(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

  /// Appends an integer, most significant byte first.
  public mutating func bigEndian(_ value: some FixedWidthInteger) {
    var rest = value.byteSwapped
    for _ in 0..<value.bitWidth / 8 {
      bytes.append(UInt8(truncatingIfNeeded: rest))
      rest = value.bitWidth == 8 ? 0 : rest >> 8
    }
  }

  /// Appends an integer, least significant byte first.
  public mutating func littleEndian(_ value: some FixedWidthInteger) {
    bigEndian(value.byteSwapped)
  }

  /// Appends `count` zero bytes.
  public mutating func zeros(_ count: Int) {
    bytes.append(contentsOf: repeatElement(0, count: count))
  }
}
