// SPDX-License-Identifier: Apache-2.0

import Synchronization

/// What a relay has seen besides packets, since it started.
final class RelayFacts: Sendable {
  /// Connections that became a WebSocket.
  let webSocketAccepts = Atomic(0)
  /// Clients that were cut because they took no bytes.
  let writeTimeouts = Atomic(0)
  /// Clients that somebody was asked about and that were admitted.
  let verified = Atomic(0)
  /// Clients that were admitted because nobody could be asked.
  let unverified = Atomic(0)
  /// Clients that were turned away because they are not known.
  let refused = Atomic(0)
  /// STUN requests that were answered, over IPv4 and IPv6.
  let stunOverIPv4 = Atomic(0)
  let stunOverIPv6 = Atomic(0)
  /// Datagrams that were no STUN requests.
  let notSTUN = Atomic(0)
  /// Requests for `/debug/` and `/metrics` from where they are not answered.
  let strangers = Atomic(0)
  private let averageDelay = Mutex((total: 0, count: 0, milliseconds: 0.0))

  /// How long packets waited lately, each moment counting a tenth of those before it.
  var averageDelayMilliseconds: Double { averageDelay.withLock { $0.milliseconds } }

  /// Takes note of the waits so far: all together in microseconds, and how many there were.
  func noteDelays(total: Int, count: Int) {
    averageDelay.withLock { average in
      let (more, waits) = (total - average.total, count - average.count)
      (average.total, average.count) = (total, count)
      guard waits > 0 else { return }
      let mean = Double(more) / Double(waits) / 1000
      average.milliseconds += (mean - average.milliseconds) / 10
    }
  }
}

extension Atomic where Value == Int {
  /// Counts one more.
  func increment() { add(1, ordering: .relaxed) }

  /// How many there were.
  var count: Int { load(ordering: .relaxed) }
}
