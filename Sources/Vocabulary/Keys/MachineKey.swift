// SPDX-License-Identifier: Apache-2.0

/// Who a machine is to the coordination server: a Curve25519 public key that stays.
public struct MachineKey: PublicKey {
  /// What its text begins with.
  public static let prefix = "mkey:"
  /// The key that stands for "none".
  public static let zero = MachineKey(key: .zero)

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
  public static func < (left: MachineKey, right: MachineKey) -> Bool { left.key < right.key }
}
