// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Timing

/// How a link treats what passes over it, in one direction.
package struct LinkConditions: Hashable, Sendable {
  /// How long everything takes at least.
  package var latency: Duration
  /// How much longer some of it takes: evenly spread from nothing to this.
  package var jitter: Duration
  /// Of a thousand datagrams, how many are lost.
  package var lossPerMille: Int
  /// Of a thousand datagrams, how many arrive twice.
  package var duplicatesPerMille: Int
  /// Of a thousand datagrams, how many are overtaken by those behind them.
  package var latePerMille: Int
  /// The largest IP packet, in bytes; larger ones vanish without a word.
  package var mtu: Int

  /// A link; without arguments a good one.
  package init(
    latency: Duration = .milliseconds(5),
    jitter: Duration = .zero,
    lossPerMille: Int = 0,
    duplicatesPerMille: Int = 0,
    latePerMille: Int = 0,
    mtu: Int = 1500
  ) {
    (self.latency, self.jitter, self.lossPerMille) = (latency, jitter, lossPerMille)
    (self.duplicatesPerMille, self.latePerMille) = (duplicatesPerMille, latePerMille)
    self.mtu = mtu
  }

  /// How late one datagram of `size` bytes of IP arrives, once for each copy; empty when it is lost.
  func passages(of size: Int, using random: inout Entropy) -> [Duration] {
    guard size <= mtu, !chance(lossPerMille, &random) else { return [] }
    var delay = latency + sample(jitter, &random)
    if chance(latePerMille, &random) { delay = delay + latency + .milliseconds(20) }
    return chance(duplicatesPerMille, &random) ? [delay, delay + .milliseconds(1)] : [delay]
  }

  private func chance(_ perMille: Int, _ random: inout Entropy) -> Bool {
    perMille > 0 && Int.random(in: 0..<1000, using: &random) < perMille
  }

  private func sample(_ most: Duration, _ random: inout Entropy) -> Duration {
    let nanoseconds = most.wholeNanoseconds
    return nanoseconds > 0 ? .nanoseconds(Int64.random(in: 0...nanoseconds, using: &random)) : .zero
  }
}
