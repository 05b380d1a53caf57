// SPDX-License-Identifier: Apache-2.0

import Keys
import Tables

/// What the pipeline itself knows of each peer: found by one probe, without holes between.
struct PeerBook {
  private var ids: [PeerID] = []
  private var facts: [Pipeline.PeerFacts] = []
  private var index = SlotIndex()
  private let hash = SlotHash()

  var count: Int { ids.count }

  /// All peers, in no order.
  var all: Zip2Sequence<[PeerID], [Pipeline.PeerFacts]> { zip(ids, facts) }

  /// Makes room for that many peers.
  mutating func reserve(_ count: Int) {
    ids.reserveCapacity(count)
    facts.reserveCapacity(count)
    index.reserve(count)
  }

  subscript(_ id: PeerID) -> Pipeline.PeerFacts? {
    get { slot(of: id).map { facts[$0] } }
    set {
      switch (slot(of: id), newValue) {
      case (let slot?, let new?): facts[slot] = new
      case (nil, let new?):
        index.insert(ids.count, tag: tag(id))
        ids.append(id)
        facts.append(new)
      case (let slot?, nil): remove(slot)
      case (nil, nil): break
      }
    }
  }

  private mutating func remove(_ slot: Int) {
    index.remove(slot, tag: tag(ids[slot]))
    let (lastID, lastFacts) = (ids.removeLast(), facts.removeLast())
    guard slot < ids.count else { return }
    index.move(ids.count, to: slot, tag: tag(lastID))
    (ids[slot], facts[slot]) = (lastID, lastFacts)
  }

  private func slot(of id: PeerID) -> Int? { index.slot(of: tag(id)) { ids[$0] == id } }

  private func tag(_ id: PeerID) -> UInt32 { hash.tag(UInt64(bitPattern: id.rawValue), 0) }
}
