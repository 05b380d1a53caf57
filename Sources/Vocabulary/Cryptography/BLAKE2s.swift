// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL
import CNoise

/// BLAKE2s and what WireGuard and Noise build on it.
///
/// - Source: RFC 7693; RFC 5869 for the key derivation.
public enum BLAKE2s {
  private static let blockCount = 64
  private static let digestCount = 32
  private static let macCount = 16

  /// BLAKE2s-256 of the parts in order.
  public static func hash(_ first: [UInt8], _ second: [UInt8] = []) -> [UInt8] {
    digest(digestCount, key: [], first, second)
  }

  /// BLAKE2s-128 under a key of at most 32 bytes.
  public static func mac(key: [UInt8], _ first: [UInt8], _ second: [UInt8] = []) -> [UInt8] {
    digest(macCount, key: key, first, second)
  }

  /// BLAKE2s-256 under a key of at most 32 bytes.
  public static func longMAC(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    digest(digestCount, key: key, message, [])
  }

  /// HMAC with BLAKE2s-256.
  public static func hmac(key: [UInt8], _ first: [UInt8], _ second: [UInt8] = []) -> [UInt8] {
    let key = key.count > blockCount ? hash(key) : key
    return unsafe filled(digestCount) { output in
      // SAFETY: the output has 32 bytes; every other buffer comes with its own count.
      unsafe cn_hmac(output, key, key.count, first, first.count, second, second.count)
    }
  }

  /// HKDF: one to three 32-byte keys from a chaining key of at most 64 bytes and an input.
  public static func hkdf(chainingKey: [UInt8], input: [UInt8], outputs: Int) -> [[UInt8]] {
    precondition((1...3).contains(outputs), "Noise takes one to three keys")
    precondition(chainingKey.count <= blockCount, "a chaining key fits into a block")
    return unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 3 * digestCount) {
      memory in
      guard let output = memory.baseAddress else {
        preconditionFailure("96 bytes have an address")
      }
      // SAFETY: the output has room for three keys; every other buffer comes with its own count.
      unsafe cn_hkdf(
        output,
        Int32(outputs),
        chainingKey,
        chainingKey.count,
        input,
        input.count
      )
      defer { unsafe OPENSSL_cleanse(output, 3 * digestCount) }
      return (0..<outputs).map { number in
        unsafe Array(UnsafeBufferPointer(start: output + number * digestCount, count: digestCount))
      }
    }
  }

  private static func digest(
    _ count: Int,
    key: [UInt8],
    _ first: [UInt8],
    _ second: [UInt8]
  ) -> [UInt8] {
    precondition(key.count <= digestCount, "a BLAKE2s key has at most 32 bytes")
    return unsafe filled(count) { output in
      // SAFETY: the output has `count` bytes; every other buffer comes with its own count.
      unsafe cn_blake2s(
        output,
        count,
        key,
        key.count,
        first,
        first.count,
        second,
        second.count
      )
    }
  }

  /// `count` bytes as `fill` writes all of them.
  private static func filled(
    _ count: Int,
    _ fill: (UnsafeMutablePointer<UInt8>) -> Void
  ) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, written in
      guard let start = buffer.baseAddress else { return }
      unsafe fill(start)
      written = count
    }
  }
}
