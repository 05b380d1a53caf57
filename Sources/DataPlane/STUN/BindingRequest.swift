// SPDX-License-Identifier: Apache-2.0

import Bytes

/// Asks a STUN server from which address and port it sees us.
///
/// Carries SOFTWARE `tailnode` and a trailing FINGERPRINT: relays of this system answer nobody
/// else, so that they are of no use for reflection.
///
/// - Source: RFC 8489 §§6.2.1, 14.7, 14.14.
package struct BindingRequest: Hashable, Sendable {
  /// Comes back in the response.
  package let transaction: TransactionID

  private static let software = Array("tailnode".utf8)
  private static let fingerprintMask: UInt32 = 0x5354_554E
  private static let fingerprintByteCount = 8

  /// A request with this identifier.
  package init(transaction: TransactionID) { self.transaction = transaction }

  /// The request in `datagram`, as a server reads it.
  ///
  /// - Throws: `STUNError` for everything that is not a request of one of our clients.
  package init(parsing datagram: [UInt8]) throws(STUNError) {
    var reader = ByteReader(datagram)
    let header = try Header(reading: &reader)
    guard header.type == Header.MessageType.bindingRequest else {
      throw .unexpectedType(header.type)
    }
    guard header.length == reader.remaining else {
      throw .wrongLength(declared: header.length, got: reader.remaining)
    }
    var isOurs = false
    var last: Attribute?
    while !reader.isAtEnd {
      let attribute = try Attribute(reading: &reader)
      if attribute.kind == Attribute.Kind.software, attribute.value.elementsEqual(Self.software) {
        isOurs = true
      }
      last = attribute
    }
    guard isOurs else { throw .foreignSoftware }
    guard let last, last.kind == Attribute.Kind.fingerprint,
      last.value.elementsEqual(Self.fingerprint(of: datagram.dropLast(Self.fingerprintByteCount)))
    else { throw .badFingerprint }
    transaction = header.transaction
  }

  /// The 40 bytes to send.
  package var bytes: [UInt8] {
    var writer = ByteWriter(capacity: 40)
    let length = 4 + Self.software.count + Self.fingerprintByteCount
    Header(type: Header.MessageType.bindingRequest, length: length, transaction: transaction)
      .write(to: &writer)
    writer.bigEndian(Attribute.Kind.software)
    writer.bigEndian(UInt16(Self.software.count))
    writer.write(Self.software)
    let fingerprint = Self.fingerprint(of: writer.bytes[...])
    writer.bigEndian(Attribute.Kind.fingerprint)
    writer.bigEndian(UInt16(fingerprint.count))
    writer.write(fingerprint)
    return writer.bytes
  }

  private static func fingerprint(of message: ArraySlice<UInt8>) -> [UInt8] {
    var writer = ByteWriter(capacity: 4)
    writer.bigEndian(CRC32.checksum(of: message) ^ fingerprintMask)
    return writer.bytes
  }
}

/// The CRC of IEEE 802.3, as the FINGERPRINT attribute uses it.
enum CRC32 {
  private static let table: [UInt32] = (0..<256).map { index in
    var value = UInt32(index)
    for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
    return value
  }

  static func checksum(of bytes: some Sequence<UInt8>) -> UInt32 {
    var value = UInt32.max
    for byte in bytes { value = value >> 8 ^ table[Int((value ^ UInt32(byte)) & 0xFF)] }
    return ~value
  }
}
