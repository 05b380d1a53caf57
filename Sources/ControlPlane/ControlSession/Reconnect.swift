// SPDX-License-Identifier: Apache-2.0

package import Timing

/// Decides when the next conversation with the coordination server begins.
///
/// Every end of a conversation counts as a failure and makes the next wait longer, spread so that
/// the nodes of a network do not come back all at once. Only a stream that has held for a while
/// resets it: a server that answers and hangs up is not asked a hundred times a second.
package struct Reconnect: Sendable {
  /// How long a stream must have held to count as a success.
  package static let stableAfter = Duration.seconds(10)

  private var backoff: Backoff
  private var openedAt: Instant?

  /// A beginning without failures, that never waits much longer than `ceiling`.
  package init(ceiling: Duration = .seconds(30)) { backoff = Backoff(ceiling: ceiling) }

  /// How many conversations ended since one that held.
  package var failures: Int { backoff.failures }

  /// The first map of a stream has come.
  package mutating func opened(at now: Instant) { openedAt = openedAt ?? now }

  /// The conversation has ended, or could not begin.
  ///
  /// - Parameters:
  ///   - now: When.
  ///   - retryAfter: How long the server wants to be left alone, when it says so.
  ///   - generator: Spreads the wait.
  /// - Returns: When to try again.
  package mutating func closed(
    at now: Instant,
    retryAfter: Duration? = nil,
    using generator: inout some RandomNumberGenerator
  ) -> Instant {
    if let openedAt, now - openedAt >= Self.stableAfter { backoff.reset() }
    openedAt = nil
    let wait = backoff.next(using: &generator)
    return now + max(retryAfter ?? .zero, wait)
  }

  /// The network is another, or a person wants it: the next wait is a short one again.
  package mutating func reset() { backoff.reset() }
}
