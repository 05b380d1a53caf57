// SPDX-License-Identifier: Apache-2.0

/// A relay region, by its number in the relay map.
public struct RegionID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The number, 1 or more.
  public let rawValue: Int

  /// The region of this number.
  @inlinable public init(_ rawValue: Int) { self.rawValue = rawValue }

  /// The number in decimal.
  public var description: String { String(rawValue) }

  /// By number.
  @inlinable public static func < (left: RegionID, right: RegionID) -> Bool {
    left.rawValue < right.rawValue
  }
}
