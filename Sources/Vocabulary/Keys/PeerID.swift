// SPDX-License-Identifier: Apache-2.0

/// A peer of this node, named by the number that the coordination server gave it.
public struct PeerID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The number.
  public let rawValue: Int64

  /// The peer of this number.
  @inlinable public init(_ rawValue: Int64) { self.rawValue = rawValue }

  /// The number in decimal.
  public var description: String { String(rawValue) }

  /// By number.
  @inlinable public static func < (left: PeerID, right: PeerID) -> Bool {
    left.rawValue < right.rawValue
  }
}
