// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Timing

/// Decides whether a handshake message deserves the cost of key agreement.
///
/// Every message must know our public key (MAC1). While more of them come than we care to answer, the
/// sender must also prove that it receives at its address (MAC2 by a cookie), and each address gets a
/// few a second.
///
/// - Source: `Documentation/Protocols/wireguard.md`, MACs and cookies.
struct HandshakeGate: Sendable {
  /// Why a message does not pass.
  enum Refusal: Equatable {
    case wrongMAC1
    /// Under load: the sender was told to prove its address.
    case cookie([UInt8])
    /// Under load: too many from this address.
    case tooMany
  }

  private static let loadPerSecond = 250
  private static let loadBurst = 128
  private static let loadMemory = Duration.seconds(1)

  private let mac1Key: Bytes32
  private let cookieKey: Bytes32
  private var secret: Bytes32?
  private var secretMade = Instant.origin
  private var load = TokenBucket(perSecond: loadPerSecond, burst: loadBurst, at: .origin)
  private var loadSeen: Instant?
  private var limiter = SourceLimiter()

  init(publicKey: Bytes32) {
    mac1Key = MessageMACs.key(of: publicKey)
    cookieKey = MessageMACs.cookieKey(of: publicKey)
  }

  /// Judges a message of the exact length of its type; nil when it passes.
  mutating func refusal(
    of message: [UInt8],
    from source: [UInt8],
    at now: Instant,
    using entropy: inout Entropy
  ) -> Refusal? {
    let macs = MessageMACs.mac1Range(message.count)
    let bytes = message.span
    let mac1 = Bytes16(loading: bytes, at: macs.lowerBound)
    guard mac1 == BLAKE2s.mac(key: mac1Key, bytes.extracting(..<macs.lowerBound)) else {
      return .wrongMAC1
    }
    guard isUnderLoad(at: now) else { return nil }
    guard isMAC2Right(message, from: source, at: now) else {
      return .cookie(reply(to: message, mac1: mac1, from: source, at: now, using: &entropy))
    }
    return limiter.admit(source, at: now) ? nil : .tooMany
  }

  /// Counts a message and tells whether there are, or just were, too many.
  private mutating func isUnderLoad(at now: Instant) -> Bool {
    if !load.admit(at: now) { loadSeen = now }
    guard let loadSeen else { return false }
    return now >= loadSeen && now < loadSeen + Self.loadMemory
  }

  private func isMAC2Right(_ message: [UInt8], from source: [UInt8], at now: Instant) -> Bool {
    guard let secret = freshSecret(at: now) else { return false }
    let bytes = message.span
    let end = message.count - HandshakeMessage.macLength
    let cookie = BLAKE2s.mac(key: secret, source.span)
    return Bytes16(loading: bytes, at: end) == BLAKE2s.mac(key: cookie, bytes.extracting(..<end))
  }

  private mutating func reply(
    to message: [UInt8],
    mac1: Bytes16,
    from source: [UInt8],
    at now: Instant,
    using entropy: inout Entropy
  ) -> [UInt8] {
    let current = freshSecret(at: now) ?? newSecret(entropy.bytes32(), at: now)
    let nonce = entropy.bytes(24)
    return reply(to: message, mac1: mac1, from: source, secret: current, nonce: nonce)
  }

  private mutating func newSecret(_ made: Bytes32, at now: Instant) -> Bytes32 {
    secret?.wipe()
    (secret, secretMade) = (made, now)
    return made
  }

  private func reply(
    to message: [UInt8],
    mac1: Bytes16,
    from source: [UInt8],
    secret: Bytes32,
    nonce: [UInt8]
  ) -> [UInt8] {
    let sealed = XChaCha20Poly1305.seal(
      BLAKE2s.mac(key: secret, source.span).bytes,
      key: cookieKey.bytes,
      nonce: nonce,
      authenticating: mac1.bytes
    )
    return HandshakeMessage.CookieReply(
      receiver: HandshakeMessage.word(message, at: 4),
      nonce: nonce,
      sealedCookie: sealed
    ).bytes
  }

  private func freshSecret(at now: Instant) -> Bytes32? {
    now >= secretMade && now < secretMade + ProtocolConstants.cookieLifetime ? secret : nil
  }

  /// The reply under a given secret and nonce, to compare with vectors.
  static func reply(
    to message: [UInt8],
    from source: [UInt8],
    publicKey: Bytes32,
    secret: Bytes32,
    nonce: [UInt8]
  ) -> [UInt8] {
    let gate = HandshakeGate(publicKey: publicKey)
    let range = MessageMACs.mac1Range(message.count)
    let mac1 = Bytes16(loading: message.span, at: range.lowerBound)
    return gate.reply(to: message, mac1: mac1, from: source, secret: secret, nonce: nonce)
  }
}
