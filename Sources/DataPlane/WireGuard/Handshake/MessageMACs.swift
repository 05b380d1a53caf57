// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import Timing

/// The two MACs at the end of a handshake message.
///
/// MAC1 proves that the sender knows whom it talks to; MAC2 that it receives at the address it sends
/// from, by a cookie that it was given there.
///
/// - Source: WireGuard paper §5.4.4.
enum MessageMACs {
  /// The key of MAC1 in messages to the owner of a public key.
  static func key(of publicKey: [UInt8]) -> [UInt8] {
    BLAKE2s.hash(Array("mac1----".utf8), publicKey)
  }

  /// The key that cookie replies from the owner of a public key are sealed with.
  static func cookieKey(of publicKey: [UInt8]) -> [UInt8] {
    BLAKE2s.hash(Array("cookie--".utf8), publicKey)
  }

  /// Where MAC1 lies in a message of this length.
  static func mac1Range(_ length: Int) -> Range<Int> {
    length - 2 * HandshakeMessage.macLength..<length - HandshakeMessage.macLength
  }
}

/// What a peer told us to prove our address with, and what its next cookie reply must answer.
struct ReceivedCookie: Sendable {
  private var cookie: [UInt8] = []
  private var received = Instant.origin
  private var lastMAC1: [UInt8] = []

  /// The message with both MACs.
  mutating func sign(_ body: [UInt8], to publicKey: [UInt8], at now: Instant) -> [UInt8] {
    let mac1 = BLAKE2s.mac(key: MessageMACs.key(of: publicKey), body)
    lastMAC1 = mac1
    let isCurrent =
      !cookie.isEmpty && now >= received && now < received + ProtocolConstants.cookieLifetime
    let mac2 =
      isCurrent
      ? BLAKE2s.mac(key: cookie, body, mac1)
      : [UInt8](repeating: 0, count: HandshakeMessage.macLength)
    return body + mac1 + mac2
  }

  /// Keeps the cookie of an authentic reply to our last message; once for each message.
  mutating func accept(
    _ reply: HandshakeMessage.CookieReply,
    from publicKey: [UInt8],
    at now: Instant
  ) -> Bool {
    guard !lastMAC1.isEmpty,
      let cookie = XChaCha20Poly1305.open(
        reply.sealedCookie,
        key: MessageMACs.cookieKey(of: publicKey),
        nonce: reply.nonce,
        authenticating: lastMAC1
      )
    else { return false }
    (self.cookie, received, lastMAC1) = (cookie, now, [])
    return true
  }
}
