// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// Diffie-Hellman on Curve25519.
///
/// - Source: RFC 7748.
public enum X25519 {
  /// A fresh clamped private key.
  public static func generate(using entropy: inout Entropy) -> [UInt8] {
    clamp(entropy.bytes(32))
  }

  /// A private key with the bits set that RFC 7748 §5 fixes.
  public static func clamp(_ key: [UInt8]) -> [UInt8] {
    precondition(key.count == 32, "a Curve25519 key has 32 bytes")
    var key = key
    key[0] &= 248
    key[31] = key[31] & 127 | 64
    return key
  }

  /// The public key of a 32-byte private key.
  public static func publicKey(of privateKey: [UInt8]) -> [UInt8] {
    precondition(privateKey.count == 32, "a Curve25519 key has 32 bytes")
    var key = [UInt8](repeating: 0, count: 32)
    // SAFETY: both buffers have 32 bytes.
    unsafe X25519_public_from_private(&key, privateKey)
    return key
  }

  /// The shared secret, or nil when the other key is of small order (an all-zero result).
  public static func sharedSecret(
    private privateKey: [UInt8],
    public publicKey: [UInt8]
  ) -> [UInt8]? {
    guard privateKey.count == 32, publicKey.count == 32 else { return nil }
    var secret = [UInt8](repeating: 0, count: 32)
    // SAFETY: all three buffers have 32 bytes.
    let status = unsafe CNIOBoringSSL.X25519(&secret, privateKey, publicKey)
    return status == 1 ? secret : nil
  }

  /// A private key with the bits set that RFC 7748 §5 fixes.
  public static func clamp(_ key: Bytes32) -> Bytes32 {
    var key = key
    key.storage[0] &= 248
    key.storage[31] = key.storage[31] & 127 | 64
    return key
  }

  /// The public key of a private key.
  public static func publicKey(of privateKey: Bytes32) -> Bytes32 {
    var key = Bytes32()
    // SAFETY: both buffers have 32 bytes.
    unsafe privateKey.withPointer { privateKey in
      unsafe key.withMutablePointer { unsafe X25519_public_from_private($0, privateKey) }
    }
    return key
  }

  /// The shared secret, or nil when the other key is of small order (an all-zero result).
  public static func sharedSecret(
    private privateKey: Bytes32,
    public publicKey: Bytes32
  ) -> Bytes32? {
    var secret = Bytes32()
    // SAFETY: all three buffers have 32 bytes.
    let status = unsafe privateKey.withPointer { privateKey in
      unsafe publicKey.withPointer { publicKey in
        unsafe secret.withMutablePointer {
          unsafe CNIOBoringSSL.X25519($0, privateKey, publicKey)
        }
      }
    }
    return status == 1 ? secret : nil
  }
}

/// Signatures on edwards25519.
///
/// - Source: RFC 8032 §5.1.
public enum Ed25519 {
  /// A fresh key pair: 64 private bytes (seed and public key) and 32 public ones.
  public static func generate(
    using entropy: inout Entropy
  ) -> (privateKey: [UInt8], publicKey: [UInt8]) {
    let seed = entropy.bytes(32)
    var privateKey = [UInt8](repeating: 0, count: 64)
    var publicKey = [UInt8](repeating: 0, count: 32)
    // SAFETY: the buffers have the 64, 32 and 32 bytes that the call writes and reads.
    unsafe ED25519_keypair_from_seed(&publicKey, &privateKey, seed)
    return (privateKey, publicKey)
  }

  /// The 64-byte signature of a message under a 64-byte private key.
  public static func sign(_ message: [UInt8], privateKey: [UInt8]) -> [UInt8] {
    precondition(privateKey.count == 64, "an Ed25519 private key has 64 bytes")
    var signature = [UInt8](repeating: 0, count: 64)
    // SAFETY: the buffers have the sizes that the call takes.
    let status = unsafe ED25519_sign(
      &signature,
      message,
      message.count,
      privateKey
    )
    precondition(status == 1, "signing with fitting buffers cannot fail")
    return signature
  }

  /// Whether `signature` is the key owner's on `message`.
  public static func verify(_ signature: [UInt8], of message: [UInt8], publicKey: [UInt8]) -> Bool {
    guard signature.count == 64, publicKey.count == 32 else { return false }
    // SAFETY: the buffers have the sizes that the call takes.
    return unsafe ED25519_verify(message, message.count, signature, publicKey) == 1
  }
}

/// SHA-256.
///
/// - Source: FIPS 180-4.
public enum SHA256 {
  /// The 32-byte digest of `bytes`.
  public static func hash(_ bytes: [UInt8]) -> [UInt8] {
    var digest = [UInt8](repeating: 0, count: 32)
    // SAFETY: the digest has 32 bytes.
    unsafe CNIOBoringSSL.SHA256(bytes, bytes.count, &digest)
    return digest
  }
}

/// HMAC with SHA-256.
///
/// - Source: RFC 2104.
public enum HMACSHA256 {
  private static let block = 64

  /// The 32-byte code of `message` under `key`.
  public static func code(of message: [UInt8], key: [UInt8]) -> [UInt8] {
    var padded = key.count > block ? SHA256.hash(key) : key
    padded += [UInt8](repeating: 0, count: block - padded.count)
    let inner = SHA256.hash(padded.map { $0 ^ 0x36 } + message)
    return SHA256.hash(padded.map { $0 ^ 0x5C } + inner)
  }
}
