// SPDX-License-Identifier: Apache-2.0

import Bytes
public import Cryptography

/// The private half of a tailnet-lock key: 64 bytes, seed and public key.
///
/// It never prints itself; `text` must be asked for.
public struct TailnetLockPrivateKey: Hashable, Sendable, CustomStringConvertible {
  /// The 64 secret bytes.
  public let bytes: [UInt8]
  /// The public half.
  public let publicKey: TailnetLockKey

  /// A private key from its 64 bytes; nil for any other count.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 64, let publicKey = TailnetLockKey(bytes: bytes.suffix(32)) else {
      return nil
    }
    self.bytes = Array(bytes)
    self.publicKey = publicKey
  }

  /// The key that `nlpriv:` and 128 hex digits spell.
  public init?(_ text: String) {
    guard text.hasPrefix("nlpriv:"), let bytes = Hex.decode(text.dropFirst(7)) else { return nil }
    self.init(bytes: bytes)
  }

  /// A fresh key.
  public static func generate(using entropy: inout Entropy) -> TailnetLockPrivateKey {
    guard let key = TailnetLockPrivateKey(bytes: Ed25519.generate(using: &entropy).privateKey)
    else { preconditionFailure("a key pair has 64 private bytes") }
    return key
  }

  /// The secret text form, for state files only.
  public var text: String { "nlpriv:" + Hex.encode(bytes) }

  /// Says what it is and nothing of its value.
  public var description: String { "nlpriv:[redacted]" }
}
