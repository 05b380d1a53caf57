// SPDX-License-Identifier: Apache-2.0

import CSodium

/// The box between two Curve25519 keys: XSalsa20-Poly1305, the shared key computed once.
///
/// - Source: NaCl, `crypto_box`.
public struct NaClBox: Sendable {
  /// How many bytes a box adds: the nonce and the tag.
  public static let overhead = 24 + 16

  private let sharedKey: [UInt8]?

  /// The box between our private and the other's public key, 32 bytes each.
  ///
  /// A public key of small order gives a box that opens nothing.
  public init(privateKey: [UInt8], publicKey: [UInt8]) {
    guard privateKey.count == 32, publicKey.count == 32 else {
      sharedKey = nil
      return
    }
    var key = [UInt8](repeating: 0, count: 32)
    // SAFETY: all three buffers have 32 bytes.
    let status = unsafe crypto_box_beforenm(&key, publicKey, privateKey)
    sharedKey = status == 0 ? key : nil
  }

  /// Seals `plaintext` under a random nonce, which comes first.
  public func seal(_ plaintext: [UInt8], using entropy: inout Entropy) -> [UInt8] {
    seal(plaintext, nonce: entropy.bytes(24))
  }

  /// Seals `plaintext` under the given 24-byte nonce, which comes first.
  public func seal(_ plaintext: [UInt8], nonce: [UInt8]) -> [UInt8] {
    precondition(nonce.count == 24, "a box takes a nonce of 24 bytes")
    // A key of small order shares nothing with anybody: sealed under chance, it opens nowhere.
    let key = sharedKey ?? nonce + nonce.prefix(8)
    var box = [UInt8](repeating: 0, count: plaintext.count + 16)
    // SAFETY: the box has room for the tag; key and nonce have their sizes.
    unsafe crypto_box_easy_afternm(&box, plaintext, UInt64(plaintext.count), nonce, key)
    return nonce + box
  }

  /// Opens a nonce and box, or nil when it is not authentic.
  public func open(_ nonceAndBox: [UInt8]) -> [UInt8]? {
    guard let sharedKey, nonceAndBox.count >= Self.overhead else { return nil }
    let nonce = Array(nonceAndBox.prefix(24))
    let box = Array(nonceAndBox.dropFirst(24))
    var plaintext = [UInt8](repeating: 0, count: box.count - 16)
    // SAFETY: the plaintext is a tag shorter than the box; key and nonce have their sizes.
    let status = unsafe crypto_box_open_easy_afternm(
      &plaintext,
      box,
      UInt64(box.count),
      nonce,
      sharedKey
    )
    return status == 0 ? plaintext : nil
  }
}
