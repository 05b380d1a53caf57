// SPDX-License-Identifier: Apache-2.0

package import Bytes

/// Ties a STUN response to its request: 96 random bits.
///
/// - Source: RFC 8489 §5.
package struct TransactionID: Hashable, Sendable {
  /// How many bytes it takes on the wire.
  package static let byteCount = 12

  let high: UInt32
  let low: UInt64

  /// An identifier drawn from `generator`.
  package init(using generator: inout some RandomNumberGenerator) {
    high = UInt32(truncatingIfNeeded: generator.next() as UInt64)
    low = generator.next()
  }

  /// The next 12 bytes.
  package init(reading reader: inout ByteReader) throws(TruncatedError) {
    high = try reader.uint32()
    low = try reader.uint64()
  }

  /// Its 12 bytes.
  package var bytes: [UInt8] {
    var writer = ByteWriter(capacity: Self.byteCount)
    write(to: &writer)
    return writer.bytes
  }

  func write(to writer: inout ByteWriter) {
    writer.bigEndian(high)
    writer.bigEndian(low)
  }
}
