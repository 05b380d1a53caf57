// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys

/// A handshake that we began and that waits for its response.
///
/// - Source: WireGuard paper §5.4.2 and §5.4.3.
struct OutstandingInitiation: Sendable {
  /// The index that the response must name.
  let localIndex: UInt32
  private var noise: NoiseSymmetricState
  private var ephemeral: [UInt8]

  /// Begins a handshake; nil when a key of the peer is of small order.
  ///
  /// - Parameters:
  ///   - identity: Our static key.
  ///   - peer: Theirs.
  ///   - staticSecret: What the two share.
  ///   - stamp: A later one than in any initiation before.
  ///   - index: The index that we go by.
  ///   - ephemeralKey: A fresh private key.
  /// - Returns: The handshake as we keep it, and the message that begins it.
  static func begin(
    identity: Identity,
    peer: NodeKey,
    staticSecret: [UInt8],
    stamp: TAI64N,
    index: UInt32,
    ephemeralKey: [UInt8]
  ) -> (outstanding: OutstandingInitiation, message: HandshakeMessage.Initiation)? {
    var noise = NoiseSymmetricState.wireGuard(responder: peer.bytes)
    let ephemeralPublic = X25519.publicKey(of: ephemeralKey)
    noise.mixChainingKey(ephemeralPublic)
    noise.mixHash(ephemeralPublic)
    guard var secret = X25519.sharedSecret(private: ephemeralKey, public: peer.bytes) else {
      return nil
    }
    noise.mixKey(secret)
    wipe(&secret)
    let sealedStatic = noise.encryptAndHash(identity.publicKey)
    noise.mixKey(staticSecret)
    let sealedStamp = noise.encryptAndHash(stamp.bytes)
    return (
      OutstandingInitiation(localIndex: index, noise: noise, ephemeral: ephemeralKey),
      HandshakeMessage.Initiation(
        sender: index,
        ephemeral: ephemeralPublic,
        sealedStatic: sealedStatic,
        sealedStamp: sealedStamp
      )
    )
  }

  /// The session's keys if `response` is authentic; the handshake stays as it is if not.
  func keys(
    from response: HandshakeMessage.Response,
    identity: Identity,
    presharedKey: [UInt8]
  ) -> DerivedKeys? {
    var noise = noise
    defer { noise.wipeSecrets() }
    noise.mixChainingKey(response.ephemeral)
    noise.mixHash(response.ephemeral)
    for privateKey in [ephemeral, identity.privateKey] {
      guard
        var secret = X25519.sharedSecret(private: privateKey, public: response.ephemeral)
      else { return nil }
      noise.mixChainingKey(secret)
      wipe(&secret)
    }
    noise.mixKeyAndHash(presharedKey)
    guard noise.decryptAndHash(response.sealedEmpty) == [] else { return nil }
    let keys = noise.split()
    return DerivedKeys(sending: keys.initiator, receiving: keys.responder)
  }

  /// Overwrites the secrets.
  mutating func wipeSecrets() {
    noise.wipeSecrets()
    wipe(&ephemeral)
  }

  /// The transcript so far, for tests.
  var transcript: (hash: [UInt8], chainingKey: [UInt8]) { (noise.hash, noise.chainingKey) }
}
