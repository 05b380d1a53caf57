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
  private var ephemeral: Bytes32

  /// Begins a handshake; nil when a key of the peer is of small order.
  ///
  /// - Parameters:
  ///   - identity: Our static key.
  ///   - peer: Theirs.
  ///   - staticSecret: What the two share.
  ///   - stamp: A later one than in any initiation before.
  ///   - index: The index that we go by.
  ///   - ephemeralKey: A fresh private key.
  /// - Returns: The handshake as we keep it, and the message that begins it, without its MACs.
  static func begin(
    identity: Identity,
    peer: NodeKey,
    staticSecret: Bytes32,
    stamp: TAI64N,
    index: UInt32,
    ephemeralKey: Bytes32
  ) -> (outstanding: OutstandingInitiation, message: [UInt8])? {
    var noise = NoiseSymmetricState.wireGuard(responder: peer.raw)
    let ephemeralPublic = X25519.publicKey(of: ephemeralKey)
    var message = HandshakeMessage.Initiation.begin(sender: index, ephemeral: ephemeralPublic)
    noise.mixChainingKey(ephemeralPublic)
    noise.mixHash(ephemeralPublic)
    guard var secret = X25519.sharedSecret(private: ephemeralKey, public: peer.raw) else {
      return nil
    }
    noise.mixKey(secret)
    secret.wipe()
    noise.encryptAndHash(identity.publicKey, appendingTo: &message)
    noise.mixKey(staticSecret)
    noise.encryptAndHash(stamp.bytes.span, appendingTo: &message)
    let outstanding = OutstandingInitiation(
      localIndex: index,
      noise: noise,
      ephemeral: ephemeralKey
    )
    return (outstanding, message)
  }

  /// The session's keys if `response` is authentic; the handshake stays as it is if not.
  func keys(
    from response: HandshakeMessage.Response,
    identity: Identity,
    presharedKey: Bytes32
  ) -> DerivedKeys? {
    var noise = noise
    defer { noise.wipeSecrets() }
    let remoteEphemeral = response.ephemeral
    noise.mixChainingKey(remoteEphemeral)
    noise.mixHash(remoteEphemeral)
    guard noise.mixShared(ephemeral, remoteEphemeral),
      noise.mixShared(identity.privateKey, remoteEphemeral)
    else { return nil }
    noise.mixKeyAndHash(presharedKey)
    let sealed = response.bytes.span.extracting(HandshakeMessage.Response.sealedEmpty)
    guard noise.decryptAndHash(sealed, { $0.isEmpty }) == true else { return nil }
    let keys = noise.split()
    return DerivedKeys(sending: keys.initiator, receiving: keys.responder)
  }

  /// Overwrites the secrets.
  mutating func wipeSecrets() {
    noise.wipeSecrets()
    ephemeral.wipe()
  }

  /// The transcript so far, for tests.
  var transcript: (hash: [UInt8], chainingKey: [UInt8]) {
    (noise.hash.bytes, noise.chainingKey.bytes)
  }
}
