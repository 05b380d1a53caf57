// SPDX-License-Identifier: Apache-2.0

import Keys
import Synchronization
public import Timing

/// The way to another relay of the mesh, over the connection that we made to it.
///
/// Its queue is bounded, and fair to the senders like that of a client.
public final class MeshForwarder: Sendable {
  static let maximumPackets = 128
  static let maximumBytes = 1 << 20

  private struct State {
    var disco = RelayQueue()
    var bulk = RelayQueue(
      maximumPackets: MeshForwarder.maximumPackets,
      maximumBytes: MeshForwarder.maximumBytes
    )
    var isAnnounced = false
    var isClosed = false
  }

  /// The order in which the ways were found: of several, the first is taken.
  public let id: UInt64
  private let connection: any RelayConnection
  private let state = Mutex(State())

  init(id: UInt64, connection: any RelayConnection) {
    (self.id, self.connection) = (id, connection)
  }

  func forward(_ entry: RelayQueue.Entry, isDisco: Bool, _ effects: inout RelayEffects) {
    state.withLock { state in
      guard !state.isClosed else {
        effects.counts.dropped.note(.goneDisconnected, isDisco, (1, entry.packet.count))
        return
      }
      let dropped = isDisco ? state.disco.append(entry) : state.bulk.append(entry)
      effects.counts.dropped.note(.queueFull, isDisco, dropped)
      guard !state.isAnnounced else { return }
      state.isAnnounced = true
      effects.ready.append(connection)
    }
  }

  /// Appends what waits to `output`, until that has `limit` bytes or more.
  ///
  /// - Returns: Whether more waits. If not, the connection is told when something does.
  public func takeOutput(
    upTo limit: Int,
    at now: Instant,
    into output: inout [UInt8],
    _ counts: inout RelayCounters
  ) -> Bool {
    state.withLock { state in
      while output.count < limit, let entry = state.disco.popFirst() ?? state.bulk.popFirst() {
        counts.forwardedOut += 1
        counts.queueDelay.observe(now - entry.arrival)
        Frame.writeForwarded(entry.source, entry.destination, entry.packet, to: &output)
      }
      let hasMore = !state.disco.isEmpty || !state.bulk.isEmpty
      if !hasMore { state.isAnnounced = false }
      return hasMore
    }
  }

  func close(_ effects: inout RelayEffects) {
    state.withLock { state in
      state.isClosed = true
      effects.counts.dropped.note(.goneDisconnected, true, state.disco.removeAll())
      effects.counts.dropped.note(.goneDisconnected, false, state.bulk.removeAll())
    }
  }
}
