// SPDX-License-Identifier: Apache-2.0

import HostIO
import Packets
import Synchronization
import WireGuard

/// What the shards of one node share where there are several: a ring from each to each, a bell for
/// each, and the directory of peers.
final class Crew: Sendable {
  /// How many shards there are.
  let count: Int
  let directory: PeerDirectory
  private let rings: [HandoverRing]
  private let bells: [Bell]

  init(_ signals: [WakeSignal], _ directory: PeerDirectory) {
    (count, self.directory) = (signals.count, directory)
    bells = signals.map(Bell.init)
    rings = (0..<signals.count * signals.count).map { _ in HandoverRing() }
  }

  /// The ring that only `sender` fills and only `receiver` empties.
  func ring(from sender: Int, to receiver: Int) -> HandoverRing { rings[sender * count + receiver] }

  /// Tells a shard that something lies in a ring to it.
  func ringBell(of shard: Int) { bells[shard].ring() }

  /// Takes note of the bell; whatever was put in before is seen by who looks now.
  func answerBell(of shard: Int) { bells[shard].answer() }
}

/// Wakes a shard once, however often it is rung before the shard answers.
private final class Bell: Sendable {
  private let signal: WakeSignal
  private let isRung = Atomic(false)

  init(_ signal: WakeSignal) { self.signal = signal }

  func ring() {
    if !isRung.exchange(true, ordering: .acquiringAndReleasing) { signal.signal() }
  }

  func answer() { _ = isRung.exchange(false, ordering: .acquiringAndReleasing) }
}
