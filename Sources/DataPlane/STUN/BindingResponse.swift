// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Bytes

/// Tells a client from which address and port its request came.
///
/// - Source: RFC 8489 §§6.3.3, 14.1, 14.2.
package struct BindingResponse: Hashable, Sendable {
  /// That of the request.
  package let transaction: TransactionID
  /// Where the request came from: the client as the world sees it.
  package let endpoint: Endpoint

  /// An answer to the request with this identifier.
  package init(transaction: TransactionID, endpoint: Endpoint) {
    self.transaction = transaction
    self.endpoint = endpoint
  }

  /// What a server sends back for a datagram from `source`; nil when that is not a valid request.
  package static func answering(_ datagram: [UInt8], from source: Endpoint) -> [UInt8]? {
    // A datagram that is no request of ours gets no answer, whatever else it is.
    guard let request = try? BindingRequest(parsing: datagram) else { return nil }
    return BindingResponse(transaction: request.transaction, endpoint: source).bytes
  }

  /// The response in `datagram`, as a client reads it.
  ///
  /// Prefers the address that is combined with the cookie: some NATs rewrite the plain one.
  package init(parsing datagram: [UInt8]) throws(STUNError) {
    var reader = ByteReader(datagram)
    let header = try Header(reading: &reader)
    guard header.type == Header.MessageType.bindingSuccess else {
      throw .unexpectedType(header.type)
    }
    guard header.length <= reader.remaining else {
      throw .wrongLength(declared: header.length, got: reader.remaining)
    }
    var body = ByteReader(reader.takeRest().prefix(header.length))
    var combined: Endpoint?
    var plain: Endpoint?
    while !body.isAtEnd {
      let attribute = try Attribute(reading: &body)
      switch attribute.kind {
      case Attribute.Kind.xorMappedAddress, Attribute.Kind.xorMappedAddressEarly:
        combined = combined ?? Self.endpoint(in: attribute, combinedWith: header.transaction)
      case Attribute.Kind.mappedAddress:
        plain = plain ?? Self.endpoint(in: attribute, combinedWith: nil)
      default: break
      }
    }
    guard let endpoint = combined ?? plain else { throw .noAddress }
    self.init(transaction: header.transaction, endpoint: endpoint)
  }

  /// The 32 (IPv4) or 44 (IPv6) bytes to send.
  package var bytes: [UInt8] {
    let address = Self.combine(endpoint.address.unmapped.bytes, with: transaction)
    var writer = ByteWriter(capacity: 44)
    Header(
      type: Header.MessageType.bindingSuccess,
      length: 8 + address.count,
      transaction: transaction
    ).write(to: &writer)
    writer.bigEndian(Attribute.Kind.xorMappedAddress)
    writer.bigEndian(UInt16(4 + address.count))
    writer.bigEndian(UInt16(address.count == 4 ? 1 : 2))
    writer.bigEndian(endpoint.port ^ Self.portMask)
    writer.write(address)
    return writer.bytes
  }

  private static let portMask = UInt16(Header.cookie >> 16)

  private static func endpoint(
    in attribute: Attribute,
    combinedWith transaction: TransactionID?
  ) -> Endpoint? {
    var reader = ByteReader(attribute.value)
    // An attribute too short for its fields holds no address; another one may.
    guard let family = try? reader.uint16() & 0xFF, let port = try? reader.uint16() else {
      return nil
    }
    guard reader.remaining == (family == 1 ? 4 : 16), family == 1 || family == 2 else { return nil }
    let rest = Array(reader.takeRest())
    let bytes = transaction.map { combine(rest, with: $0) } ?? rest
    guard let address = IPAddress(bytes: bytes) else { return nil }
    return Endpoint(address.unmapped, port: transaction == nil ? port : port ^ portMask)
  }

  /// The bytes of an address combined with those of cookie and transaction.
  private static func combine(_ bytes: [UInt8], with transaction: TransactionID) -> [UInt8] {
    var mask = ByteWriter(capacity: 16)
    mask.bigEndian(Header.cookie)
    transaction.write(to: &mask)
    return zip(bytes, mask.bytes).map { $0 ^ $1 }
  }
}
