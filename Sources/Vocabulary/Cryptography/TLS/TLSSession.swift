// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// One side of a TLS connection, without the connection: bytes come in, bytes go out.
///
/// All TLS is BoringSSL's. Belongs to one thread, whose sessions share an exchange: what a call
/// wrote there is to be taken before another session is used.
@safe public struct TLSSession: ~Copyable {
  /// What became of what was received.
  public enum Progress: Hashable, Sendable {
    /// It was taken in; more may come.
    case open
    /// The other side has said that there is no more.
    case ended
    /// It is not TLS, or not what we agree to; why, in words.
    case failed(TLSFailure)
  }

  /// Plaintext can be longer than what was received by as much as one unfinished record.
  public static let margin = 32 * 1024

  private let session: OpaquePointer
  private let exchange: TLSExchange

  /// A session that waits for a client.
  public init(serving context: TLSContext, over exchange: TLSExchange) throws(TLSFailure) {
    try self.init(context, exchange)
    unsafe SSL_set_accept_state(session)
  }

  /// A session that has a greeting for the server in its output.
  public init(
    connecting context: TLSContext,
    over exchange: TLSExchange,
    to name: String? = nil
  ) throws(TLSFailure) {
    try self.init(context, exchange)
    // SAFETY: the session was just made; it copies the name.
    if let name { unsafe SSL_set_tlsext_host_name(session, name) }
    unsafe SSL_set_connect_state(session)
    unsafe SSL_do_handshake(session)
  }

  private init(_ context: TLSContext, _ exchange: TLSExchange) throws(TLSFailure) {
    guard let session = unsafe SSL_new(context.context) else {
      throw .noted("there is no memory for TLS")
    }
    unsafe (self.session, self.exchange) = (session, exchange)
    // SAFETY: the session owns one more reference to the channel from now on.
    unsafe BIO_up_ref(exchange.channel)
    unsafe SSL_set_bio(session, exchange.channel, exchange.channel)
    unsafe SSL_set_shed_handshake_config(session, 1)
  }

  deinit { unsafe SSL_free(session) }

  /// Whether both sides have agreed and proven themselves.
  public var isEstablished: Bool { unsafe SSL_in_init(session) == 0 }

  /// The version that both sides agreed on, like `1.3`; nil before.
  public var version: String? {
    guard isEstablished else { return nil }
    return switch unsafe SSL_version(session) {
    case TLS1_3_VERSION: "1.3"
    case TLS1_2_VERSION: "1.2"
    default: "unknown"
    }
  }

  /// Whether the other side only wanted to see the answer to a challenge: nothing follows.
  public var isAnswer: Bool {
    var (start, count): (UnsafePointer<UInt8>?, UInt32) = (nil, 0)
    // SAFETY: only the length is looked at; servers of ours agree to no other protocol.
    unsafe SSL_get0_alpn_selected(session, &start, &count)
    return count > 0
  }

  /// Takes in all of what was received, and writes the plaintext in it to `plaintext`, which has
  /// room for as much and `margin` more.
  ///
  /// - Returns: How much plaintext there is, and whether more may come.
  public mutating func receive(
    _ received: UnsafeRawBufferPointer,
    into plaintext: UnsafeMutableRawBufferPointer
  ) -> (count: Int, progress: Progress) {
    precondition(plaintext.count >= received.count + Self.margin, "plaintext needs room")
    return unsafe exchange.withInput(received) {
      var count = 0
      while count < plaintext.count {
        // SAFETY: no more is written than there is room for.
        let read = unsafe SSL_read(
          session,
          plaintext.baseAddress.map { unsafe $0 + count },
          Int32(clamping: plaintext.count - count)
        )
        guard read <= 0 else {
          count += Int(read)
          continue
        }
        switch unsafe SSL_get_error(session, read) {
        case SSL_ERROR_WANT_READ: return (count, .open)
        case SSL_ERROR_ZERO_RETURN: return (count, .ended)
        default: return (count, .failed(.noted("it is not TLS")))
        }
      }
      return (count, .failed(TLSFailure("more came than was sent")))
    }
  }

  /// Seals all of `bytes` into the output.
  ///
  /// - Returns: False when the session is not established, or has failed.
  public mutating func send(_ bytes: UnsafeRawBufferPointer) -> Bool {
    var sent = 0
    while sent < bytes.count {
      // SAFETY: no more is read than there is.
      let count = unsafe SSL_write(
        session,
        bytes.baseAddress.map { unsafe $0 + sent },
        Int32(clamping: bytes.count - sent)
      )
      guard count > 0 else {
        ERR_clear_error()
        return false
      }
      sent += Int(count)
    }
    return true
  }

  /// Says into the output that no more comes from this side.
  public mutating func end() {
    unsafe SSL_shutdown(session)
    ERR_clear_error()
  }
}
