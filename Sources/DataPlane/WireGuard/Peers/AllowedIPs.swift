// SPDX-License-Identifier: Apache-2.0

import Addressing
import Keys

/// Cryptokey routing: which peer a destination belongs to and a source may come from.
///
/// The longest prefix wins. Of two peers with the same prefix the one that asked last has it; when it
/// goes, the one before has it again.
struct AllowedIPs: Sendable {
  private var table = PrefixTable<PeerID>()
  /// Who else asked for a prefix, first one first.
  private var waiting: [IPPrefix: [PeerID]] = [:]

  func peer(for address: IPAddress) -> PeerID? { table[address] }

  mutating func insert(_ prefix: IPPrefix, for peer: PeerID) {
    let prefix = prefix.masked
    guard let owner = table.insert(peer, for: prefix), owner != peer else { return }
    waiting[prefix, default: []].removeAll { $0 == peer }
    waiting[prefix, default: []].append(owner)
  }

  mutating func remove(_ prefix: IPPrefix, from peer: PeerID) {
    let prefix = prefix.masked
    guard table.value(exactly: prefix) == peer else {
      return forgetWaiting(peer, for: prefix)
    }
    if let heir = waiting[prefix]?.last {
      forgetWaiting(heir, for: prefix)
      table.insert(heir, for: prefix)
    } else {
      table.remove(prefix)
    }
  }

  private mutating func forgetWaiting(_ peer: PeerID, for prefix: IPPrefix) {
    waiting[prefix]?.removeAll { $0 == peer }
    if waiting[prefix]?.isEmpty == true { waiting[prefix] = nil }
  }
}
