// SPDX-License-Identifier: Apache-2.0

import Keys
import Timing

/// Who heard from a client, to be told when it leaves; bounded.
struct Correspondents: Sendable {
  /// How many are remembered for one client.
  static let maximum = 4096

  private var known: [UInt64: RelayPeers] = [:]
  private var last: UInt64?

  var count: Int { known.count }

  /// Remembers who gets a packet.
  mutating func insert(_ peers: RelayPeers, _ counts: inout RelayCounters) {
    let id = peers.id
    guard last != id else { return }
    last = id
    guard known[id] == nil else { return }
    if known.count >= Self.maximum {
      // Those who left stay until there is no more room.
      known = known.filter { $0.value.isLive }
      guard known.count < Self.maximum else {
        counts.forgottenDepartures += 1
        return
      }
    }
    known[id] = peers
  }

  mutating func merge(_ others: Correspondents, _ counts: inout RelayCounters) {
    if known.isEmpty {
      known = others.known
    } else {
      for (_, peers) in others.known.sorted(by: { $0.key < $1.key }) { insert(peers, &counts) }
    }
  }

  /// Tells all of them that `key` has left.
  func tellGone(_ key: NodeKey, at now: Instant, _ effects: inout RelayEffects) {
    for (_, peers) in known.sorted(by: { $0.key < $1.key }) where peers.isLive {
      peers.tellGone(key, .disconnected, at: now, &effects)
    }
  }
}
