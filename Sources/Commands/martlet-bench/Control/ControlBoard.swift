// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Compression
import ControlProtocol
import HostIO
import Synchronization
import Timing

/// What all simulated nodes have received, and when.
final class ControlBoard: Sendable {
  /// Messages larger than this are whole maps; they are counted, and looked into by few.
  static let maximumDelta = 256 << 10
  /// How many different messages are remembered with what is in them.
  private static let maximumVerdicts = 64

  private struct State {
    var arrivals: [Instant?]
    var arrived = 0
    var wanted: [UInt8] = []
    var verdicts: [[UInt8]: Bool] = [:]
    var mapped: [Instant?]
    var mapCount = 0
    var latest = Instant.origin
    var failures: [String] = []
    var messages = 0
    var bytes = 0
    var mapBytes = 0
    var seen: Int?
  }

  private let state: Mutex<State>

  init(nodes: Int) {
    state = Mutex(
      State(
        arrivals: Array(repeating: nil, count: nodes),
        mapped: Array(repeating: nil, count: nodes)
      )
    )
  }

  /// Begins to wait for a message that holds `text`; nothing has arrived so far.
  func expect(_ text: String) {
    state.withLock { state in
      state.wanted = Array(text.utf8)
      state.verdicts = [:]
      state.arrivals = state.arrivals.map { _ in nil }
      state.arrived = 0
    }
  }

  /// Begins to wait for whole maps.
  func expectMaps() {
    state.withLock { state in
      state.mapped = state.mapped.map { _ in nil }
      state.mapCount = 0
      state.mapBytes = 0
    }
  }

  /// A node received its whole map, with `peers` peers where it looked.
  func map(at number: Int, bytes: Int, peers: Int?) {
    let now = MonotonicClock.now()
    state.withLock { state in
      state.latest = now
      state.bytes += bytes
      state.mapBytes += bytes
      if state.mapped[number] == nil { state.mapCount += 1 }
      state.mapped[number] = now
      if let peers { state.seen = min(state.seen ?? peers, peers) }
    }
  }

  /// A node received a message.
  func delta(at number: Int, _ body: [UInt8]) {
    let now = MonotonicClock.now()
    // Many receive the same bytes; one look is enough for all.
    let (known, wanted) = state.withLock { state -> (Bool?, [UInt8]) in
      state.latest = now
      state.messages += 1
      state.bytes += body.count
      guard !state.wanted.isEmpty, state.arrivals[number] == nil else { return (false, []) }
      return (state.verdicts[body], state.wanted)
    }
    let isIt = known ?? Self.holds(wanted, in: body)
    guard isIt || known == nil else { return }
    state.withLock { state in
      if state.verdicts.count < Self.maximumVerdicts { state.verdicts[body] = isIt }
      guard isIt, state.arrivals[number] == nil else { return }
      state.arrivals[number] = now
      state.arrived += 1
    }
  }

  func failed(_ what: String) { state.withLock { $0.failures.append(what) } }

  private static func holds(_ wanted: [UInt8], in body: [UInt8]) -> Bool {
    // What cannot be read does not hold it; the wait for it then tells.
    guard let json = try? Zstandard.decompress(body, limit: maximumDelta * 16) else { return false }
    let last = json.count - wanted.count
    guard last >= 0 else { return false }
    return (0...last).contains { start in
      json[start] == wanted[0] && json[start..<start + wanted.count].elementsEqual(wanted)
    }
  }

  /// How long after `start` the wanted message was at each node that received it.
  func arrivals(since start: Instant) -> [Duration] {
    state.withLock { $0.arrivals.compactMap { $0.map { $0 - start } } }
  }

  /// How long after `start` each node had its whole map.
  func maps(since start: Instant) -> [Duration] {
    state.withLock { $0.mapped.compactMap { $0.map { $0 - start } } }
  }

  /// When something was received last.
  var latest: Instant { state.withLock { $0.latest } }
  /// How many bytes the whole maps had.
  var mapBytes: Int { state.withLock { $0.mapBytes } }
  /// The fewest peers in a map that was looked into.
  var fewestPeers: Int? { state.withLock { $0.seen } }
  /// How many messages other than whole maps there were.
  var messages: Int { state.withLock { $0.messages } }

  func waitForArrivals(_ count: Int, within patience: Duration) async throws {
    try await wait("the change is at all nodes", patience) { $0.arrived >= count }
  }

  func waitForMaps(_ count: Int, within patience: Duration) async throws {
    try await wait("all nodes have their maps", patience) { $0.mapCount >= count }
  }

  /// Waits until nothing has been received for a while.
  func waitForQuiet(_ pause: Duration, within patience: Duration) async throws {
    try await wait("the streams are quiet", patience) { MonotonicClock.now() - $0.latest >= pause }
  }

  private func wait(
    _ what: String,
    _ patience: Duration,
    _ isDone: (borrowing State) -> Bool
  ) async throws {
    let deadline = MonotonicClock.now() + patience
    while true {
      let (done, trouble, count) = state.withLock { state in
        (isDone(state), state.failures.first, (state.arrived, state.mapCount))
      }
      if done { return }
      if let trouble { throw CommandError("\(what): \(trouble)") }
      guard MonotonicClock.now() < deadline else {
        throw CommandError("\(what): it did not happen; \(count.0) arrived, \(count.1) maps")
      }
      try await Task.sleep(for: .milliseconds(5))
    }
  }
}
