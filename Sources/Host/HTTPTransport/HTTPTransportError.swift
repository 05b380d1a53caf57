// SPDX-License-Identifier: Apache-2.0

/// Why a transfer did not happen, with the facts that a person needs.
package struct HTTPTransportError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The kind of failure, for programs.
  package enum Reason: Hashable, Sendable {
    /// Nobody answers at that address, or the name is not known.
    case unreachable
    /// It took longer than allowed.
    case timedOut
    /// The other side's certificate is not the one we expect.
    case untrusted
    /// The connection ended before the exchange did.
    case closed
    /// The other side broke the protocol.
    case malformed
    /// Something exceeds a limit of ours.
    case tooLarge
    /// The other side answered with a status that ends the exchange.
    case refused(status: Int)
    /// Another process has the port.
    case inUse
    /// We may not have that port, or write there.
    case notPermitted
    /// The operating system refused for another reason, or a file is not what it should be.
    case system
  }

  /// The kind of failure.
  package let reason: Reason
  /// What was being done, to whom, and why it failed.
  package let what: String

  /// A failure.
  package init(_ reason: Reason, _ what: String) {
    self.reason = reason
    self.what = what
  }

  /// What was being done, to whom, and why it failed.
  package var description: String { what }

  /// The connection was closed by us or by the other side.
  static func closed(_ what: String = "the connection is closed") -> HTTPTransportError {
    HTTPTransportError(.closed, what)
  }
}
