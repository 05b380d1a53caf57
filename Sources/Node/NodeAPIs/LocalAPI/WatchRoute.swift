// SPDX-License-Identifier: Apache-2.0

import Bytes
import HTTPTransport
import JSON
import LocalAPI
import Synchronization
import Timing

/// The places for watchers of the bus.
///
/// Some are kept for those who may write: nobody else can keep them from following a login.
final class WatcherPlaces: Sendable {
  /// How many watchers there may be at once.
  static let maximum = 128
  /// How many of the places only those may take who may write.
  static let kept = 32

  private let taken = Mutex(0)

  /// A place that is given back when nobody holds it any more.
  func take(for actor: LocalActor) -> WatcherPlace? {
    let limit = actor.mayWrite ? Self.maximum : Self.maximum - Self.kept
    let isFree = taken.withLock { taken in
      guard taken < limit else { return false }
      taken += 1
      return true
    }
    return isFree ? WatcherPlace(self) : nil
  }

  /// How many are taken.
  var count: Int { taken.withLock { $0 } }

  fileprivate func giveBack() { taken.withLock { $0 -= 1 } }
}

/// One of the places for watchers.
///
/// It is given back by being forgotten, so that an answer that is never sent does not keep it.
final class WatcherPlace: Sendable {
  private let places: WatcherPlaces

  fileprivate init(_ places: WatcherPlaces) { self.places = places }

  deinit { places.giveBack() }
}

extension LocalAPIHandler {
  /// How many messages a watcher may be behind.
  static let maximumWaitingMessages = 128
  /// What a watcher is told that was too far behind.
  static let fellBehind = "IPN bus consumer fell behind; closing watch"

  /// `watch-ipn-bus`: a message a line until the watcher leaves, or falls behind.
  func watch(_ call: Call) async -> HTTPResponse {
    guard call.isRead else { return .text("use GET", status: 405) }
    let text = call.target["mask"]
    guard let bits = text.isEmpty ? 0 : UInt64(text) else {
      return .text("bad mask", status: 400)
    }
    let mask = WatchMask(rawValue: bits)
    if let objection = mask.objection { return .text(objection, status: 400) }
    guard let place = watchers.take(for: call.actor) else {
      return .text("too many watchers; close some of them", status: 503)
    }
    var generator = SystemRandomNumberGenerator()
    let session = Hex.encode((0..<8).map { _ in UInt8.random(in: 0...255, using: &generator) })
    let filter = WatchFilter(mask, sessionID: session)
    // Before the answer begins, so that whoever has it misses nothing that happens afterwards.
    let messages = await node.watch(mask)
    let handler = self
    return HTTPResponse(
      status: 200,
      headers: ["Content-Type": "application/json"],
      body: .stream { body in
        try await handler.stream(messages, filter, to: body)
        withExtendedLifetime(place) {}
      }
    )
  }

  private func stream(
    _ messages: AsyncStream<Notification>,
    _ filter: WatchFilter,
    to body: HTTPBodyWriter
  ) async throws {
    let queue = WatcherQueue(filter)
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask {
        for await message in messages {
          guard queue.add(message) else { break }
        }
        queue.end()
      }
      group.addTask { try await queue.drain(to: body) }
      // Whichever ends first ends the other: the writer when the watcher left, the reader never
      // before the writer has sent what waits.
      defer { group.cancelAll() }
      while try await group.next() != nil {}
    }
  }
}

/// What waits to be sent to one watcher.
final class WatcherQueue: Sendable {
  private struct State {
    var filter: WatchFilter
    var waiting: [Notification] = []
    var hasEnded = false
  }

  private let state: Mutex<State>
  private let wakes: AsyncStream<Void>
  private let wake: AsyncStream<Void>.Continuation
  private let clock = ContinuousClock()
  private let origin = ContinuousClock.now

  init(_ filter: WatchFilter) {
    state = Mutex(State(filter: filter))
    (wakes, wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  private var now: Instant { .origin + origin.duration(to: clock.now) }

  /// Puts what happened into the queue; false when the watcher fell behind and is given up.
  func add(_ message: Notification) -> Bool {
    let fits = state.withLock { state in
      guard !state.hasEnded, let admitted = state.filter.admit(message, at: now) else {
        return !state.hasEnded
      }
      guard state.waiting.count < LocalAPIHandler.maximumWaitingMessages else {
        var farewell = Notification()
        farewell.version = message.version
        farewell.errorMessage = LocalAPIHandler.fellBehind
        state.waiting = [farewell]
        state.hasEnded = true
        return false
      }
      state.waiting.append(admitted)
      return true
    }
    wake.yield()
    return fits
  }

  /// Nothing comes any more.
  func end() {
    state.withLock { $0.hasEnded = true }
    wake.finish()
  }

  /// Sends what waits, as it comes, until nothing comes any more.
  func drain(to body: HTTPBodyWriter) async throws {
    while !Task.isCancelled {
      let (batch, deadline, isOver) = take()
      for message in batch { try await body.write(message.json + [0x0A]) }
      guard batch.isEmpty else { continue }
      if isOver { return }
      await waitForMore(until: deadline)
    }
  }

  private func take() -> (batch: [Notification], deadline: Instant?, isOver: Bool) {
    state.withLock { state in
      if let late = state.filter.release(at: now) { state.waiting.append(late) }
      defer { state.waiting.removeAll(keepingCapacity: true) }
      return (state.waiting, state.filter.deadline, state.hasEnded)
    }
  }

  private func waitForMore(until deadline: Instant?) async {
    let alarm = deadline.map { deadline in
      Task {
        // A cancelled alarm does not ring.
        try? await Task.sleep(for: deadline - now)
        wake.yield()
      }
    }
    for await _ in wakes { break }
    alarm?.cancel()
  }
}
