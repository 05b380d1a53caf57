// SPDX-License-Identifier: Apache-2.0

/// The running hash and chaining key of a Noise handshake over BLAKE2s and ChaCha20-Poly1305.
///
/// Every key that it derives seals once, under the all-zero nonce, with the hash as associated data. It
/// allocates nothing: what is sealed is appended to the message that is being written, and what is
/// opened is told where it lies on the stack.
///
/// - Source: The Noise Protocol Framework, revision 34, §5.2.
public struct NoiseSymmetricState: Sendable {
  /// The transcript's hash.
  public private(set) var hash: Bytes32
  /// The chaining key.
  public private(set) var chainingKey: Bytes32
  private var key = Bytes32()
  private var hasKey = false

  /// Starts a handshake of this protocol name.
  public init(protocolName: String) {
    let name = Array(protocolName.utf8)
    let padded = name + [UInt8](repeating: 0, count: max(0, 32 - name.count))
    hash = Bytes32(loading: (padded.count > 32 ? BLAKE2s.hash(name) : padded).span)
    chainingKey = hash
  }

  /// Hashes bytes into the transcript.
  public mutating func mixHash(_ data: borrowing Span<UInt8>) { hash = BLAKE2s.hash(hash, data) }

  /// Hashes a key into the transcript.
  public mutating func mixHash(_ data: Bytes32) { mixHash(data.storage.span) }

  /// Mixes a secret into the chaining key and takes a key to seal with.
  public mutating func mixKey(_ input: Bytes32) {
    let keys = BLAKE2s.hkdf(chainingKey: chainingKey, input: input.storage.span, count: 2)
    replaceSecrets(chainingKey: keys.0, key: keys.1)
  }

  /// Mixes a key into the chaining key only, as WireGuard does with ephemeral keys.
  public mutating func mixChainingKey(_ input: Bytes32) {
    let keys = BLAKE2s.hkdf(chainingKey: chainingKey, input: input.storage.span, count: 1)
    replaceSecrets(chainingKey: keys.0, key: nil)
  }

  /// Mixes a pre-shared key into the chaining key and the transcript, and takes a key to seal with.
  public mutating func mixKeyAndHash(_ input: Bytes32) {
    let keys = BLAKE2s.hkdf(chainingKey: chainingKey, input: input.storage.span, count: 3)
    mixHash(keys.1)
    replaceSecrets(chainingKey: keys.0, key: keys.2)
  }

  /// Seals under the current key, appends the result to `message` and hashes it into the transcript.
  public mutating func encryptAndHash(
    _ plaintext: borrowing Span<UInt8>,
    appendingTo message: inout [UInt8]
  ) {
    precondition(hasKey, "a handshake seals only after a key was mixed in")
    let start = message.count
    ChaCha20Poly1305.seal(plaintext, key: key, authenticating: hash, appendingTo: &message)
    mixHash(message.span.extracting(start...))
  }

  /// Seals a key, as the other does with any bytes.
  public mutating func encryptAndHash(_ plaintext: Bytes32, appendingTo message: inout [UInt8]) {
    encryptAndHash(plaintext.storage.span, appendingTo: &message)
  }

  /// Opens under the current key and tells what was in it; the transcript takes the sealed bytes.
  ///
  /// - Returns: What `take` makes of the plaintext, or nil when it is not authentic.
  public mutating func decryptAndHash<Plaintext>(
    _ sealed: borrowing Span<UInt8>,
    _ take: (borrowing Span<UInt8>) -> Plaintext
  ) -> Plaintext? {
    precondition(hasKey, "a handshake opens only after a key was mixed in")
    guard let plaintext = ChaCha20Poly1305.open(sealed, key: key, authenticating: hash, take)
    else { return nil }
    mixHash(sealed)
    return plaintext
  }

  /// The two transport keys: the initiator's first.
  public func split() -> (initiator: Bytes32, responder: Bytes32) {
    let keys = BLAKE2s.hkdf(chainingKey: chainingKey, input: Span(), count: 2)
    return (keys.0, keys.1)
  }

  /// Overwrites the secrets, once transport keys are taken or the handshake is given up.
  public mutating func wipeSecrets() {
    chainingKey.wipe()
    key.wipe()
    hasKey = false
  }

  private mutating func replaceSecrets(chainingKey newChainingKey: Bytes32, key newKey: Bytes32?) {
    (chainingKey, key, hasKey) = (newChainingKey, newKey ?? Bytes32(), newKey != nil)
  }
}
