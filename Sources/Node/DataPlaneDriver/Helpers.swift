// SPDX-License-Identifier: Apache-2.0

import Cryptography
import HostIO
import Synchronization
import Timing
import WireGuard

/// Threads that help one data thread to seal and open the trains of a heavy flow, and sleep otherwise.
final class Helpers: Sendable {
  /// How long one looks for more work before it sleeps: longer than it takes to be woken.
  private static let patience = Duration.microseconds(50)
  /// How often one looks between two looks at the clock.
  private static let looks = 64

  private final class Helper: Sendable {
    let signal: WakeSignal
    let isAsleep = Atomic(false)
    init() throws(HostError) { signal = try WakeSignal() }
  }

  /// What they help with.
  let share: TrainShare
  private let helpers: [Helper]
  private let backend: PacketBackend
  private let name: String
  private let isOver = Atomic(false)
  private let threads = Mutex<[DataThread]>([])

  /// Helpers that have not begun.
  init(count: Int, backend: PacketBackend, name: String) throws(HostError) {
    var helpers: [Helper] = []
    for _ in 0..<count { helpers.append(try Helper()) }
    (self.helpers, self.backend, self.name) = (helpers, backend, name)
    share = TrainShare(call: { [helpers] in Self.call(helpers) }, rest: DataThread.yield)
  }

  private static func call(_ helpers: [Helper]) {
    for helper in helpers where helper.isAsleep.load(ordering: .sequentiallyConsistent) {
      let wasAsleep = helper.isAsleep.exchange(false, ordering: .sequentiallyConsistent)
      if wasAsleep { helper.signal.signal() }
    }
  }

  /// Starts the threads; where the system has no more of them, there are fewer helpers.
  func begin() {
    for (index, helper) in helpers.enumerated() {
      let started = try? DataThread(name: "help\(index)-\(name)") { [self] in run(helper) }
      guard let started else { return }
      threads.withLock { $0.append(started) }
    }
  }

  /// Ends the threads and waits for that; the owner of the share must have ended before.
  func end() {
    isOver.store(true, ordering: .sequentiallyConsistent)
    for helper in helpers { helper.signal.signal() }
    for thread in threads.withLock(\.self) { thread.join() }
  }

  private func run(_ helper: Helper) {
    // Without a poll set it could not sleep; then there is one helper fewer.
    guard var poller = try? Poller(),
      (try? poller.add(helper.signal.rawDescriptor, token: 0)) != nil
    else { return }
    var engine = PacketEngine(backend)
    var train = PacketTrain()
    var last = MonotonicClock.now()
    while !isOver.load(ordering: .relaxed) {
      if share.help(with: &engine, &train) {
        last = MonotonicClock.now()
        continue
      }
      for _ in 0..<Self.looks where !share.hasWork {}
      guard MonotonicClock.now() - last >= Self.patience else { continue }
      sleep(helper, &poller)
      last = MonotonicClock.now()
    }
  }

  private func sleep(_ helper: Helper, _ poller: inout Poller) {
    helper.isAsleep.store(true, ordering: .sequentiallyConsistent)
    if !share.hasWork, !isOver.load(ordering: .sequentiallyConsistent) {
      _ = poller.wait(until: nil)
      helper.signal.consume()
    }
    helper.isAsleep.store(false, ordering: .sequentiallyConsistent)
  }
}
