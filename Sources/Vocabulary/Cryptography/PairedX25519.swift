// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL
import CNoise

/// Two Diffie-Hellmans at once, for what a handshake needs comes in pairs.
///
/// On a processor with AVX-512 and integer multiply-add two take less time than one by BoringSSL, which
/// does them one after the other everywhere else.
extension X25519 {
  /// A private key, and the public key of somebody else.
  public struct Agreement: Sendable {
    var privateKey: [UInt8]
    var publicKey: [UInt8]

    /// What the owners of these keys share.
    public init(private privateKey: [UInt8], public publicKey: [UInt8]) {
      (self.privateKey, self.publicKey) = (privateKey, publicKey)
    }
  }

  /// Whether two are worked out in one go on this machine, and the right answers came out.
  public static let isPaired = cn_has_x25519_pair() != 0 && isPairRight

  /// A shared secret alone; nil for a public key of small order or keys of another length.
  public static func sharedSecret(_ agreement: Agreement) -> [UInt8]? {
    sharedSecret(private: agreement.privateKey, public: agreement.publicKey)
  }

  /// Both shared secrets; nil for a public key of small order or keys of another length.
  public static func sharedSecrets(
    _ one: Agreement,
    _ other: Agreement
  ) -> (one: [UInt8]?, other: [UInt8]?) {
    guard isPaired, one.isWhole, other.isWhole else {
      return (sharedSecret(one), sharedSecret(other))
    }
    return pair(one, other)
  }

  /// A shared secret and the public key of `privateKey`.
  public static func sharedSecret(
    _ agreement: Agreement,
    andPublicKeyOf privateKey: [UInt8]
  ) -> (secret: [UInt8]?, publicKey: [UInt8]) {
    let own = Agreement(private: privateKey, public: basePoint)
    guard isPaired, agreement.isWhole, own.isWhole,
      case (let secret, let publicKey?) = pair(agreement, own)
    else {
      return (sharedSecret(agreement), publicKey(of: privateKey))
    }
    return (secret, publicKey)
  }

  private static let keyCount = 32
  /// The point whose multiples are the public keys.
  private static let basePoint: [UInt8] = [9] + [UInt8](repeating: 0, count: keyCount - 1)

  private static func pair(
    _ one: Agreement,
    _ other: Agreement
  ) -> (one: [UInt8]?, other: [UInt8]?) {
    var scalars = one.privateKey + other.privateKey
    let points = one.publicKey + other.publicKey
    var secrets = [UInt8](repeating: 0, count: 2 * keyCount)
    defer {
      wipe(&scalars)
      wipe(&secrets)
    }
    // SAFETY: all three buffers have 64 bytes.
    unsafe cn_x25519_pair(&secrets, scalars, points)
    return (shared(secrets.prefix(keyCount)), shared(secrets.suffix(keyCount)))
  }

  /// The secret, unless it is zero: then the point was of small order.
  private static func shared(_ secret: ArraySlice<UInt8>) -> [UInt8]? {
    secret.reduce(0, |) == 0 ? nil : Array(secret)
  }

  /// Whether pairs agree with BoringSSL on keys of all sorts.
  private static var isPairRight: Bool {
    let full = [UInt8](repeating: 0xFF, count: keyCount)
    let points = [
      basePoint, full, [UInt8](repeating: 0, count: keyCount),
      // The least number that is none: p, and the one before it.
      [0xED] + full.dropFirst().dropLast() + [0x7F], [0xEC] + full.dropFirst().dropLast() + [0x7F],
      BLAKE2s.hash([1]), BLAKE2s.hash([2]), BLAKE2s.hash([3]),
    ]
    return points.indices.allSatisfy { index in
      let one = Agreement(private: BLAKE2s.hash([4, UInt8(index)]), public: points[index])
      let other = Agreement(
        private: index == 0 ? full : BLAKE2s.hash([5, UInt8(index)]),
        public: points[points.count - 1 - index]
      )
      let found = pair(one, other)
      return found.one == sharedSecret(one) && found.other == sharedSecret(other)
    }
  }
}

extension X25519.Agreement {
  fileprivate var isWhole: Bool { privateKey.count == 32 && publicKey.count == 32 }
}
