// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// TLS refused something.
public struct TLSFailure: Error, Hashable, Sendable, CustomStringConvertible {
  /// What, in words.
  public let description: String

  /// A refusal.
  public init(_ description: String) { self.description = description }

  /// What the library noted last; forgets it.
  static func noted(_ otherwise: String) -> TLSFailure {
    defer { ERR_clear_error() }
    // SAFETY: the texts are constants of the library.
    guard let reason = unsafe ERR_reason_error_string(ERR_peek_last_error()) else {
      return TLSFailure(otherwise)
    }
    return TLSFailure(unsafe String(cString: reason).lowercased())
  }
}

/// What one side of TLS shows and takes: made once, for many sessions.
///
/// Sessions are kept small: no tickets, no memory of earlier sessions, and what only the handshake
/// needs goes with it.
@safe public final class TLSContext: @unchecked Sendable {
  // SAFETY: not changed after it was set up; sessions count their references atomically.
  let context: OpaquePointer

  private init() throws(TLSFailure) {
    guard let context = unsafe SSL_CTX_new(TLS_with_buffers_method()) else {
      throw .noted("there is no memory for TLS")
    }
    unsafe self.context = context
    // SAFETY: the context was just made and is nobody else's.
    unsafe SSL_CTX_set_min_proto_version(context, UInt16(TLS1_2_VERSION))
    unsafe SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF)
    unsafe SSL_CTX_set_options(context, UInt32(SSL_OP_NO_TICKET))
  }

  deinit { unsafe SSL_CTX_free(context) }

  /// A server that shows these certificates in DER, its own first, whose key is in DER, too.
  public convenience init(
    certificates: [[UInt8]],
    privateKey: [UInt8]
  ) throws(TLSFailure) {
    try self.init()
    // SAFETY: what is made here is freed here; the context takes references of its own.
    guard let key = unsafe Self.key(privateKey) else { throw .noted("the private key is not one") }
    defer { unsafe EVP_PKEY_free(key) }
    var chain: [OpaquePointer?] = unsafe []
    for certificate in certificates {
      unsafe chain.append(CRYPTO_BUFFER_new(certificate, certificate.count, nil))
    }
    defer { for index in unsafe chain.indices { unsafe CRYPTO_BUFFER_free(chain[index]) } }
    guard unsafe SSL_CTX_set_chain_and_key(context, chain, chain.count, key, nil) == 1 else {
      throw .noted("the certificate and the key do not belong together")
    }
  }

  private static func key(_ bytes: [UInt8]) -> OpaquePointer? {
    // SAFETY: the parser reads within the bytes.
    unsafe bytes.withUnsafeBufferPointer { bytes in
      var start = bytes.baseAddress
      return unsafe d2i_AutoPrivateKey(nil, &start, bytes.count)
    }
  }

  /// From now on shows what `challenge` shows to who asks for the answer to an authority's challenge
  /// and for nothing else; only before the first session.
  ///
  /// - Source: RFC 8737 §3.
  public func answer(with challenge: TLSContext) {
    // SAFETY: nobody else has the context yet. It owns a reference to the other one, which is given
    // up with it: sessions may outlive both of these objects.
    unsafe SSL_CTX_up_ref(challenge.context)
    unsafe SSL_CTX_set_alpn_select_cb(challenge.context, tlsTakeChallenge, nil)
    if let before = unsafe SSL_CTX_get_ex_data(context, TLSChallenge.index) {
      unsafe SSL_CTX_free(OpaquePointer(before))
    }
    unsafe SSL_CTX_set_ex_data(
      context,
      TLSChallenge.index,
      UnsafeMutableRawPointer(challenge.context)
    )
    unsafe SSL_CTX_set_select_certificate_cb(context, tlsChooseContext)
  }

  /// A client that takes any certificate: for measuring, and where proof comes in another way.
  public static func unverifiedClient() throws(TLSFailure) -> TLSContext {
    let context = try TLSContext()
    // SAFETY: nobody else has the context yet.
    unsafe SSL_CTX_set_custom_verify(context.context, SSL_VERIFY_PEER) { _, _ in ssl_verify_ok }
    return context
  }
}
