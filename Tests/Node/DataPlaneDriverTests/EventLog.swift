// SPDX-License-Identifier: Apache-2.0

import DataPlaneDriver
import Synchronization

/// What a data plane told, for tests that wait until it tells something.
final class EventLog: Sendable {
  private struct Waiter {
    var number: Int
    var matches: @Sendable (DataPlaneEvent) -> Bool
    var continuation: CheckedContinuation<Void, Never>
  }

  private struct State {
    var events: [DataPlaneEvent] = []
    var waiters: [Waiter] = []
    var nextNumber = 0
  }

  private let state = Mutex(State())

  /// Listens until the data plane ends.
  init(_ plane: DataPlane) {
    let events = plane.events
    Task { [weak self] in
      for await event in events { self?.note(event) }
    }
  }

  private func note(_ event: DataPlaneEvent) {
    let ready = state.withLock { state in
      state.events.append(event)
      let ready = state.waiters.filter { $0.matches(event) }
      state.waiters.removeAll { $0.matches(event) }
      return ready
    }
    for waiter in ready { waiter.continuation.resume() }
  }

  /// All that was told so far.
  var events: [DataPlaneEvent] { state.withLock(\.events) }

  /// Forgets what was told, so that the next wait is for something new.
  func forget() { state.withLock { $0.events = [] } }

  /// Returns once an event that `matches` was told, which may have been before.
  ///
  /// - Throws: When the test takes too long.
  func wait(
    for what: String,
    _ matches: @escaping @Sendable (DataPlaneEvent) -> Bool
  ) async throws {
    let number = state.withLock { state in
      state.nextNumber += 1
      return state.nextNumber
    }
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let isReady = state.withLock { state in
          if Task.isCancelled || state.events.contains(where: matches) { return true }
          state.waiters.append(
            Waiter(number: number, matches: matches, continuation: continuation)
          )
          return false
        }
        if isReady { continuation.resume() }
      }
    } onCancel: {
      let waiter = state.withLock { state -> Waiter? in
        guard let index = state.waiters.firstIndex(where: { $0.number == number }) else {
          return nil
        }
        return state.waiters.remove(at: index)
      }
      waiter?.continuation.resume()
    }
    if Task.isCancelled { throw WaitedTooLong(what: what, events: events) }
  }
}

/// Nothing came of a wait.
struct WaitedTooLong: Error {
  var what: String
  var events: [DataPlaneEvent]
}
