// SPDX-License-Identifier: Apache-2.0

import DERP
import Keys
import Synchronization
import Timing

/// Datagrams of one size that go to one peer through a relay.
struct RelayTrain: Sendable {
  var destination: NodeKey
  var bytes: [UInt8]
  var segmentSize: Int
  var queuedAt: Instant

  /// How many datagrams it is.
  var count: UInt64 {
    UInt64(max(1, (bytes.count + segmentSize - 1) / max(1, segmentSize)))
  }
}

/// What waits to leave through one relay.
///
/// Filled by the data thread, which never waits; emptied by the task that writes to the relay. When
/// the relay is slower the oldest fall off: for what runs inside the tunnel a late packet is worse
/// than a lost one.
final class RelayOutbox: Sendable {
  /// How many bytes may wait.
  static let maximumBytes = 512 << 10
  /// How long a datagram may wait for its relay: longer, and who sent it has sent it again.
  static let patience = Duration.seconds(5)

  private struct State {
    var trains: [RelayTrain] = []
    var first = 0
    var bytes = 0
    var dropped: UInt64 = 0
    var used: UInt64 = 0
    var waiter: CheckedContinuation<Void, Never>?
  }

  private let state = Mutex(State())

  /// How many datagrams fell off.
  var dropped: UInt64 { state.withLock { $0.dropped } }

  /// Counts datagrams that came out and were not sent after all.
  func noteDropped(_ count: UInt64) { state.withLock { $0.dropped &+= count } }

  /// How many datagrams nobody will take any more, those that fell off among them.
  func abandon() -> UInt64 {
    state.withLock { state in
      state.trains[state.first...].reduce(state.dropped) { $0 &+ $1.count }
    }
  }

  /// How many trains were ever added: tells whether it is in use.
  var used: UInt64 { state.withLock { $0.used } }

  /// Adds trains; wakes whoever waits.
  func add(_ train: RelayTrain) {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      state.trains.append(train)
      state.bytes += train.bytes.count
      state.used &+= 1
      while state.bytes > Self.maximumBytes, state.first < state.trains.count - 1 {
        let oldest = state.trains[state.first]
        state.first += 1
        state.bytes -= oldest.bytes.count
        state.dropped &+= oldest.count
      }
      if state.first > 64 {
        state.trains.removeFirst(state.first)
        state.first = 0
      }
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }

  /// Takes everything out; waits for the first when there is nothing.
  ///
  /// - Returns: Empty when the task was cancelled.
  func take() async -> [RelayTrain] {
    while !Task.isCancelled {
      let trains = takeNow()
      if !trains.isEmpty { return trains }
      await wait()
    }
    return []
  }

  private func takeNow() -> [RelayTrain] {
    state.withLock { state in
      defer { (state.trains, state.first, state.bytes) = ([], 0, 0) }
      return state.first == 0 ? state.trains : Array(state.trains[state.first...])
    }
  }

  private func wait() async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isReady = state.withLock { state in
          precondition(state.waiter == nil, "an outbox has one reader")
          guard state.trains.isEmpty, !Task.isCancelled else { return true }
          state.waiter = continuation
          return false
        }
        if isReady { continuation.resume() }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        defer { state.waiter = nil }
        return state.waiter
      }
      waiter?.resume()
    }
  }
}

/// The outboxes of all relays, and word to whoever connects them.
final class RelayOutboxes: Sendable {
  private struct State {
    var boxes: [RegionID: RelayOutbox] = [:]
    /// How many datagrams fell off in outboxes that are forgotten.
    var dropped: UInt64 = 0
  }

  private let state = Mutex(State())
  private let wanted: AsyncStream<RegionID>.Continuation
  /// Regions for which something waits; each is told once until it is `forgotten`.
  let wants: AsyncStream<RegionID>

  init() {
    // At most one element waits for each region that ever had an outbox, of which there are few.
    (wants, wanted) = AsyncStream.makeStream(bufferingPolicy: .unbounded)
  }

  /// How many datagrams fell off, for all relays and ever.
  var dropped: UInt64 {
    let (boxes, before) = state.withLock { (Array($0.boxes.values), $0.dropped) }
    return boxes.reduce(before) { $0 &+ $1.dropped }
  }

  /// Leaves datagrams for a relay, connected or not.
  func add(_ train: RelayTrain, through region: RegionID) {
    let (box, isNew) = state.withLock { state -> (RelayOutbox, Bool) in
      if let box = state.boxes[region] { return (box, false) }
      let box = RelayOutbox()
      state.boxes[region] = box
      return (box, true)
    }
    box.add(train)
    if isNew { wanted.yield(region) }
  }

  /// The outbox of a region that is being connected.
  func box(of region: RegionID) -> RelayOutbox {
    state.withLock { state in
      let box = state.boxes[region] ?? RelayOutbox()
      state.boxes[region] = box
      return box
    }
  }

  /// Throws away what waits for a region that is not connected any more; the next train tells anew.
  func forget(_ region: RegionID) {
    guard let box = state.withLock({ $0.boxes.removeValue(forKey: region) }) else { return }
    let abandoned = box.abandon()
    state.withLock { $0.dropped &+= abandoned }
  }
}
