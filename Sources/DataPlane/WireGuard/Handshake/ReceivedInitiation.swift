// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys

/// A handshake that a peer began, up to our response.
///
/// - Source: WireGuard paper §5.4.2 and §5.4.3.
struct ReceivedInitiation: Sendable {
  /// Who says to have sent it; believed once `stamp` opens.
  let peer: NodeKey
  /// The index that the sender goes by.
  let senderIndex: UInt32
  private let remoteEphemeral: Bytes32
  private let message: [UInt8]
  private var noise: NoiseSymmetricState

  /// Opens the sender's static key; nil when the message is not for us or not authentic.
  init?(_ message: HandshakeMessage.Initiation, identity: Identity) {
    var noise = identity.start
    let ephemeral = message.ephemeral
    noise.mixChainingKey(ephemeral)
    noise.mixHash(ephemeral)
    guard
      var secret = X25519.sharedSecret(private: identity.privateKey, public: ephemeral)
    else { return nil }
    noise.mixKey(secret)
    secret.wipe()
    let sealed = message.bytes.span.extracting(HandshakeMessage.Initiation.sealedStatic)
    guard let key = noise.decryptAndHash(sealed, { Bytes32(loading: $0) }) else { return nil }
    peer = NodeKey(raw: key)
    self.noise = noise
    senderIndex = message.sender
    remoteEphemeral = ephemeral
    self.message = message.bytes
  }

  /// When the sender says to have sent it; nil when the sender is not who it says it is.
  mutating func stamp(staticSecret: Bytes32) -> TAI64N? {
    noise.mixKey(staticSecret)
    let message = message
    let sealed = message.span.extracting(HandshakeMessage.Initiation.sealedStamp)
    return noise.decryptAndHash(sealed) { TAI64N(loading: $0) }
  }

  /// Answers: the response without its MACs, and the session's keys; nil when the ephemeral key is of
  /// small order.
  consuming func respond(
    index: UInt32,
    ephemeralKey: Bytes32,
    presharedKey: Bytes32
  ) -> (message: [UInt8], keys: DerivedKeys)? {
    let ephemeralPublic = X25519.publicKey(of: ephemeralKey)
    var response = HandshakeMessage.Response.begin(
      sender: index,
      receiver: senderIndex,
      ephemeral: ephemeralPublic
    )
    noise.mixChainingKey(ephemeralPublic)
    noise.mixHash(ephemeralPublic)
    guard noise.mixShared(ephemeralKey, remoteEphemeral),
      noise.mixShared(ephemeralKey, peer.raw)
    else { return nil }
    noise.mixKeyAndHash(presharedKey)
    noise.encryptAndHash(Span(), appendingTo: &response)
    let keys = noise.split()
    noise.wipeSecrets()
    return (response, DerivedKeys(sending: keys.responder, receiving: keys.initiator))
  }
}
