// SPDX-License-Identifier: Apache-2.0

import Bytes
package import Cryptography
package import Keys

/// The datagram around a discovery message.
///
/// | Offset | Bytes | Field |
/// |---|---|---|
/// | 0 | 6 | magic `54 53 f0 9f 92 ac` |
/// | 6 | 32 | disco key of the sender |
/// | 38 | 24 | nonce |
/// | 62 | 16 + n | NaCl box of the message |
///
/// - Source: `Documentation/Protocols/disco.md`, envelope.
package enum Envelope {
  /// What every discovery datagram begins with.
  package static let magic: [UInt8] = [0x54, 0x53, 0xF0, 0x9F, 0x92, 0xAC]
  /// The bytes before the box.
  package static let headerByteCount = 62
  /// What an envelope adds to its message: header and authenticator.
  package static let overhead = headerByteCount + 16

  /// Whose key a datagram names; nil when it is not a discovery datagram.
  ///
  /// Nothing is proven yet: only opening the box does that.
  package static func sender(of datagram: [UInt8]) -> DiscoKey? {
    guard datagram.count >= headerByteCount, datagram.starts(with: magic) else { return nil }
    return DiscoKey(bytes: datagram[6..<38])
  }

  /// Seals `message` for the holder of the other key of `box`.
  package static func seal(
    _ message: Message,
    from sender: DiscoKey,
    with box: NaClBox,
    using entropy: inout Entropy
  ) -> [UInt8] {
    seal(message, from: sender, with: box, nonce: entropy.bytes(24))
  }

  /// Seals `message` under a nonce of 24 bytes that was not used before between these two keys.
  package static func seal(
    _ message: Message,
    from sender: DiscoKey,
    with box: NaClBox,
    nonce: [UInt8]
  ) -> [UInt8] {
    magic + sender.bytes + box.seal(message.bytes, nonce: nonce)
  }

  /// The plaintext of a datagram that `sender(of:)` named; nil when it is not authentic.
  package static func open(_ datagram: [UInt8], with box: NaClBox) -> [UInt8]? {
    guard datagram.count >= overhead else { return nil }
    return box.open(Array(datagram[38...]))
  }
}
