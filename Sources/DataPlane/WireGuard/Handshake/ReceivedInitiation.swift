// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys

/// A handshake that a peer began, up to our response.
///
/// - Source: WireGuard paper §5.4.2 and §5.4.3.
struct ReceivedInitiation: Sendable {
  /// Who says to have sent it; believed once `stamp` opens.
  let peer: NodeKey
  private let remoteIndex: UInt32
  private let remoteEphemeral: [UInt8]
  private let sealedStamp: [UInt8]
  private var noise: NoiseSymmetricState
  private let ephemeralKey: [UInt8]
  /// Its public half, where it came along with what had to be worked out anyway.
  private let ephemeralPublic: [UInt8]?

  /// Opens the sender's static key; nil when the message is not for us or not authentic.
  ///
  /// - Parameters:
  ///   - message: The message.
  ///   - identity: Our static key.
  ///   - ephemeralKey: A fresh private key, for the response if there is one.
  init?(_ message: HandshakeMessage.Initiation, identity: Identity, ephemeralKey: [UInt8]) {
    var noise = NoiseSymmetricState.wireGuard(responder: identity.publicKey)
    noise.mixChainingKey(message.ephemeral)
    noise.mixHash(message.ephemeral)
    let agreement = X25519.Agreement(private: identity.privateKey, public: message.ephemeral)
    let found = Self.agree(agreement, preparing: ephemeralKey)
    guard var secret = found.secret else { return nil }
    noise.mixKey(secret)
    wipe(&secret)
    guard let key = noise.decryptAndHash(message.sealedStatic), let peer = NodeKey(bytes: key)
    else { return nil }
    self.peer = peer
    self.noise = noise
    remoteIndex = message.sender
    remoteEphemeral = message.ephemeral
    sealedStamp = message.sealedStamp
    (self.ephemeralKey, ephemeralPublic) = (ephemeralKey, found.publicKey)
  }

  /// A shared secret; with it, where that costs nothing, the public key that a response will need.
  private static func agree(
    _ agreement: X25519.Agreement,
    preparing ephemeralKey: [UInt8]
  ) -> (secret: [UInt8]?, publicKey: [UInt8]?) {
    guard X25519.isPaired else { return (X25519.sharedSecret(agreement), nil) }
    let found = X25519.sharedSecret(agreement, andPublicKeyOf: ephemeralKey)
    return (found.secret, found.publicKey)
  }

  /// When the sender says to have sent it; nil when the sender is not who it says it is.
  mutating func stamp(staticSecret: [UInt8]) -> TAI64N? {
    noise.mixKey(staticSecret)
    return noise.decryptAndHash(sealedStamp).flatMap { TAI64N(bytes: $0) }
  }

  /// Answers: the response and the session's keys; nil when the ephemeral key is of small order.
  consuming func respond(
    index: UInt32,
    presharedKey: [UInt8]
  ) -> (message: HandshakeMessage.Response, keys: DerivedKeys)? {
    let ephemeralPublic = ephemeralPublic ?? X25519.publicKey(of: ephemeralKey)
    noise.mixChainingKey(ephemeralPublic)
    noise.mixHash(ephemeralPublic)
    let secrets = X25519.sharedSecrets(
      X25519.Agreement(private: ephemeralKey, public: remoteEphemeral),
      X25519.Agreement(private: ephemeralKey, public: peer.bytes)
    )
    guard noise.mixChainingKeys(secrets) else { return nil }
    noise.mixKeyAndHash(presharedKey)
    let sealedEmpty = noise.encryptAndHash([])
    let keys = noise.split()
    noise.wipeSecrets()
    let message = HandshakeMessage.Response(
      sender: index,
      receiver: remoteIndex,
      ephemeral: ephemeralPublic,
      sealedEmpty: sealedEmpty
    )
    return (message, DerivedKeys(sending: keys.responder, receiving: keys.initiator))
  }

  /// The index that the sender goes by.
  var senderIndex: UInt32 { remoteIndex }
}
