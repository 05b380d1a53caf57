// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import ControlSession
import HTTPTransport
import HostIO
import JSON
import Logging
import Synchronization
import Timing

extension ControlClient {
  /// Follows the map until the stream ends, telling the server what is new meanwhile.
  ///
  /// - Returns: Why it ended.
  func follow(_ connection: HTTP2Connection) async -> any Error {
    var failure: any Error = MapPollError.ended
    do {
      let response = try await openMap(over: connection)
      throttle.restart()
      throttle.submit(news)
      let (signals, wake) = AsyncStream.makeStream(
        of: Void.self,
        bufferingPolicy: .bufferingNewest(1)
      )
      wakeTeller = wake
      let updates = Task { await tellNews(over: connection, wokenBy: signals) }
      do { try await readMap(response.body) } catch { failure = error }
      updates.cancel()
      wakeTeller = nil
      response.body.cancel()
    } catch {
      failure = error
    }
    await report(.listening(false))
    return failure
  }

  private func openMap(over connection: HTTP2Connection) async throws -> HTTPClientResponse {
    let response = try await connection.request(
      "POST",
      host: server.url.hostField,
      path: "/machine/map",
      headers: ["Content-Type": "application/json"],
      body: news.streamRequest().json,
      timeout: MapPoll.longestSilence
    )
    guard response.status == 200 else {
      throw refusal(response, try await response.collect(upTo: Self.maximumAnswer))
    }
    return response
  }

  /// Reads messages until the stream ends, or is silent for too long.
  private func readMap(_ body: HTTPBodySequence) async throws {
    var poll = MapPoll(as: news.nodeKey, at: MonotonicClock.now())
    let watchdog = Watchdog(until: poll.deadline) { body.cancel() }
    defer { watchdog.cancel() }
    var isFirst = true
    do {
      while let piece = try await body.next() {
        for map in try poll.receive(piece, at: MonotonicClock.now()) {
          try await follow(orders: orders.take(from: map), calmingDown: watchdog)
          let isFirstMap = isFirst && !map.keepAlive
          await report(.map(map, isFirst: isFirstMap))
          guard isFirstMap else { continue }
          isFirst = false
          reconnect.opened(at: MonotonicClock.now())
          await report(.listening(true))
        }
        watchdog.extend(until: poll.deadline)
      }
    } catch {
      throw watchdog.hasBitten ? MapPollError.silent : error
    }
    try poll.finish()
  }

  /// Does what the server orders, as far as a server may order it.
  private func follow(orders: [ServerOrder], calmingDown watchdog: Watchdog) async throws {
    for order in orders {
      switch order {
      case .pause(let duration):
        watchdog.extend(until: MonotonicClock.now() + duration + MapPoll.longestSilence)
        try await Task.sleep(for: duration)
      case .openPage(let page): await report(.openPage(page.description))
      case .disableLogs: break  // None are sent anywhere.
      case .ping, .exit:
        logger.info(
          "the coordination server orders what is not served",
          metadata: ["what": "\(order)"]
        )
      }
    }
  }

  /// Tells the server what is new of this node, until cancelled.
  private func tellNews(
    over connection: HTTP2Connection,
    wokenBy signals: AsyncStream<Void>
  ) async {
    while !Task.isCancelled {
      guard let deadline = throttle.deadline else {
        for await _ in signals { break }
        continue
      }
      let now = MonotonicClock.now()
      guard let news = throttle.next(at: now) else {
        // Waking early is what cancelling is for.
        try? await Task.sleep(for: deadline - now)
        continue
      }
      do {
        _ = try await exchange("/machine/map", news.updateRequest().json, over: connection)
        throttle.succeed()
      } catch {
        logger.info("news of this node did not arrive", metadata: ["why": "\(error)"])
        throttle.fail(at: MonotonicClock.now(), using: &entropy)
      }
    }
  }
}

/// Bites when nobody calls it off in time.
final class Watchdog: Sendable {
  private struct State {
    var deadline: Instant
    var hasBitten = false
  }

  private let state: Mutex<State>
  private let task: Mutex<Task<Void, Never>?> = Mutex(nil)

  /// A watchdog that bites at `deadline` unless it is extended.
  init(until deadline: Instant, bite: @escaping @Sendable () -> Void) {
    state = Mutex(State(deadline: deadline))
    let started = Task { [weak self] in
      while let wait = self?.remaining(), !Task.isCancelled {
        // Cancelled: nobody needs the watchdog any more.
        do { try await Task.sleep(for: wait) } catch { return }
      }
      guard !Task.isCancelled else { return }
      bite()
    }
    task.withLock { $0 = started }
  }

  deinit { cancel() }

  /// Whether it did.
  var hasBitten: Bool { state.withLock { $0.hasBitten } }

  /// Puts it off.
  func extend(until deadline: Instant) { state.withLock { $0.deadline = deadline } }

  /// Calls it off for good.
  func cancel() { task.withLock { $0?.cancel() } }

  /// How long there is left; nil when it is time, or nobody is there any more.
  private func remaining() -> Duration? {
    state.withLock { state in
      let left = state.deadline - MonotonicClock.now()
      guard left <= .zero else { return left }
      state.hasBitten = true
      return nil
    }
  }
}
