// SPDX-License-Identifier: Apache-2.0

public import Cryptography

/// Who a node is on the tunnel and at the relay: a Curve25519 public key that may rotate.
public struct NodeKey: PublicKey {
  /// What its text begins with.
  public static let prefix = "nodekey:"
  /// The key that stands for "none".
  public static let zero = NodeKey(key: .zero)

  @usableFromInline let key: KeyBytes

  private init(key: KeyBytes) { self.key = key }

  /// A key from its four words, big-endian; for hot paths, which may not allocate.
  @inlinable public init(words: (UInt64, UInt64, UInt64, UInt64)) { key = KeyBytes(words: words) }

  /// The four words, big-endian.
  @inlinable public var words: (UInt64, UInt64, UInt64, UInt64) { key.words }

  /// A key from its 32 bytes; nil for any other count.
  public init?(bytes: some Collection<UInt8>) {
    guard let key = KeyBytes(bytes) else { return nil }
    self.key = key
  }

  /// A key from its bytes in place.
  public init(raw: Bytes32) { key = KeyBytes(raw) }

  /// The bytes in place, for handshakes.
  public var raw: Bytes32 { key.raw }

  /// The 32 bytes.
  public var bytes: [UInt8] { key.bytes }

  /// By value.
  public static func < (left: NodeKey, right: NodeKey) -> Bool { left.key < right.key }
}
