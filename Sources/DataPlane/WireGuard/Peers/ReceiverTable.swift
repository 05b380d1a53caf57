// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Tables

/// Which peer a received message belongs to, by the index in it.
///
/// Indices are random, so that nobody can name a session without having seen its packets. A peer has
/// at most four at a time (three sessions and an outstanding initiation), which bounds the table.
struct ReceiverTable: Sendable {
  /// An index is its own tag: it is random, and there are no two of the same.
  private var index = SlotIndex()
  private let shard: Shard

  /// An empty table whose indices name `shard`, if there are several.
  init(of shard: Shard = .only) { self.shard = shard }

  var count: Int { index.count }

  /// The slot of the peer that goes by `receiver` with us.
  subscript(_ receiver: UInt32) -> Int? { index.slot(of: spread(receiver)) }

  /// A fresh index for the peer in `slot`.
  mutating func allocate(for slot: Int, using entropy: inout Entropy) -> UInt32 {
    while true {
      let receiver = shard.receiver(from: UInt32(truncatingIfNeeded: entropy.next()))
      if self[receiver] == nil {
        index.insert(slot, tag: spread(receiver))
        return receiver
      }
    }
  }

  mutating func release(_ receiver: UInt32) {
    guard let slot = self[receiver] else { return }
    index.remove(slot, tag: spread(receiver))
  }

  /// Brings the bits that name the shard, which are the same in all, to the end that matters least.
  private func spread(_ receiver: UInt32) -> UInt32 { receiver.byteSwapped }
}
