// SPDX-License-Identifier: Apache-2.0

/// Which counters of a session were received, so that none is accepted twice.
///
/// A ring of bits, moved a word at a time: the last 8,128 counters are told apart, older ones are
/// refused.
///
/// - Source: RFC 6479.
struct ReplayWindow: Sendable {
  /// How far behind the greatest counter one may be.
  static let size: UInt64 = UInt64(words - 1) * 64
  private static let words = 128

  private var ring = [UInt64](repeating: 0, count: words)
  private var greatest: UInt64 = 0

  /// Whether `counter` was not received yet, as far as can be told.
  func isFresh(_ counter: UInt64) -> Bool {
    if counter > greatest { return true }
    guard greatest - counter <= Self.size else { return false }
    return ring[Self.word(counter)] & Self.bit(counter) == 0
  }

  /// Notes that an authentic packet with a fresh `counter` was received.
  mutating func insert(_ counter: UInt64) {
    if counter > greatest {
      let passed = min((counter >> 6) - (greatest >> 6), UInt64(Self.words))
      for step in 0..<passed { ring[Self.word(counter &- step << 6)] = 0 }
      greatest = counter
    }
    ring[Self.word(counter)] |= Self.bit(counter)
  }

  private static func word(_ counter: UInt64) -> Int {
    Int(truncatingIfNeeded: counter >> 6) & (words - 1)
  }

  private static func bit(_ counter: UInt64) -> UInt64 { 1 << (counter & 63) }
}
