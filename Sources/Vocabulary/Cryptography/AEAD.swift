// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// ChaCha20-Poly1305 for single small messages.
///
/// - Source: RFC 8439 §2.8.
public enum ChaCha20Poly1305 {
  /// Seals `plaintext` under a 32-byte key and a 12-byte nonce; the 16-byte tag comes last.
  public static func seal(
    _ plaintext: [UInt8],
    key: [UInt8],
    nonce: [UInt8],
    authenticating data: [UInt8] = []
  ) -> [UInt8] {
    OneShot.seal(plaintext, key: key, nonce: nonce, data: data, extended: false)
  }

  /// Opens what `seal` made, or nil when it is not authentic.
  public static func open(
    _ sealed: [UInt8],
    key: [UInt8],
    nonce: [UInt8],
    authenticating data: [UInt8] = []
  ) -> [UInt8]? {
    OneShot.open(sealed, key: key, nonce: nonce, data: data, extended: false)
  }
}

/// XChaCha20-Poly1305: a nonce of 24 bytes, long enough to be drawn at random.
///
/// - Source: draft-irtf-cfrg-xchacha-03.
public enum XChaCha20Poly1305 {
  /// Seals `plaintext` under a 32-byte key and a 24-byte nonce; the 16-byte tag comes last.
  public static func seal(
    _ plaintext: [UInt8],
    key: [UInt8],
    nonce: [UInt8],
    authenticating data: [UInt8] = []
  ) -> [UInt8] {
    OneShot.seal(plaintext, key: key, nonce: nonce, data: data, extended: true)
  }

  /// Opens what `seal` made, or nil when it is not authentic.
  public static func open(
    _ sealed: [UInt8],
    key: [UInt8],
    nonce: [UInt8],
    authenticating data: [UInt8] = []
  ) -> [UInt8]? {
    OneShot.open(sealed, key: key, nonce: nonce, data: data, extended: true)
  }
}

private enum OneShot {
  static let tagCount = 16

  static func seal(
    _ plaintext: [UInt8],
    key: [UInt8],
    nonce: [UInt8],
    data: [UInt8],
    extended: Bool
  ) -> [UInt8] {
    precondition(key.count == 32 && nonce.count == (extended ? 24 : 12), "a key or nonce is short")
    var sealed = [UInt8](repeating: 0, count: plaintext.count + tagCount)
    var written = 0
    // SAFETY: the context lives for this call only; every buffer is passed with its own count.
    let status = unsafe withContext(key: key, extended: extended) { context in
      unsafe EVP_AEAD_CTX_seal(
        context,
        &sealed,
        &written,
        sealed.count,
        nonce,
        nonce.count,
        plaintext,
        plaintext.count,
        data,
        data.count
      )
    }
    precondition(status == 1 && written == sealed.count, "sealing with fitting buffers cannot fail")
    return sealed
  }

  static func open(
    _ sealed: [UInt8],
    key: [UInt8],
    nonce: [UInt8],
    data: [UInt8],
    extended: Bool
  ) -> [UInt8]? {
    guard key.count == 32, nonce.count == (extended ? 24 : 12), sealed.count >= tagCount else {
      return nil
    }
    var plaintext = [UInt8](repeating: 0, count: sealed.count)
    var written = 0
    // SAFETY: as in `seal`.
    let status = unsafe withContext(key: key, extended: extended) { context in
      unsafe EVP_AEAD_CTX_open(
        context,
        &plaintext,
        &written,
        plaintext.count,
        nonce,
        nonce.count,
        sealed,
        sealed.count,
        data,
        data.count
      )
    }
    guard status == 1 else { return nil }
    plaintext.removeLast(plaintext.count - written)
    return plaintext
  }

  // SAFETY: the context is initialised before use and cleaned up after it.
  private static func withContext(
    key: [UInt8],
    extended: Bool,
    _ body: (UnsafePointer<EVP_AEAD_CTX>) -> Int32
  ) -> Int32 {
    var context = unsafe EVP_AEAD_CTX()
    let aead =
      unsafe extended
      ? EVP_aead_xchacha20_poly1305()
      : EVP_aead_chacha20_poly1305()
    let status = unsafe EVP_AEAD_CTX_init(
      &context,
      aead,
      key,
      key.count,
      tagCount,
      nil
    )
    precondition(status == 1, "a 32-byte key sets up the cipher")
    defer { unsafe EVP_AEAD_CTX_cleanup(&context) }
    return unsafe body(&context)
  }
}
