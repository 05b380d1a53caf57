// SPDX-License-Identifier: Apache-2.0

import CBLAKE2
import CNIOBoringSSL

/// BLAKE2s and what WireGuard and Noise build on it.
///
/// What a handshake needs works on values of fixed size and on spans, and allocates nothing.
///
/// - Source: RFC 7693; RFC 5869 for the key derivation.
public enum BLAKE2s {
  /// BLAKE2s-256 of the parts in order.
  public static func hash(_ parts: [UInt8]...) -> [UInt8] {
    var digest = Digest()
    for part in parts { digest.update(part.span) }
    return digest.finish().bytes
  }

  /// BLAKE2s-256 of a label and a key.
  public static func hash(_ label: StaticString, _ key: Bytes32) -> Bytes32 {
    var digest = Digest()
    // SAFETY: the text is there as long as the program.
    unsafe digest.update(Span(_unsafeStart: label.utf8Start, count: label.utf8CodeUnitCount))
    digest.update(key)
    return digest.finish()
  }

  /// BLAKE2s-256 of two parts, the first of which is a hash or a key.
  public static func hash(_ first: Bytes32, _ second: borrowing Span<UInt8>) -> Bytes32 {
    var digest = Digest()
    digest.update(first)
    digest.update(second)
    return digest.finish()
  }

  /// BLAKE2s-128 under a key of at most 32 bytes.
  public static func mac(key: [UInt8], _ parts: [UInt8]...) -> [UInt8] {
    var digest = Digest(key: key.span, isShort: true)
    for part in parts { digest.update(part.span) }
    return digest.finishShort().bytes
  }

  /// BLAKE2s-128 of a message under a key of 32 bytes.
  public static func mac(key: Bytes32, _ message: borrowing Span<UInt8>) -> Bytes16 {
    var digest = Digest(key: key.storage.span, isShort: true)
    digest.update(message)
    return digest.finishShort()
  }

  /// BLAKE2s-128 of a message under a key of 16 bytes.
  public static func mac(key: Bytes16, _ message: borrowing Span<UInt8>) -> Bytes16 {
    var digest = Digest(key: key.storage.span, isShort: true)
    digest.update(message)
    return digest.finishShort()
  }

  /// BLAKE2s-256 under a key of at most 32 bytes.
  public static func longMAC(key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    var digest = Digest(key: key.span, isShort: false)
    digest.update(message.span)
    return digest.finish().bytes
  }

  /// HMAC with BLAKE2s-256 under a key of 32 bytes.
  public static func hmac(key: Bytes32, _ message: borrowing Span<UInt8>) -> Bytes32 {
    var keyed = KeyedDigest(key)
    defer { keyed.wipe() }
    return keyed.code(of: message)
  }

  /// HKDF's three keys from a chaining key and an input; those past `count` are zero.
  public static func hkdf(
    chainingKey: Bytes32,
    input: borrowing Span<UInt8>,
    count: Int
  ) -> (Bytes32, Bytes32, Bytes32) {
    precondition((1...3).contains(count), "Noise takes one to three keys")
    var secret = hmac(key: chainingKey, input)
    var keyed = KeyedDigest(secret)
    defer {
      secret.wipe()
      keyed.wipe()
    }
    var keys = (keyed.code(numbered: 1), Bytes32(), Bytes32())
    if count > 1 { keys.1 = keyed.code(of: keys.0.storage.span, numbered: 2) }
    if count > 2 { keys.2 = keyed.code(of: keys.1.storage.span, numbered: 3) }
    return keys
  }

  /// A hash that is being taken.
  struct Digest {
    // SAFETY: set up by both initialisers; only the library looks into it.
    private var state = blake2s_state()

    init() {
      let status = unsafe blake2s_init(&state, 32)
      precondition(status == 0, "BLAKE2s makes 32 bytes")
    }

    init(key: borrowing Span<UInt8>, isShort: Bool) {
      // SAFETY: the key comes with its own count.
      let status = unsafe key.withUnsafeBufferPointer { key in
        unsafe key.isEmpty
          ? blake2s_init(&state, isShort ? 16 : 32)
          : blake2s_init_key(&state, isShort ? 16 : 32, key.baseAddress, key.count)
      }
      precondition(status == 0, "a BLAKE2s key has at most 32 bytes")
    }

    mutating func update(_ part: Bytes32) { update(part.storage.span) }

    mutating func update(_ part: borrowing Span<UInt8>) {
      // SAFETY: the part comes with its own count.
      unsafe part.withUnsafeBufferPointer { part in
        guard let base = part.baseAddress, !part.isEmpty else { return }
        unsafe blake2s_update(&state, base, part.count)
      }
    }

    mutating func update(byte: UInt8) {
      var byte = byte
      // SAFETY: it is one byte.
      unsafe blake2s_update(&state, &byte, 1)
    }

    consuming func finish() -> Bytes32 {
      var output = Bytes32()
      // SAFETY: the output has 32 bytes.
      _ = unsafe output.withMutablePointer { unsafe blake2s_final(&state, $0, 32) }
      return output
    }

    consuming func finishShort() -> Bytes16 {
      var output = Bytes32()
      // SAFETY: the output has more than 16 bytes.
      _ = unsafe output.withMutablePointer { unsafe blake2s_final(&state, $0, 16) }
      return Bytes16(loading: output.storage.span)
    }

    /// Overwrites what is left of a key in it.
    mutating func wipe() {
      // SAFETY: pointer and size are those of the state.
      unsafe OPENSSL_cleanse(&state, MemoryLayout<blake2s_state>.size)
    }
  }

  /// HMAC under one key, which is padded and taken in once for all codes.
  private struct KeyedDigest {
    private var inner = Digest()
    private var outer = Digest()

    init(_ key: Bytes32) {
      var block = InlineArray<64, UInt8>(repeating: Self.innerPad)
      for index in 0..<32 { block[index] ^= key.storage[index] }
      inner.update(block.span)
      for index in 0..<64 { block[index] ^= Self.innerPad ^ Self.outerPad }
      outer.update(block.span)
    }

    func code(of message: borrowing Span<UInt8>) -> Bytes32 {
      var inner = inner
      inner.update(message)
      return finish(inner)
    }

    /// The code of a message, if any, and of a number behind it.
    func code(of message: borrowing Span<UInt8> = Span(), numbered number: UInt8) -> Bytes32 {
      var inner = inner
      inner.update(message)
      inner.update(byte: number)
      return finish(inner)
    }

    private func finish(_ inner: consuming Digest) -> Bytes32 {
      var outer = outer
      outer.update(inner.finish())
      return outer.finish()
    }

    mutating func wipe() {
      inner.wipe()
      outer.wipe()
    }

    private static let innerPad: UInt8 = 0x36
    private static let outerPad: UInt8 = 0x5C
  }
}
