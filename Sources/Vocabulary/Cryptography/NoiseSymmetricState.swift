// SPDX-License-Identifier: Apache-2.0

/// The running hash and chaining key of a Noise handshake over BLAKE2s and ChaCha20-Poly1305.
///
/// Every key that it derives seals once, under the all-zero nonce, with the hash as associated data.
///
/// - Source: The Noise Protocol Framework, revision 34, §5.2.
public struct NoiseSymmetricState: Sendable {
  /// The transcript's hash, 32 bytes.
  public private(set) var hash: [UInt8]
  /// The chaining key, 32 bytes.
  public private(set) var chainingKey: [UInt8]
  private var key: [UInt8]?

  /// Starts a handshake of this protocol name.
  public init(protocolName: String) {
    let name = Array(protocolName.utf8)
    hash =
      name.count <= 32 ? name + Array(repeating: 0, count: 32 - name.count) : BLAKE2s.hash(name)
    chainingKey = hash
  }

  /// Hashes bytes into the transcript.
  public mutating func mixHash(_ data: [UInt8]) { hash = BLAKE2s.hash(hash, data) }

  /// Mixes a secret into the chaining key and takes a key to seal with.
  public mutating func mixKey(_ input: [UInt8]) {
    let keys = BLAKE2s.hkdf(chainingKey: chainingKey, input: input, outputs: 2)
    replaceSecrets(chainingKey: keys[0], key: keys[1])
  }

  /// Mixes bytes into the chaining key only, as WireGuard does with ephemeral keys.
  public mutating func mixChainingKey(_ input: [UInt8]) {
    let keys = BLAKE2s.hkdf(chainingKey: chainingKey, input: input, outputs: 1)
    replaceSecrets(chainingKey: keys[0], key: nil)
  }

  /// Mixes a pre-shared key into the chaining key and the transcript, and takes a key to seal with.
  public mutating func mixKeyAndHash(_ input: [UInt8]) {
    let keys = BLAKE2s.hkdf(chainingKey: chainingKey, input: input, outputs: 3)
    mixHash(keys[1])
    replaceSecrets(chainingKey: keys[0], key: keys[2])
  }

  /// Seals under the current key and hashes the result into the transcript.
  public mutating func encryptAndHash(_ plaintext: [UInt8]) -> [UInt8] {
    guard let key else { preconditionFailure("a handshake seals only after a key was mixed in") }
    let sealed = ChaCha20Poly1305.seal(
      plaintext,
      key: key,
      nonce: Self.zeroNonce,
      authenticating: hash
    )
    mixHash(sealed)
    return sealed
  }

  /// Opens under the current key, or nil when not authentic; the transcript takes the sealed bytes.
  public mutating func decryptAndHash(_ sealed: [UInt8]) -> [UInt8]? {
    guard let key else { preconditionFailure("a handshake opens only after a key was mixed in") }
    guard
      let plaintext = ChaCha20Poly1305.open(
        sealed,
        key: key,
        nonce: Self.zeroNonce,
        authenticating: hash
      )
    else { return nil }
    mixHash(sealed)
    return plaintext
  }

  /// The two transport keys: the initiator's first.
  public func split() -> (initiator: [UInt8], responder: [UInt8]) {
    let keys = BLAKE2s.hkdf(chainingKey: chainingKey, input: [], outputs: 2)
    return (keys[0], keys[1])
  }

  /// Overwrites the secrets, once transport keys are taken or the handshake is given up.
  public mutating func wipeSecrets() { replaceSecrets(chainingKey: [], key: nil) }

  private mutating func replaceSecrets(chainingKey newChainingKey: [UInt8], key newKey: [UInt8]?) {
    wipe(&chainingKey)
    if var old = key.take() { wipe(&old) }
    (chainingKey, key) = (newChainingKey, newKey)
  }

  private static let zeroNonce = [UInt8](repeating: 0, count: 12)
}
