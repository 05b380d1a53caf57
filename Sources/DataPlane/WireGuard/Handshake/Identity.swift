// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys

/// This node's static key pair, as handshakes use it.
struct Identity: Sendable {
  let privateKey: [UInt8]
  let publicKey: [UInt8]

  init(_ key: NodePrivateKey) {
    privateKey = key.bytes
    publicKey = key.publicKey.bytes
  }

  /// What both static keys share; nil when the other is of small order.
  func sharedSecret(with peer: NodeKey) -> [UInt8]? {
    X25519.sharedSecret(private: privateKey, public: peer.bytes)
  }
}

extension NoiseSymmetricState {
  /// The state that every handshake towards the owner of `responder` starts from.
  static func wireGuard(responder: [UInt8]) -> NoiseSymmetricState {
    var state = start
    state.mixHash(responder)
    return state
  }

  private static let start: NoiseSymmetricState = {
    var state = NoiseSymmetricState(protocolName: "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s")
    state.mixHash(Array("WireGuard v1 zx2c4 Jason@zx2c4.com".utf8))
    return state
  }()
}

/// The keys of a session as the handshake yields them.
struct DerivedKeys {
  var sending: [UInt8]
  var receiving: [UInt8]

  /// Sets up ciphers and overwrites the keys.
  consuming func makeCiphers() -> SessionKeys {
    let keys = SessionKeys(sending: sending, receiving: receiving)
    wipe(&sending)
    wipe(&receiving)
    return keys
  }
}
