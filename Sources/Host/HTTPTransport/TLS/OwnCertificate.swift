// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL
package import Timing

/// A certificate that its own key signs, with that key.
///
/// Nobody vouches for it: it is worth what those who know its hash make of it.
package struct OwnCertificate: Sendable {
  /// The kinds of key that it can have.
  package enum KeyKind: Hashable, Sendable {
    /// ECDSA over P-256, which every TLS client takes.
    case p256
    /// Ed25519.
    case ed25519
  }

  /// The certificate.
  package let certificateDER: [UInt8]
  /// Its private key, as PKCS #8.
  package let keyDER: [UInt8]
  /// Certificate and key in one text, so that they are kept or lost together.
  package let pem: String
  /// The name that it is for, or what stands in its place.
  package let commonName: String
  /// When it is valid.
  package let validity: Range<Timestamp>

  /// Makes one for a fresh key, which may sign nothing but what its owner says.
  ///
  /// The serial number is big-endian; `host` is the name or address of the server that will show
  /// it, nil when none does; `answer` is what it says to an authority's challenge.
  package init(
    _ kind: KeyKind,
    commonName: String,
    serialNumber: [UInt8],
    validity: Range<Timestamp>,
    host: String? = nil,
    answer: [UInt8]? = nil
  ) throws(HTTPTransportError) {
    let key = try unsafe made(
      EVP_PKEY_generate_from_alg(
        kind == .p256 ? EVP_pkey_ec_p256() : EVP_pkey_ed25519()
      )
    )
    // SAFETY: the key, the certificate and all below live until the end of their scopes, where they
    // are freed once; every call copies what it is given or counts another reference.
    defer { unsafe EVP_PKEY_free(key) }
    let certificate = try unsafe made(X509_new())
    defer { unsafe X509_free(certificate) }

    try unsafe done(X509_set_version(certificate, Int(X509_VERSION_3)))
    try unsafe Self.setSerialNumber(serialNumber, certificate)
    try unsafe Self.setValidity(validity, certificate)
    try unsafe Self.setName(commonName, certificate)
    try unsafe done(X509_set_pubkey(certificate, key))
    let more = answer.map { [CertificateExtension.answer($0)] } ?? []
    for item in try CertificateExtension.all(host: host) + more {
      try unsafe Self.add(item, to: certificate)
    }
    let digest = unsafe kind == .p256 ? EVP_sha256() : nil
    try unsafe done(min(1, X509_sign(certificate, key, digest)))
    try unsafe self.init(certificate, key, pem: nil)
  }

  /// Reads one that was kept, as `pem` wrote it.
  package init(pem text: String) throws(HTTPTransportError) {
    do {
      try self.init(reading: text)
    } catch {
      throw HTTPTransportError(
        .malformed,
        "it does not hold a certificate and the key that belongs to it"
      )
    }
  }

  private init(reading text: String) throws(HTTPTransportError) {
    let certificate = try unsafe Self.read(text) {
      unsafe PEM_read_bio_X509($0, nil, nil, nil)
    }
    // SAFETY: as above.
    defer { unsafe X509_free(certificate) }
    let key = try unsafe Self.read(text) {
      unsafe PEM_read_bio_PrivateKey($0, nil, nil, nil)
    }
    defer { unsafe EVP_PKEY_free(key) }
    try unsafe done(X509_check_private_key(certificate, key))
    try unsafe self.init(certificate, key, pem: text)
  }

  private init(
    _ certificate: OpaquePointer,
    _ key: OpaquePointer,
    pem text: String?
  ) throws(HTTPTransportError) {
    // SAFETY: the caller holds both while they are written.
    certificateDER = try unsafe Self.written { unsafe i2d_X509_bio($0, certificate) }
    keyDER = try unsafe Self.written {
      unsafe i2d_PKCS8PrivateKey_bio($0, key, nil, nil, 0, nil, nil)
    }
    if let text {
      pem = text
    } else {
      let bytes = try unsafe Self.written {
        unsafe min(
          PEM_write_bio_X509($0, certificate),
          PEM_write_bio_PKCS8PrivateKey($0, key, nil, nil, 0, nil, nil)
        )
      }
      pem = String(decoding: bytes, as: UTF8.self)
    }
    commonName = unsafe Self.commonName(of: certificate)
    validity = try unsafe Self.validity(of: certificate)
  }
}

// MARK: - What it says

// SAFETY: of every pointer in these functions: the certificate is the caller's and lives longer than
// the call; what is asked of it is its own and is copied at once; what is made is freed at the end.
extension OwnCertificate {
  private static func setSerialNumber(
    _ bytes: [UInt8],
    _ certificate: OpaquePointer
  ) throws(HTTPTransportError) {
    let number = try unsafe made(BN_bin2bn(bytes, bytes.count, nil))
    defer { unsafe BN_free(number) }
    let integer = try unsafe made(BN_to_ASN1_INTEGER(number, nil))
    defer { unsafe ASN1_INTEGER_free(integer) }
    try unsafe done(X509_set_serialNumber(certificate, integer))
  }

  private static func setValidity(
    _ validity: Range<Timestamp>,
    _ certificate: OpaquePointer
  ) throws(HTTPTransportError) {
    let first = try unsafe made(
      ASN1_TIME_set_posix(nil, validity.lowerBound.seconds)
    )
    defer { unsafe ASN1_TIME_free(first) }
    let last = try unsafe made(ASN1_TIME_set_posix(nil, validity.upperBound.seconds))
    defer { unsafe ASN1_TIME_free(last) }
    try unsafe done(X509_set1_notBefore(certificate, first))
    try unsafe done(X509_set1_notAfter(certificate, last))
  }

  /// The name is not cut to the 64 characters of X.520: those who read it look for all of it.
  private static func setName(
    _ name: String,
    _ certificate: OpaquePointer
  ) throws(HTTPTransportError) {
    let bytes = Array(name.utf8)
    let subject = try unsafe made(X509_get_subject_name(certificate))
    try unsafe done(
      X509_NAME_add_entry_by_NID(
        subject,
        NID_commonName,
        V_ASN1_UTF8STRING,
        bytes,
        bytes.count,
        -1,
        0
      )
    )
    try unsafe done(X509_set_issuer_name(certificate, subject))
  }

  private static func add(
    _ item: CertificateExtension,
    to certificate: OpaquePointer
  ) throws(HTTPTransportError) {
    let value = try unsafe made(ASN1_OCTET_STRING_new())
    defer { unsafe ASN1_OCTET_STRING_free(value) }
    try unsafe done(ASN1_OCTET_STRING_set(value, item.der, Int32(item.der.count)))
    let kind = try unsafe made(OBJ_txt2obj(item.kind, 1))
    defer { unsafe ASN1_OBJECT_free(kind) }
    let made = try unsafe made(
      X509_EXTENSION_create_by_OBJ(nil, kind, item.isCritical ? 1 : 0, value)
    )
    defer { unsafe X509_EXTENSION_free(made) }
    try unsafe done(X509_add_ext(certificate, made, -1))
  }

  private static func commonName(of certificate: OpaquePointer) -> String {
    guard let subject = unsafe X509_get_subject_name(certificate) else { return "" }
    let index = unsafe X509_NAME_get_index_by_NID(subject, NID_commonName, -1)
    guard index >= 0, let entry = unsafe X509_NAME_get_entry(subject, index),
      let text = unsafe X509_NAME_ENTRY_get_data(entry)
    else { return "" }
    let bytes = unsafe UnsafeBufferPointer(
      start: ASN1_STRING_get0_data(text),
      count: Int(ASN1_STRING_length(text))
    )
    return unsafe String(validating: bytes, as: UTF8.self) ?? ""
  }

  private static func validity(
    of certificate: OpaquePointer
  ) throws(HTTPTransportError) -> Range<Timestamp> {
    var (first, last) = (Int64(0), Int64(0))
    try unsafe done(
      ASN1_TIME_to_posix(X509_get0_notBefore(certificate), &first)
    )
    try unsafe done(
      ASN1_TIME_to_posix(X509_get0_notAfter(certificate), &last)
    )
    guard first <= last else { throw .certificate }
    return Timestamp(seconds: first)..<Timestamp(seconds: last)
  }
}

// MARK: - Reading and writing

extension OwnCertificate {
  typealias Channel = OpaquePointer

  /// What `write` puts into a buffer.
  static func written(
    _ write: (Channel) -> Int32
  ) throws(HTTPTransportError) -> [UInt8] {
    // SAFETY: the buffer is freed, and wiped, at the end; what it holds is copied before.
    let buffer = try unsafe made(BIO_new(BIO_s_mem()))
    defer { unsafe BIO_free(buffer) }
    try unsafe done(write(buffer))
    var (start, count): (UnsafePointer<UInt8>?, Int) = (nil, 0)
    try unsafe done(BIO_mem_contents(buffer, &start, &count))
    return unsafe Array(UnsafeBufferPointer(start: start, count: count))
  }

  /// What `parse` finds first in a text.
  static func read(
    _ text: String,
    _ parse: (Channel) -> OpaquePointer?
  ) throws(HTTPTransportError) -> OpaquePointer {
    let bytes = Array(text.utf8)
    // SAFETY: the buffer reads from `bytes`, which outlive it.
    let found = unsafe bytes.withUnsafeBytes { bytes -> OpaquePointer? in
      guard let buffer = unsafe BIO_new_mem_buf(bytes.baseAddress, bytes.count)
      else { return nil }
      defer { unsafe BIO_free(buffer) }
      return unsafe parse(buffer)
    }
    return try unsafe made(found)
  }
}

/// What a call made; it returns nil when it did not.
func made<Value>(_ value: Value?) throws(HTTPTransportError) -> Value {
  if let value { return value }
  ERR_clear_error()
  throw .certificate
}

/// What a call says that returns 1 for success.
func done(_ status: Int32) throws(HTTPTransportError) {
  if status == 1 { return }
  ERR_clear_error()
  throw .certificate
}

extension HTTPTransportError {
  static var certificate: HTTPTransportError {
    HTTPTransportError(.system, "the certificate cannot be made")
  }
}
