// SPDX-License-Identifier: Apache-2.0

internal import Synchronization

/// How many machines are connected, bounded.
final class ConnectionCount: Sendable {
  private struct State {
    var open = 0
    var refused = 0
  }

  private let maximum: Int
  private let state = Mutex(State())

  init(maximum: Int) { self.maximum = maximum }

  /// How many are connected.
  var open: Int { state.withLock { $0.open } }

  /// How many were turned away.
  var refused: Int { state.withLock { $0.refused } }

  /// Whether one more may come; when not, it is counted as refused.
  var hasRoom: Bool {
    state.withLock { state in
      guard state.open >= maximum else { return true }
      state.refused += 1
      return false
    }
  }

  /// Counts one more, unless there are too many.
  func enter() -> Bool {
    state.withLock { state in
      guard state.open < maximum else {
        state.refused += 1
        return false
      }
      state.open += 1
      return true
    }
  }

  /// Counts one less.
  func leave() { state.withLock { $0.open -= 1 } }
}
