// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// Signatures that others make with RSA keys; we only verify them.
///
/// - Source: RFC 8017 §8.2.2 (PKCS #1 v1.5 with SHA-256).
public enum RSASignature {
  /// The shortest modulus that is accepted, and the longest, in bytes.
  public static let modulusBytes = 256...1024

  /// Whether `signature` is the key owner's on `message`.
  public static func verify(
    _ signature: [UInt8],
    of message: [UInt8],
    modulus: [UInt8],
    exponent: [UInt8]
  ) -> Bool {
    let modulus = Array(modulus.drop { $0 == 0 })
    guard modulusBytes.contains(modulus.count), (1...8).contains(exponent.count) else {
      return false
    }
    // SAFETY: numbers are made from whole buffers; the key copies them, and each is freed once.
    let (n, e) = unsafe (
      BN_bin2bn(modulus, modulus.count, nil), BN_bin2bn(exponent, exponent.count, nil)
    )
    defer {
      unsafe BN_free(n)
      unsafe BN_free(e)
    }
    // SAFETY: both numbers exist; what comes back is a key or nothing, and is freed once.
    guard unsafe n != nil, unsafe e != nil, let key = unsafe RSA_new_public_key(n, e) else {
      return false
    }
    defer { unsafe RSA_free(key) }
    let digest = SHA256.hash(message)
    // SAFETY: both buffers have the lengths that are told.
    return unsafe RSA_verify(
      NID_sha256,
      digest,
      digest.count,
      signature,
      signature.count,
      key
    ) == 1
  }
}

/// Signatures that others make with keys on the curve P-256; we only verify them.
///
/// - Source: FIPS 186-5 §6.4; RFC 7518 §3.4 for the form of the signature.
public enum P256Signature {
  /// Whether `signature`, two numbers of 32 bytes, is the key owner's on `message`.
  public static func verify(
    _ signature: [UInt8],
    of message: [UInt8],
    x: [UInt8],
    y: [UInt8]
  ) -> Bool {
    guard signature.count == 64, x.count == 32, y.count == 32 else { return false }
    // SAFETY: a key of a curve that is known is made, or nothing; it is freed once.
    guard let key = unsafe EC_KEY_new_by_curve_name(NID_X9_62_prime256v1) else { return false }
    defer { unsafe EC_KEY_free(key) }
    // SAFETY: numbers are made from whole buffers and freed once; the key copies them.
    let (first, second) = unsafe (BN_bin2bn(x, x.count, nil), BN_bin2bn(y, y.count, nil))
    defer {
      unsafe BN_free(first)
      unsafe BN_free(second)
    }
    // SAFETY: key and numbers exist; a point that is not on the curve is refused.
    guard unsafe first != nil, unsafe second != nil,
      unsafe EC_KEY_set_public_key_affine_coordinates(key, first, second) == 1
    else { return false }
    let digest = SHA256.hash(message)
    // SAFETY: both buffers have the lengths that are told.
    return unsafe ECDSA_verify_p1363(
      digest,
      digest.count,
      signature,
      signature.count,
      key
    ) == 1
  }
}
