// SPDX-License-Identifier: Apache-2.0

/// How long to wait before trying again: n² × 10 ms, at most a ceiling, spread by half either way.
///
/// - Source: `Documentation/Protocols/control.md`, timers.
public struct Backoff: Hashable, Sendable {
  /// The longest wait before it is spread.
  public let ceiling: Duration
  /// How many failures in a row there were.
  public private(set) var failures = 0

  /// A fresh count.
  public init(ceiling: Duration = .seconds(30)) { self.ceiling = ceiling }

  /// Counts a failure and tells how long to wait.
  public mutating func next(
    using generator: inout some RandomNumberGenerator
  ) -> Duration {
    failures = min(failures + 1, 1_000_000)
    let base = min(Duration.milliseconds(10 * failures * failures), ceiling)
    return base * Double.random(in: 0.5..<1.5, using: &generator)
  }

  /// Forgets the failures, after a success.
  public mutating func reset() { failures = 0 }
}
