// SPDX-License-Identifier: Apache-2.0

import Addressing

/// One extension of a certificate: its kind and its value in DER.
///
/// - Source: RFC 5280 §4.2.1.
struct CertificateExtension: Hashable {
  /// The number of its kind, like `2.5.29.17`.
  let kind: String
  let isCritical: Bool
  let der: [UInt8]

  /// What a certificate says of itself that signs no others: shown by the server `host`, if any.
  static func all(host: String?) throws(HTTPTransportError) -> [CertificateExtension] {
    let basic = CertificateExtension(
      kind: "2.5.29.19",
      isCritical: true,
      der: element(0x30, [])
    )
    guard let host else { return [basic] }
    let serverAuthentication: [UInt8] = [0x2B, 6, 1, 5, 5, 7, 3, 1]
    return [
      basic,
      // A string of bits, of which the first of eight is set: digital signatures.
      CertificateExtension(kind: "2.5.29.15", isCritical: true, der: element(3, [7, 0x80])),
      CertificateExtension(
        kind: "2.5.29.37",
        isCritical: false,
        der: element(0x30, element(6, serverAuthentication))
      ),
      CertificateExtension(
        kind: "2.5.29.17",
        isCritical: false,
        der: element(0x30, try name(host))
      ),
    ]
  }

  /// What answers an authority's challenge: the SHA-256 of what it is to be told.
  ///
  /// - Source: RFC 8737 §3.
  static func answer(_ digest: [UInt8]) -> CertificateExtension {
    CertificateExtension(kind: "1.3.6.1.5.5.7.1.31", isCritical: true, der: element(4, digest))
  }

  /// A host name, or an address.
  static func name(_ host: String) throws(HTTPTransportError) -> [UInt8] {
    if let address = IPAddress(host) { return element(0x87, Array(address.bytes)) }
    guard host.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw HTTPTransportError(.malformed, "a certificate cannot be for the host name \(host)")
    }
    return element(0x82, Array(host.utf8))
  }

  /// A tag, how many bytes follow, and the bytes.
  static func element(_ tag: UInt8, _ contents: [UInt8]) -> [UInt8] {
    var length: [UInt8] = [UInt8(truncatingIfNeeded: contents.count)]
    if contents.count > 0x7F {
      var rest = contents.count >> 8
      while rest > 0 {
        length.insert(UInt8(truncatingIfNeeded: rest), at: 0)
        rest >>= 8
      }
      length.insert(0x80 | UInt8(length.count), at: 0)
    }
    return [tag] + length + contents
  }
}
