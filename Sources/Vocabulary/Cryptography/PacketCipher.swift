// SPDX-License-Identifier: Apache-2.0

import CCryptoBoringSSL

/// Seals and opens the packets of one WireGuard key, in place.
///
/// The key schedule is done once; a packet costs one call and no allocation. The nonce is four zero
/// bytes and the little-endian counter; there is no associated data.
///
/// - Source: WireGuard paper §5.4.6.
public struct PacketCipher: ~Copyable, @unchecked Sendable {
  /// How many bytes sealing adds.
  public static let tagCount = 16

  // SAFETY: owned by this value alone and freed once, in `deinit`; BoringSSL only reads it after
  // it was set up, so that it may be used from any thread.
  private let context: OpaqueContext

  /// A cipher for a 32-byte key.
  public init(key: [UInt8]) {
    precondition(key.count == 32, "a ChaCha20 key has 32 bytes")
    guard
      let made = unsafe CCryptoBoringSSL_EVP_AEAD_CTX_new(
        CCryptoBoringSSL_EVP_aead_chacha20_poly1305(),
        key,
        key.count,
        Self.tagCount
      )
    else { preconditionFailure("out of memory while setting up a cipher") }
    unsafe context = OpaqueContext(pointer: made)
  }

  deinit { unsafe CCryptoBoringSSL_EVP_AEAD_CTX_free(context.pointer) }

  /// Seals `count` bytes at `buffer` in place and writes the tag behind them.
  ///
  /// The caller owns `count` + 16 bytes there.
  public func seal(_ buffer: UnsafeMutableRawPointer, count: Int, counter: UInt64) {
    var written = 0
    // SAFETY: in-place operation is allowed when input and output start at the same byte.
    let bytes = unsafe buffer.assumingMemoryBound(to: UInt8.self)
    let status = unsafe withNonce(counter) { nonce in
      unsafe CCryptoBoringSSL_EVP_AEAD_CTX_seal(
        context.pointer,
        bytes,
        &written,
        count + Self.tagCount,
        nonce,
        12,
        bytes,
        count,
        nil,
        0
      )
    }
    precondition(status == 1, "sealing with fitting buffers cannot fail")
  }

  /// Opens `count` bytes at `buffer`, the tag among them, in place; false when not authentic.
  public func open(_ buffer: UnsafeMutableRawPointer, count: Int, counter: UInt64) -> Bool {
    guard count >= Self.tagCount else { return false }
    var written = 0
    // SAFETY: as in `seal`.
    let bytes = unsafe buffer.assumingMemoryBound(to: UInt8.self)
    return unsafe withNonce(counter) { nonce in
      unsafe CCryptoBoringSSL_EVP_AEAD_CTX_open(
        context.pointer,
        bytes,
        &written,
        count,
        nonce,
        12,
        bytes,
        count,
        nil,
        0
      )
    } == 1
  }

  @inline(__always)
  private func withNonce(_ counter: UInt64, _ body: (UnsafePointer<UInt8>) -> Int32) -> Int32 {
    let words: (UInt32, UInt32, UInt32) = (
      0, UInt32(truncatingIfNeeded: counter).littleEndian,
      UInt32(truncatingIfNeeded: counter >> 32).littleEndian
    )
    // SAFETY: three 32-bit words are twelve bytes without padding.
    return unsafe withUnsafeBytes(of: words) { raw in
      guard let base = raw.baseAddress else { preconditionFailure("a tuple has an address") }
      return unsafe body(base.assumingMemoryBound(to: UInt8.self))
    }
  }
}

/// Keeps the pointer to the cipher's context inside this file.
@safe private struct OpaqueContext {
  let pointer: UnsafeMutablePointer<EVP_AEAD_CTX>
}
