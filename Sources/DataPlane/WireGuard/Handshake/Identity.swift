// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys

/// This node's static key pair, as handshakes use it.
struct Identity: Sendable {
  let privateKey: Bytes32
  let publicKey: Bytes32
  /// Where every handshake towards us starts from.
  let start: NoiseSymmetricState

  init(_ key: NodePrivateKey) {
    privateKey = key.raw
    publicKey = key.publicKey.raw
    start = .wireGuard(responder: publicKey)
  }

  /// What both static keys share; nil when the other is of small order.
  func sharedSecret(with peer: NodeKey) -> Bytes32? {
    X25519.sharedSecret(private: privateKey, public: peer.raw)
  }
}

extension NoiseSymmetricState {
  /// The state that every handshake towards the owner of `responder` starts from.
  static func wireGuard(responder: Bytes32) -> NoiseSymmetricState {
    var state = start
    state.mixHash(responder)
    return state
  }

  /// Mixes what two keys share into the chaining key; false when the public one is of small order.
  mutating func mixShared(_ privateKey: Bytes32, _ publicKey: Bytes32) -> Bool {
    guard var secret = X25519.sharedSecret(private: privateKey, public: publicKey) else {
      return false
    }
    mixChainingKey(secret)
    secret.wipe()
    return true
  }

  private static let start: NoiseSymmetricState = {
    var state = NoiseSymmetricState(protocolName: "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    let identifier = Array("WireGuard v1 zx2c4 Jason@zx2c4.com".utf8)
    state.mixHash(identifier.span)
    return state
  }()
}

/// The keys of a session as the handshake yields them.
struct DerivedKeys {
  var sending: Bytes32
  var receiving: Bytes32

  /// Sets up ciphers and overwrites the keys.
  consuming func makeCiphers() -> SessionKeys {
    let keys = SessionKeys(sending: sending, receiving: receiving)
    sending.wipe()
    receiving.wipe()
    return keys
  }
}
