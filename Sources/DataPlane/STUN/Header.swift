// SPDX-License-Identifier: Apache-2.0

import Bytes

/// Why bytes are not the STUN message that was expected.
package enum STUNError: Error, Hashable, Sendable {
  /// A field is longer than what is left.
  case truncated(needed: Int, got: Int)
  /// Another type of message.
  case unexpectedType(UInt16)
  /// The magic cookie is missing: not STUN at all.
  case notSTUN
  /// The length in the header does not fit the datagram.
  case wrongLength(declared: Int, got: Int)
  /// A request that does not say it comes from one of our clients.
  case foreignSoftware
  /// A request without a valid fingerprint at its end.
  case badFingerprint
  /// A response without an address.
  case noAddress
}

/// The 20 bytes that every STUN message starts with.
///
/// | Offset | Bytes | Field |
/// |---|---|---|
/// | 0 | 2 | type |
/// | 2 | 2 | length of what follows the header |
/// | 4 | 4 | magic cookie `21 12 A4 42` |
/// | 8 | 12 | transaction identifier |
///
/// - Source: RFC 8489 §5.
struct Header {
  static let byteCount = 20
  static let cookie: UInt32 = 0x2112_A442

  enum MessageType {
    static let bindingRequest: UInt16 = 0x0001
    static let bindingSuccess: UInt16 = 0x0101
  }

  var type: UInt16
  var length: Int
  var transaction: TransactionID

  init(type: UInt16, length: Int, transaction: TransactionID) {
    (self.type, self.length, self.transaction) = (type, length, transaction)
  }

  init(reading reader: inout ByteReader) throws(STUNError) {
    do {
      type = try reader.uint16()
      length = Int(try reader.uint16())
      guard try reader.uint32() == Self.cookie else { throw STUNError.notSTUN }
      transaction = try TransactionID(reading: &reader)
    } catch let error as TruncatedError {
      throw .truncated(needed: error.needed, got: error.got)
    } catch {
      throw .notSTUN
    }
  }

  func write(to writer: inout ByteWriter) {
    writer.bigEndian(type)
    writer.bigEndian(UInt16(length))
    writer.bigEndian(Self.cookie)
    transaction.write(to: &writer)
  }
}

/// One attribute: type, length and value, padded to a multiple of four bytes.
///
/// - Source: RFC 8489 §14.
struct Attribute {
  enum Kind {
    static let mappedAddress: UInt16 = 0x0001
    static let xorMappedAddress: UInt16 = 0x0020
    /// What some servers used before the number above was assigned.
    static let xorMappedAddressEarly: UInt16 = 0x8020
    static let software: UInt16 = 0x8022
    static let fingerprint: UInt16 = 0x8028
  }

  var kind: UInt16
  var value: ArraySlice<UInt8>

  init(reading reader: inout ByteReader) throws(STUNError) {
    do throws(TruncatedError) {
      kind = try reader.uint16()
      let count = Int(try reader.uint16())
      value = try reader.take(count)
      _ = try reader.take(min(-count & 3, reader.remaining))
    } catch {
      throw .truncated(needed: error.needed, got: error.got)
    }
  }
}
