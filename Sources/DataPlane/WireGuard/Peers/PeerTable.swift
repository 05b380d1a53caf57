// SPDX-License-Identifier: Apache-2.0

import Keys
import Tables

/// The peers, by ID, by key, and by slot for those who meet them per packet.
struct PeerTable: Sendable {
  /// A slot that nobody uses keeps its last peer, closed.
  var slots: [Peer] = []
  private var free: [Int] = []
  private var byID = SlotIndex()
  private var byKey = SlotIndex()
  private let hash = SlotHash()

  var count: Int { byID.count }

  /// The slots in use.
  var used: [Int] { slots.indices.filter { slot(of: slots[$0].id) == $0 } }

  func slot(of id: PeerID) -> Int? { byID.slot(of: tag(id)) { slots[$0].id == id } }

  func slot(of key: NodeKey) -> Int? {
    byKey.slot(of: hash.tag(key.words)) { slots[$0].configuration.publicKey == key }
  }

  /// Makes room for that many peers, so that adding them moves none.
  mutating func reserve(_ count: Int) {
    slots.reserveCapacity(count)
    byID.reserve(count)
    byKey.reserve(count)
  }

  /// Adds a peer that `make` makes for its slot.
  mutating func add(_ id: PeerID, _ key: NodeKey, _ make: (Int) -> Peer) -> Int {
    let slot = free.popLast() ?? slots.count
    if slot < slots.count { slots[slot] = make(slot) } else { slots.append(make(slot)) }
    byID.insert(slot, tag: tag(id))
    byKey.insert(slot, tag: hash.tag(key.words))
    return slot
  }

  /// Gives a slot free; its peer must be closed.
  mutating func release(_ slot: Int) {
    byID.remove(slot, tag: tag(slots[slot].id))
    byKey.remove(slot, tag: hash.tag(slots[slot].configuration.publicKey.words))
    free.append(slot)
  }

  private func tag(_ id: PeerID) -> UInt32 { hash.tag(UInt64(bitPattern: id.rawValue), 0) }
}
