// SPDX-License-Identifier: Apache-2.0

import Bytes

/// A public key of 32 bytes with a text form of its own: a prefix and 64 hex digits.
///
/// - Source: `Documentation/Protocols/control.md`.
public protocol PublicKey: Hashable, Sendable, Comparable, LosslessStringConvertible {
  /// What the text begins with, the colon included.
  static var prefix: String { get }
  /// The 32 bytes.
  var bytes: [UInt8] { get }
  /// A key from its 32 bytes; nil for any other count.
  init?(bytes: some Collection<UInt8>)
}

extension PublicKey {
  /// The prefix and lower-case hex.
  public var description: String { Self.prefix + Hex.encode(bytes) }

  /// The key that text spells: prefix and 64 hex digits of either case.
  public init?(_ text: String) {
    guard text.hasPrefix(Self.prefix), let bytes = Hex.decode(text.dropFirst(Self.prefix.count))
    else { return nil }
    self.init(bytes: bytes)
  }

  /// Whether all 32 bytes are zero, which stands for "none".
  public var isZero: Bool { bytes.allSatisfy { $0 == 0 } }

  /// The short form that people see: the first five characters of base64 in brackets.
  public var short: String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    let head = bytes.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    let digits = (0..<5).map { alphabet[Int(head >> UInt32(26 - 6 * $0) & 63)] }
    return "[" + String(digits) + "]"
  }
}
