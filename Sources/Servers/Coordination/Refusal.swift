// SPDX-License-Identifier: Apache-2.0

/// Why an administrative act was not done, in words for the person who asked.
package struct Refusal: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of mistake it was; the administrator's interface turns it into a status.
  package enum Kind: Hashable, Sendable {
    /// What the act names is not there.
    case notFound
    /// What the act asks for makes no sense.
    case invalid
    /// What the act asks for collides with something that exists.
    case conflict
    /// What it is about was changed meanwhile.
    case stale
    /// A bound is reached.
    case exhausted
    /// Whoever asks may not.
    case forbidden
  }

  /// What kind of mistake it was.
  package let kind: Kind
  /// What happened, to what, and what to do.
  package let message: String

  /// A refusal of a kind, in words.
  package init(_ kind: Kind, _ message: String) {
    self.kind = kind
    self.message = message
  }

  /// What a name or number that is not there is answered with.
  package static func notFound(_ message: String) -> Refusal { Refusal(.notFound, message) }
  /// What a senseless request is answered with.
  package static func invalid(_ message: String) -> Refusal { Refusal(.invalid, message) }
  /// What a colliding request is answered with.
  package static func conflict(_ message: String) -> Refusal { Refusal(.conflict, message) }

  /// The words.
  package var description: String { message }
}
