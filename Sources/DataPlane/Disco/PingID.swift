// SPDX-License-Identifier: Apache-2.0

package import Bytes

/// Ties a pong to its ping: 96 random bits.
package struct PingID: Hashable, Sendable {
  /// How many bytes it takes on the wire.
  package static let byteCount = 12

  private let high: UInt32
  private let low: UInt64

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

  func write(to writer: inout ByteWriter) {
    writer.bigEndian(high)
    writer.bigEndian(low)
  }
}
