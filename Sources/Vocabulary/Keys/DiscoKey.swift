// SPDX-License-Identifier: Apache-2.0

/// Who a running node is in discovery: a Curve25519 public key, new at every start.
public struct DiscoKey: PublicKey {
  /// What its text begins with.
  public static let prefix = "discokey:"
  /// The key that stands for "none".
  public static let zero = DiscoKey(key: .zero)

  @usableFromInline let key: KeyBytes

  private init(key: KeyBytes) { self.key = key }

  /// The four words, big-endian; for hot paths, which may not allocate.
  @inlinable public var words: (UInt64, UInt64, UInt64, UInt64) { key.words }

  /// A key from its 32 bytes; nil for any other count.
  public init?(bytes: some Collection<UInt8>) {
    guard let key = KeyBytes(bytes) else { return nil }
    self.key = key
  }

  /// The 32 bytes.
  public var bytes: [UInt8] { key.bytes }

  /// By value.
  public static func < (left: DiscoKey, right: DiscoKey) -> Bool { left.key < right.key }
}
