// SPDX-License-Identifier: Apache-2.0

/// One private network that the server coordinates; every row of the store carries one.
package struct TailnetID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The number that the store knows it by.
  package let rawValue: Int64

  /// The network numbered `rawValue`.
  package init(_ rawValue: Int64) { self.rawValue = rawValue }

  /// The network that a server with a single one serves.
  package static let first = TailnetID(1)

  /// The number in decimal.
  package var description: String { String(rawValue) }

  /// By number.
  package static func < (left: TailnetID, right: TailnetID) -> Bool {
    left.rawValue < right.rawValue
  }
}

/// Someone who owns nodes; given once and never again.
package struct UserID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The number that clients see.
  package let rawValue: Int64

  /// The user numbered `rawValue`.
  package init(_ rawValue: Int64) { self.rawValue = rawValue }

  /// The pseudo-user that clients see as the owner of tagged nodes.
  ///
  /// Far above what is ever given to a user.
  package static let taggedDevices = UserID(2_147_455_555)

  /// The number in decimal.
  package var description: String { String(rawValue) }

  /// By number.
  package static func < (left: UserID, right: UserID) -> Bool { left.rawValue < right.rawValue }
}

/// A node of the network; given once and never again, however often nodes come and go.
package struct NodeID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The number that clients see in their netmaps.
  package let rawValue: Int64

  /// The node numbered `rawValue`.
  package init(_ rawValue: Int64) { self.rawValue = rawValue }

  /// The number in decimal.
  package var description: String { String(rawValue) }

  /// By number, which is the order in which nodes joined.
  package static func < (left: NodeID, right: NodeID) -> Bool { left.rawValue < right.rawValue }
}

/// A pre-authentication key; given once and never again.
package struct PreAuthKeyID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The number that the store knows it by.
  package let rawValue: Int64

  /// The key numbered `rawValue`.
  package init(_ rawValue: Int64) { self.rawValue = rawValue }

  /// The number in decimal.
  package var description: String { String(rawValue) }

  /// By number.
  package static func < (left: PreAuthKeyID, right: PreAuthKeyID) -> Bool {
    left.rawValue < right.rawValue
  }
}
