// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// The protocol by which an authority looks at a server's answer to its challenge.
///
/// - Source: RFC 8737 §6.2.
enum TLSChallenge {
  /// Its name, as it stands in lists of protocols.
  static let name: [UInt8] = [10] + Array("acme-tls/1".utf8)
  /// The whole list of who speaks nothing else: its length, and the name.
  static let list: [UInt8] = [0, UInt8(name.count)] + name

  /// Where a context keeps the one that answers in its place.
  static let index: Int32 = unsafe SSL_CTX_get_ex_new_index(0, nil, nil, nil) {
    _,
    challenge,
    _,
    _,
    _,
    _ in
    // SAFETY: the reference was the context's own, which is being freed.
    if let challenge = unsafe challenge { unsafe SSL_CTX_free(OpaquePointer(challenge)) }
  }
}

/// Lets the other context answer where a client asks for that.
func tlsChooseContext(
  _ hello: UnsafePointer<SSL_CLIENT_HELLO>?
) -> ssl_select_cert_result_t {
  // SAFETY: the library's own for the time of the call; it says how long the extension is, and the
  // session counts the reference that it takes.
  guard let hello = unsafe hello, let session = unsafe hello.pointee.ssl else {
    return ssl_select_cert_success
  }
  var (start, count): (UnsafePointer<UInt8>?, Int) = (nil, 0)
  guard
    unsafe SSL_early_callback_ctx_extension_get(
      hello,
      UInt16(TLSEXT_TYPE_application_layer_protocol_negotiation),
      &start,
      &count
    ) == 1,
    unsafe UnsafeBufferPointer(start: start, count: count).elementsEqual(TLSChallenge.list),
    let context = unsafe SSL_get_SSL_CTX(session),
    let challenge = unsafe SSL_CTX_get_ex_data(context, TLSChallenge.index)
  else { return ssl_select_cert_success }
  return unsafe SSL_set_SSL_CTX(session, OpaquePointer(challenge)) == nil
    ? ssl_select_cert_error : ssl_select_cert_success
}

/// Agrees to the protocol of challenges, and to no other.
func tlsTakeChallenge(
  _ session: OpaquePointer?,
  _ chosen: UnsafeMutablePointer<UnsafePointer<UInt8>?>?,
  _ chosenCount: UnsafeMutablePointer<UInt8>?,
  _ offered: UnsafePointer<UInt8>?,
  _ offeredCount: UInt32,
  _ argument: UnsafeMutableRawPointer?
) -> Int32 {
  // SAFETY: the library's own for the time of the call; what is chosen lies within what is offered.
  guard
    unsafe UnsafeBufferPointer(start: offered, count: Int(offeredCount))
      .elementsEqual(TLSChallenge.name)
  else { return SSL_TLSEXT_ERR_ALERT_FATAL }
  unsafe chosen?.pointee = offered.map { unsafe $0 + 1 }
  unsafe chosenCount?.pointee = UInt8(TLSChallenge.name.count - 1)
  return SSL_TLSEXT_ERR_OK
}
