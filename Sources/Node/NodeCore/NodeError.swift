// SPDX-License-Identifier: Apache-2.0

/// What a node tells people when something cannot be done.
package struct NodeError: Error, Hashable, Sendable, CustomStringConvertible {
  /// What kind of trouble it is, for programs.
  package enum Code: String, Hashable, Sendable {
    /// The request makes no sense as it stands.
    case invalidRequest = "invalid-request"
    /// Asked for something this node does not serve.
    case unsupported
    /// The node is not in the state that the request needs.
    case wrongState = "wrong-state"
    /// Nobody of that name or address is known.
    case notFound = "not-found"
    /// The coordination server refused or could not be reached.
    case control
    /// The host refused.
    case host
    /// A file of the node cannot be read or written.
    case state
  }

  /// The kind.
  package let code: Code
  /// What happened, to what.
  package let message: String
  /// What to do about it; may be empty.
  package let hint: String

  /// An error with its kind, what happened, and what to do.
  package init(_ code: Code, _ message: String, hint: String = "") {
    self.code = code
    self.message = message
    self.hint = hint
  }

  /// The message and the hint in one line.
  package var description: String { hint.isEmpty ? message : "\(message). \(hint)" }
}
