// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// A private key on P-256 that signs, and asks an authority for certificates.
package struct SigningKey: Sendable {
  /// The key in PEM, to be kept.
  package let pem: String
  /// The public key with its kind, in DER (SubjectPublicKeyInfo).
  private let publicDER: [UInt8]

  /// A new key.
  package init() throws(HTTPTransportError) {
    let key = try unsafe made(EVP_PKEY_generate_from_alg(EVP_pkey_ec_p256()))
    // SAFETY: the key is freed once, at the end; what is written of it is copied before.
    defer { unsafe EVP_PKEY_free(key) }
    let bytes = try unsafe OwnCertificate.written {
      unsafe PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil)
    }
    try unsafe self.init(key, String(decoding: bytes, as: UTF8.self))
  }

  /// Reads a key that was kept, among whatever else stands in the text.
  package init(pem text: String) throws(HTTPTransportError) {
    let key = try unsafe Self.key(in: text)
    // SAFETY: as above.
    defer { unsafe EVP_PKEY_free(key) }
    try unsafe self.init(key, text)
  }

  private init(_ key: OpaquePointer, _ pem: String) throws(HTTPTransportError) {
    // SAFETY: the caller holds the key while it is written.
    publicDER = try unsafe OwnCertificate.written { unsafe i2d_PUBKEY_bio($0, key) }
    self.pem = pem
    // Another kind of key has another length.
    guard publicDER.count == Self.prefixLength + 64, publicDER[Self.prefixLength - 1] == 4 else {
      throw .certificate
    }
  }

  private static func key(in text: String) throws(HTTPTransportError) -> OpaquePointer {
    try unsafe OwnCertificate.read(text) { unsafe PEM_read_bio_PrivateKey($0, nil, nil, nil) }
  }

  /// What stands before the two coordinates of a public key.
  private static let prefixLength = 27

  /// The two coordinates of the public key, 32 bytes each.
  package var publicPoint: (x: [UInt8], y: [UInt8]) {
    let start = Self.prefixLength
    return (Array(publicDER[start..<start + 32]), Array(publicDER[(start + 32)...]))
  }

  /// Signs the SHA-256 of a message: both numbers of the signature, 32 bytes each.
  package func sign(_ message: [UInt8]) throws(HTTPTransportError) -> [UInt8] {
    let der = try signDER(message)
    // A sequence of two integers, each with a tag, a length and maybe a zero before.
    var (numbers, position) = ([UInt8](), 2)
    for _ in 0..<2 {
      guard position + 2 <= der.count, der[position] == 2 else { throw .certificate }
      let end = position + 2 + Int(der[position + 1])
      guard end <= der.count else { throw .certificate }
      let number = der[(position + 2)..<end].drop { $0 == 0 }
      guard number.count <= 32 else { throw .certificate }
      numbers += [UInt8](repeating: 0, count: 32 - number.count) + number
      position = end
    }
    return numbers
  }

  private func signDER(_ message: [UInt8]) throws(HTTPTransportError) -> [UInt8] {
    let key = try unsafe Self.key(in: pem)
    // SAFETY: the key and the context are freed once, at the end; the signature has room for what
    // the first call says that it may need at most.
    defer { unsafe EVP_PKEY_free(key) }
    let context = try unsafe made(EVP_MD_CTX_new())
    defer { unsafe EVP_MD_CTX_free(context) }
    try unsafe done(EVP_DigestSignInit(context, nil, EVP_sha256(), nil, key))
    var count = Int(EVP_MAX_MD_SIZE) * 4
    var signature = [UInt8](repeating: 0, count: count)
    try unsafe done(EVP_DigestSign(context, &signature, &count, message, message.count))
    return Array(signature.prefix(count))
  }

  /// The request for a certificate for `names`, in DER (PKCS #10).
  ///
  /// - Source: RFC 2986 §4; RFC 5280 §4.2.1.6.
  package func request(for names: [String]) throws(HTTPTransportError) -> [UInt8] {
    func element(_ tag: UInt8, _ contents: [UInt8]) -> [UInt8] {
      CertificateExtension.element(tag, contents)
    }
    var alternatives: [UInt8] = []
    for name in names { alternatives += try CertificateExtension.name(name) }
    let subjectNames = element(
      0x30,
      element(6, [0x55, 0x1D, 0x11]) + element(4, element(0x30, alternatives))
    )
    let extensionRequest: [UInt8] = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 9, 14]
    let attribute = element(
      0x30,
      element(6, extensionRequest) + element(0x31, element(0x30, subjectNames))
    )
    // Version, no name of the subject, key, attributes.
    let wish = element(
      0x30,
      element(2, [0]) + element(0x30, []) + publicDER + element(0xA0, attribute)
    )
    let signedWithSHA256: [UInt8] = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2]
    let signature = try signDER(wish)
    return element(
      0x30,
      wish + element(0x30, element(6, signedWithSHA256)) + element(3, [0] + signature)
    )
  }
}
