// SPDX-License-Identifier: Apache-2.0

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
  static func key(of publicKey: Bytes32) -> Bytes32 { key("mac1----", publicKey) }

  /// The key that cookie replies from the owner of a public key are sealed with.
  static func cookieKey(of publicKey: Bytes32) -> Bytes32 { key("cookie--", publicKey) }

  /// Where MAC1 lies in a message of this length.
  static func mac1Range(_ length: Int) -> Range<Int> {
    length - 2 * HandshakeMessage.macLength..<length - HandshakeMessage.macLength
  }

  private static func key(_ label: StaticString, _ publicKey: Bytes32) -> Bytes32 {
    BLAKE2s.hash(label, publicKey)
  }
}

/// What a peer told us to prove our address with, and what its next cookie reply must answer.
struct ReceivedCookie: Sendable {
  private var cookie: Bytes16?
  private var received = Instant.origin
  private var lastMAC1: Bytes16?

  /// A message with both MACs.
  mutating func sign(
    _ body: consuming [UInt8],
    to publicKey: Bytes32,
    at now: Instant
  ) -> [UInt8] {
    var message = body
    let mac1 = BLAKE2s.mac(key: MessageMACs.key(of: publicKey), message.span)
    lastMAC1 = mac1
    mac1.append(to: &message)
    var mac2 = Bytes16()
    if let cookie, now >= received, now < received + ProtocolConstants.cookieLifetime {
      mac2 = BLAKE2s.mac(key: cookie, message.span)
    }
    mac2.append(to: &message)
    return message
  }

  /// Keeps the cookie of an authentic reply to our last message; once for each message.
  mutating func accept(
    _ reply: HandshakeMessage.CookieReply,
    from publicKey: Bytes32,
    at now: Instant
  ) -> Bool {
    guard let mac1 = lastMAC1,
      let cookie = XChaCha20Poly1305.open(
        reply.sealedCookie,
        key: MessageMACs.cookieKey(of: publicKey).bytes,
        nonce: reply.nonce,
        authenticating: mac1.bytes
      )
    else { return false }
    (self.cookie, received, lastMAC1) = (Bytes16(loading: cookie.span), now, nil)
    return true
  }
}
