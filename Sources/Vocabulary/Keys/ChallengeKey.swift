// SPDX-License-Identifier: Apache-2.0

/// A key by which the server may ask a node to prove its node key.
public struct ChallengeKey: PublicKey {
  /// What its text begins with.
  public static let prefix = "chalpub:"
  /// The key that stands for "none".
  public static let zero = ChallengeKey(key: .zero)

  private let key: KeyBytes

  private init(key: KeyBytes) { self.key = key }

  /// A key from its 32 bytes; nil for any other count.
  public init?(bytes: some Collection<UInt8>) {
    guard let key = KeyBytes(bytes) else { return nil }
    self.key = key
  }

  /// The 32 bytes.
  public var bytes: [UInt8] { key.bytes }

  /// By value.
  public static func < (left: ChallengeKey, right: ChallengeKey) -> Bool { left.key < right.key }
}
