// SPDX-License-Identifier: Apache-2.0

import Keys

/// The peers, by ID, by key, and by slot for those who meet them per packet.
struct PeerTable: Sendable {
  /// A slot that nobody uses keeps its last peer, closed.
  var slots: [Peer] = []
  private var free: [Int] = []
  private var byID: [PeerID: Int] = [:]
  private var byKey: [NodeKey: Int] = [:]

  var count: Int { byID.count }

  /// The slots in use.
  var used: some Collection<Int> { byID.values }

  func slot(of id: PeerID) -> Int? { byID[id] }
  func slot(of key: NodeKey) -> Int? { byKey[key] }

  /// Adds a peer that `make` makes for its slot.
  mutating func add(_ id: PeerID, _ key: NodeKey, _ make: (Int) -> Peer) -> Int {
    let slot = free.popLast() ?? slots.count
    if slot < slots.count { slots[slot] = make(slot) } else { slots.append(make(slot)) }
    (byID[id], byKey[key]) = (slot, slot)
    return slot
  }

  /// Gives a slot free; its peer must be closed.
  mutating func release(_ slot: Int) {
    byID[slots[slot].id] = nil
    byKey[slots[slot].configuration.publicKey] = nil
    free.append(slot)
  }
}
