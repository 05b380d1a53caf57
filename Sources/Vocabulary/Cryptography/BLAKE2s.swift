// SPDX-License-Identifier: Apache-2.0

import CBLAKE2

/// BLAKE2s and what WireGuard and Noise build on it.
///
/// - Source: RFC 7693; RFC 5869 for the key derivation.
public enum BLAKE2s {
  private static let blockCount = 64

  /// BLAKE2s-256 of the parts in order.
  public static func hash(_ parts: [UInt8]...) -> [UInt8] { digest(32, key: [], parts) }

  /// BLAKE2s-128 under a key of at most 32 bytes.
  public static func mac(key: [UInt8], _ parts: [UInt8]...) -> [UInt8] {
    digest(16, key: key, parts)
  }

  /// BLAKE2s-256 under a key of at most 32 bytes.
  public static func longMAC(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    digest(32, key: key, [message])
  }

  /// HMAC with BLAKE2s-256.
  public static func hmac(key: [UInt8], _ parts: [UInt8]...) -> [UInt8] {
    hmac(key: key, parts: parts)
  }

  /// HKDF: one to three 32-byte keys from a chaining key and an input.
  public static func hkdf(chainingKey: [UInt8], input: [UInt8], outputs: Int) -> [[UInt8]] {
    precondition((1...3).contains(outputs), "Noise takes one to three keys")
    var secret = hmac(key: chainingKey, parts: [input])
    defer { wipe(&secret) }
    var keys: [[UInt8]] = []
    for number in 1...outputs {
      keys.append(hmac(key: secret, parts: [keys.last ?? [], [UInt8(number)]]))
    }
    return keys
  }

  private static func hmac(key: [UInt8], parts: [[UInt8]]) -> [UInt8] {
    let short = key.count > blockCount ? digest(32, key: [], [key]) : key
    let block = short + Array(repeating: 0, count: blockCount - short.count)
    let inner = digest(32, key: [], [block.map { $0 ^ 0x36 }] + parts)
    return digest(32, key: [], [block.map { $0 ^ 0x5C }, inner])
  }

  private static func digest(_ count: Int, key: [UInt8], _ parts: [[UInt8]]) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: count)
    // SAFETY: the state is initialised by the first call; every buffer comes with its own count.
    var state = blake2s_state()
    let status =
      unsafe key.isEmpty
      ? blake2s_init(&state, count) : blake2s_init_key(&state, count, key, key.count)
    precondition(status == 0, "a BLAKE2s key has at most 32 bytes")
    for part in parts where !part.isEmpty {
      unsafe blake2s_update(&state, part, part.count)
    }
    unsafe blake2s_final(&state, &output, count)
    return output
  }
}
