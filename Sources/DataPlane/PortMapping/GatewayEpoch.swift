// SPDX-License-Identifier: Apache-2.0

import Timing

/// The clock of a gateway: it starts anew when the gateway forgets its mappings.
///
/// - Source: RFC 6886 §3.6, RFC 6887 §8.5.
struct GatewayEpoch: Sendable {
  private var last: (seconds: UInt32, at: Instant)?

  /// Takes the epoch of an answer.
  ///
  /// - Returns: Whether the gateway has lost its mappings since the last answer.
  mutating func note(_ seconds: UInt32, at now: Instant) -> Bool {
    defer { last = (seconds, now) }
    guard let last else { return false }
    let ours = max(0, (now - last.at).components.seconds)
    let theirs = Int64(seconds) - Int64(last.seconds)
    // A second back may be rounding, or two answers that overtook each other.
    if theirs < -1 { return true }
    // Clocks that run an eighth apart are still one clock.
    return theirs + 2 < ours - ours / 8 - 2 || ours + 2 < theirs - theirs / 8 - 2
  }

  /// The gateway is another one.
  mutating func forget() { last = nil }
}
