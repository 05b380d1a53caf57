// SPDX-License-Identifier: Apache-2.0

import Bytes

/// Who signs for a node in the tailnet lock: an Ed25519 public key.
public struct TailnetLockKey: PublicKey {
  /// What its text begins with.
  public static let prefix = "nlpub:"
  /// The key that stands for "none".
  public static let zero = TailnetLockKey(key: .zero)

  private let key: KeyBytes

  private init(key: KeyBytes) { self.key = key }

  /// A key from its 32 bytes; nil for any other count.
  public init?(bytes: some Collection<UInt8>) {
    guard let key = KeyBytes(bytes) else { return nil }
    self.key = key
  }

  /// The key that text spells; the command line's prefix `tlpub:` is read as well.
  public init?(_ text: String) {
    let hex = text.hasPrefix("tlpub:") ? text.dropFirst(6) : text.dropFirst(Self.prefix.count)
    guard text.hasPrefix("tlpub:") || text.hasPrefix(Self.prefix), let bytes = Hex.decode(hex)
    else { return nil }
    self.init(bytes: bytes)
  }

  /// The 32 bytes.
  public var bytes: [UInt8] { key.bytes }

  /// By value.
  public static func < (left: TailnetLockKey, right: TailnetLockKey) -> Bool {
    left.key < right.key
  }
}
