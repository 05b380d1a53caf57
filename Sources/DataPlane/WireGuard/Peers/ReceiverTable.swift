// SPDX-License-Identifier: Apache-2.0

import Cryptography

/// Which peer a received message belongs to, by the index in it.
///
/// Indices are random, so that nobody can name a session without having seen its packets. A peer has
/// at most four at a time (three sessions and an outstanding initiation), which bounds the table.
struct ReceiverTable: Sendable {
  private var slots: [UInt32: Int] = [:]
  private let shard: Shard

  /// An empty table whose indices name `shard`, if there are several.
  init(of shard: Shard = .only) { self.shard = shard }

  var count: Int { slots.count }

  /// The slot of the peer that goes by `index` with us.
  subscript(_ index: UInt32) -> Int? { slots[index] }

  /// A fresh index for the peer in `slot`.
  mutating func allocate(for slot: Int, using entropy: inout Entropy) -> UInt32 {
    while true {
      let index = shard.receiver(from: UInt32(truncatingIfNeeded: entropy.next()))
      if slots[index] == nil {
        slots[index] = slot
        return index
      }
    }
  }

  mutating func release(_ index: UInt32) { slots[index] = nil }
}
