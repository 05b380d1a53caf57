// SPDX-License-Identifier: Apache-2.0

/// The name of a member of an object, compared exactly.
///
/// Swift compares strings by canonical equivalence, under which other characters may spell an ASCII
/// name (U+212A is a `K`); a name on the wire is its bytes.
public struct JSONKey: Hashable, Sendable, ExpressibleByStringLiteral, CustomStringConvertible {
  /// The name.
  public let text: String

  /// A name.
  public init(_ text: String) { self.text = text }

  /// A name.
  public init(stringLiteral text: String) { self.text = text }

  /// The name.
  public var description: String { text }

  /// Whether the names have the same bytes.
  public static func == (left: JSONKey, right: JSONKey) -> Bool {
    // Equivalent strings of ASCII and of something else differ in length.
    left.text.utf8.count == right.text.utf8.count && left.text == right.text
  }

  /// Hashes what `==` compares.
  public func hash(into hasher: inout Hasher) { hasher.combine(text) }
}
