// SPDX-License-Identifier: Apache-2.0

import Cryptography

/// The front of a transport message, and the only code that reads and writes datagrams by pointer.
///
/// | Bytes | Field (little-endian) |
/// |---|---|
/// | 4 | type 4 |
/// | 4 | receiver index |
/// | 8 | counter |
/// | n + 16 | sealed packet and tag |
struct TransportHeader: Sendable {
  static let length = 16
  /// Header and tag.
  static let overhead = length + PacketCipher.tagCount
  static let messageType: UInt32 = 4

  let receiver: UInt32
  let counter: UInt64

  init(receiver: UInt32, counter: UInt64) {
    (self.receiver, self.counter) = (receiver, counter)
  }

  /// The type field of any message: its first byte and the three zero bytes behind it.
  static func type(of datagram: UnsafeMutableRawBufferPointer) -> UInt32? {
    guard datagram.count >= overhead else { return nil }
    // SAFETY: at least 32 bytes are there.
    return unsafe UInt32(littleEndian: datagram.loadUnaligned(as: UInt32.self))
  }

  /// The header of a datagram whose type is known to be that of transport messages.
  init(reading datagram: UnsafeMutableRawBufferPointer) {
    // SAFETY: `type(of:)` has seen at least 32 bytes; both reads end at byte 16.
    receiver = unsafe UInt32(
      littleEndian: datagram.loadUnaligned(fromByteOffset: 4, as: UInt32.self)
    )
    counter = unsafe UInt64(
      littleEndian: datagram.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
    )
  }

  /// Writes the header; the caller vouches for 16 bytes at `buffer`.
  func write(to buffer: UnsafeMutableRawPointer) {
    // SAFETY: the writes end at byte 16.
    unsafe buffer.storeBytes(of: Self.messageType.littleEndian, as: UInt32.self)
    unsafe buffer.storeBytes(of: receiver.littleEndian, toByteOffset: 4, as: UInt32.self)
    unsafe buffer.storeBytes(of: counter.littleEndian, toByteOffset: 8, as: UInt64.self)
  }

  /// Writes the header at `buffer`, seals the plaintext behind it in place and adds the tag.
  ///
  /// The caller vouches for `overhead` + `plaintextCount` bytes at `buffer`.
  func seal(
    _ buffer: UnsafeMutableRawPointer,
    plaintextCount: Int,
    with cipher: borrowing PacketCipher
  ) {
    // SAFETY: header and cipher write to no more than the caller vouches for.
    unsafe write(to: buffer)
    unsafe cipher.seal(buffer + Self.length, count: plaintextCount, counter: counter)
  }

  /// The datagram that carries a padded packet.
  func datagram(sealing plaintext: [UInt8], with cipher: borrowing PacketCipher) -> [UInt8] {
    var datagram = [UInt8](repeating: 0, count: Self.length)
    datagram += plaintext
    datagram += [UInt8](repeating: 0, count: PacketCipher.tagCount)
    // SAFETY: the array has `overhead` + `plaintext.count` bytes.
    unsafe datagram.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { preconditionFailure("a datagram has bytes") }
      unsafe seal(base, plaintextCount: plaintext.count, with: cipher)
    }
    return datagram
  }
}
