// SPDX-License-Identifier: Apache-2.0

import Bytes
public import Cryptography

/// The private half of a Curve25519 key.
///
/// It never prints itself; `text` must be asked for.
public struct PrivateKey<Public: PublicKey>: Hashable, Sendable, CustomStringConvertible {
  private let key: KeyBytes
  /// The public half.
  public let publicKey: Public

  /// A private key from its 32 bytes, clamped; nil for any other count.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 32, let key = KeyBytes(X25519.clamp(Array(bytes))),
      let publicKey = Public(bytes: X25519.publicKey(of: key.bytes))
    else { return nil }
    self.key = key
    self.publicKey = publicKey
  }

  /// The key that `privkey:` and 64 hex digits spell.
  public init?(_ text: String) {
    guard text.hasPrefix("privkey:"), let bytes = Hex.decode(text.dropFirst(8)) else { return nil }
    self.init(bytes: bytes)
  }

  /// A fresh key.
  public static func generate(using entropy: inout Entropy) -> PrivateKey {
    guard let key = PrivateKey(bytes: X25519.generate(using: &entropy)) else {
      preconditionFailure("32 bytes make a private key")
    }
    return key
  }

  /// The secret bytes in place, for handshakes.
  public var raw: Bytes32 { key.raw }

  /// The 32 secret bytes.
  public var bytes: [UInt8] { key.bytes }

  /// The secret text form, for state files only.
  public var text: String { "privkey:" + Hex.encode(bytes) }

  /// Says what it is and nothing of its value.
  public var description: String { "privkey:[redacted]" }
}

/// The private half of a node key.
public typealias NodePrivateKey = PrivateKey<NodeKey>

/// The private half of a machine key; the server's Noise key is one too.
public typealias MachinePrivateKey = PrivateKey<MachineKey>

/// The private half of a discovery key; lives in memory only.
public typealias DiscoPrivateKey = PrivateKey<DiscoKey>
