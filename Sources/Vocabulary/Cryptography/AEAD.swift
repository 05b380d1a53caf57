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

  /// Seals `plaintext` under the all-zero nonce, and appends it and the tag to `message`.
  ///
  /// For keys that seal once. Allocates nothing where the message has room.
  static func seal(
    _ plaintext: borrowing Span<UInt8>,
    key: Bytes32,
    authenticating data: Bytes32,
    appendingTo message: inout [UInt8]
  ) {
    let start = message.count
    let room = plaintext.count + OneShot.tagCount
    message.append(contentsOf: repeatElement(0, count: room))
    let nonce = InlineArray<12, UInt8>(repeating: 0)
    var written = 0
    // SAFETY: the output is the end of the message, which was made for it; the other buffers come with
    // their own counts, and none outlives the call.
    let status = unsafe message.withUnsafeMutableBufferPointer { message in
      unsafe plaintext.withUnsafeBufferPointer { plaintext in
        unsafe OneShot.withContext(key: key, extended: false) { context in
          unsafe nonce.span.withUnsafeBufferPointer { nonce in
            unsafe data.withPointer { data in
              unsafe EVP_AEAD_CTX_seal(
                context,
                message.baseAddress.map { unsafe $0 + start },
                &written,
                room,
                nonce.baseAddress,
                nonce.count,
                plaintext.baseAddress,
                plaintext.count,
                data,
                32
              )
            }
          }
        }
      }
    }
    precondition(status == 1 && written == room, "sealing with fitting buffers cannot fail")
  }

  /// Opens what the other has sealed, on the stack; nil when it is not authentic.
  static func open<Plaintext>(
    _ sealed: borrowing Span<UInt8>,
    key: Bytes32,
    authenticating data: Bytes32,
    _ take: (borrowing Span<UInt8>) -> Plaintext
  ) -> Plaintext? {
    guard sealed.count >= OneShot.tagCount else { return nil }
    let nonce = InlineArray<12, UInt8>(repeating: 0)
    // SAFETY: the plaintext is a tag shorter than its buffer; buffers come with their own counts, and
    // none outlives the call.
    return unsafe sealed.withUnsafeBufferPointer { sealed in
      unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: sealed.count) { plaintext in
        var written = 0
        let status = unsafe OneShot.withContext(key: key, extended: false) { context in
          unsafe nonce.span.withUnsafeBufferPointer { nonce in
            unsafe data.withPointer { data in
              unsafe EVP_AEAD_CTX_open(
                context,
                plaintext.baseAddress,
                &written,
                plaintext.count,
                nonce.baseAddress,
                nonce.count,
                sealed.baseAddress,
                sealed.count,
                data,
                32
              )
            }
          }
        }
        guard status == 1 else { return nil }
        return unsafe take(Span(_unsafeElements: UnsafeBufferPointer(plaintext)[..<written]))
      }
    }
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

  static func withContext(
    key: Bytes32,
    extended: Bool,
    _ body: (UnsafePointer<EVP_AEAD_CTX>) -> Int32
  ) -> Int32 {
    // SAFETY: the key has 32 bytes.
    unsafe key.withPointer { unsafe withContext(key: $0, extended: extended, body) }
  }

  // SAFETY: the key has 32 bytes; the context is initialised before use and cleaned up after it.
  private static func withContext(
    key: UnsafePointer<UInt8>,
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
      32,
      tagCount,
      nil
    )
    precondition(status == 1, "a 32-byte key sets up the cipher")
    defer { unsafe EVP_AEAD_CTX_cleanup(&context) }
    return unsafe body(&context)
  }
}
