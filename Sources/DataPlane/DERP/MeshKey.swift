// SPDX-License-Identifier: Apache-2.0

import Bytes

/// The secret that the relays of a mesh share, 32 bytes.
///
/// Compared in constant time, so that nobody finds it digit by digit. All zeros is no
/// secret. It never prints itself; `text` must be asked for.
public struct MeshKey: Hashable, Sendable, CustomStringConvertible {
  private let bytes: [UInt8]

  /// What stands for no secret.
  static let none = String(repeating: "0", count: 64)

  /// The secret that 64 hex digits spell, not all of them zero; nil for anything else.
  public init?(_ text: some StringProtocol) {
    guard text.utf8.count == 64, text != Self.none, let bytes = Hex.decode(String(text)) else {
      return nil
    }
    self.bytes = bytes
  }

  /// The 64 hex digits, for the wire only.
  public var text: String { Hex.encode(bytes) }

  /// Says what it is and nothing of its value.
  public var description: String { "meshkey:[redacted]" }

  /// In a time that does not depend on where they differ.
  public static func == (left: MeshKey, right: MeshKey) -> Bool {
    equalInConstantTime(left.bytes, right.bytes)
  }

  /// By value.
  public func hash(into hasher: inout Hasher) { hasher.combine(bytes) }
}
