// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// A key that seals and opens the packets of one direction of a WireGuard session, in place.
///
/// The key is set up once; a packet costs one call and no allocation. The nonce is four zero bytes and
/// the little-endian counter; there is no associated data. Whole trains of packets go through a
/// `PacketEngine`, which may know a faster way than this.
///
/// - Source: WireGuard paper §5.4.6.
public struct PacketCipher: ~Copyable, @unchecked Sendable {
  /// How many bytes sealing adds.
  public static let tagCount = 16
  static let keyCount = 32

  // SAFETY: owned by this value alone, erased and freed once, in `deinit`; only read after it was set
  // up, so that it may be used from any thread.
  private let material: Material

  /// A cipher for a 32-byte key.
  public init(key: [UInt8]) {
    precondition(key.count == Self.keyCount, "a ChaCha20 key has 32 bytes")
    material = Material(Bytes32(loading: key.span))
  }

  /// A cipher for a key.
  public init(key: Bytes32) { material = Material(key) }

  deinit { material.eraseAndFree() }

  /// Where the 32 bytes of the key lie, for engines that set it up themselves.
  var key: UnsafePointer<UInt8> { unsafe UnsafePointer(material.key) }

  /// Seals `count` bytes at `buffer` in place and writes the tag behind them.
  ///
  /// The caller owns `count` + 16 bytes there.
  public func seal(_ buffer: UnsafeMutableRawPointer, count: Int, counter: UInt64) {
    var written = 0
    // SAFETY: in-place operation is allowed when input and output start at the same byte.
    let bytes = unsafe buffer.assumingMemoryBound(to: UInt8.self)
    let status = unsafe withNonce(counter) { nonce in
      unsafe EVP_AEAD_CTX_seal(
        material.context,
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
  ///
  /// What is not authentic is erased.
  public func open(_ buffer: UnsafeMutableRawPointer, count: Int, counter: UInt64) -> Bool {
    guard count >= Self.tagCount else { return false }
    var written = 0
    // SAFETY: as in `seal`.
    let bytes = unsafe buffer.assumingMemoryBound(to: UInt8.self)
    return unsafe withNonce(counter) { nonce in
      unsafe EVP_AEAD_CTX_open(
        material.context,
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

/// The one piece of memory that holds a cipher's key: as BoringSSL set it up, and as it is.
@safe struct Material {
  let context: UnsafeMutablePointer<EVP_AEAD_CTX>
  let key: UnsafeMutablePointer<UInt8>

  init(_ bytes: Bytes32) {
    unsafe context = .allocate(capacity: 1)
    unsafe key = .allocate(capacity: PacketCipher.keyCount)
    // SAFETY: the context is written before it is read; key and bytes both have 32 bytes.
    unsafe context.initialize(to: EVP_AEAD_CTX())
    unsafe bytes.withPointer { unsafe key.initialize(from: $0, count: PacketCipher.keyCount) }
    let status = unsafe EVP_AEAD_CTX_init(
      context,
      EVP_aead_chacha20_poly1305(),
      key,
      PacketCipher.keyCount,
      PacketCipher.tagCount,
      nil
    )
    precondition(status == 1, "a 32-byte key sets up the cipher")
  }

  /// Overwrites every byte that depends on the key.
  func erase() {
    // SAFETY: pointers and sizes are those of the two allocations, which are still there.
    unsafe EVP_AEAD_CTX_cleanup(context)
    unsafe OPENSSL_cleanse(context, MemoryLayout<EVP_AEAD_CTX>.size)
    unsafe OPENSSL_cleanse(key, PacketCipher.keyCount)
  }

  /// Everything that is kept, for tests that it is erased.
  var bytes: [UInt8] {
    // SAFETY: pointers and sizes are those of the two allocations, which are still there.
    let context = unsafe UnsafeRawBufferPointer(
      start: context,
      count: MemoryLayout<EVP_AEAD_CTX>.size
    )
    return unsafe Array(context) + Array(UnsafeBufferPointer(start: key, count: 32))
  }

  func eraseAndFree() {
    erase()
    // SAFETY: called once, by the owner's end.
    unsafe context.deallocate()
    unsafe key.deallocate()
  }
}
