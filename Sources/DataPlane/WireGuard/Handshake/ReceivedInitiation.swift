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

  /// Opens the sender's static key; nil when the message is not for us or not authentic.
  init?(_ message: HandshakeMessage.Initiation, identity: Identity) {
    var noise = NoiseSymmetricState.wireGuard(responder: identity.publicKey)
    noise.mixChainingKey(message.ephemeral)
    noise.mixHash(message.ephemeral)
    guard
      var secret = X25519.sharedSecret(private: identity.privateKey, public: message.ephemeral)
    else { return nil }
    noise.mixKey(secret)
    wipe(&secret)
    guard let key = noise.decryptAndHash(message.sealedStatic), let peer = NodeKey(bytes: key)
    else { return nil }
    self.peer = peer
    self.noise = noise
    remoteIndex = message.sender
    remoteEphemeral = message.ephemeral
    sealedStamp = message.sealedStamp
  }

  /// When the sender says to have sent it; nil when the sender is not who it says it is.
  mutating func stamp(staticSecret: [UInt8]) -> TAI64N? {
    noise.mixKey(staticSecret)
    return noise.decryptAndHash(sealedStamp).flatMap { TAI64N(bytes: $0) }
  }

  /// Answers: the response and the session's keys; nil when the ephemeral key is of small order.
  consuming func respond(
    index: UInt32,
    ephemeralKey: [UInt8],
    presharedKey: [UInt8]
  ) -> (message: HandshakeMessage.Response, keys: DerivedKeys)? {
    let ephemeralPublic = X25519.publicKey(of: ephemeralKey)
    noise.mixChainingKey(ephemeralPublic)
    noise.mixHash(ephemeralPublic)
    for publicKey in [remoteEphemeral, peer.bytes] {
      guard var secret = X25519.sharedSecret(private: ephemeralKey, public: publicKey) else {
        return nil
      }
      noise.mixChainingKey(secret)
      wipe(&secret)
    }
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
