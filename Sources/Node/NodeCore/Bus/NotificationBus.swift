// SPDX-License-Identifier: Apache-2.0

import LocalAPI

/// Tells watchers what happens in a node.
struct NotificationBus {
  /// How many messages may wait for a watcher inside the daemon; behind the door it is fewer.
  static let maximumWaiting = 1024

  private var watchers: [UInt64: AsyncStream<Notification>.Continuation] = [:]
  private var nextID: UInt64 = 0
  private let version: String

  /// A bus without watchers, of a daemon of that version.
  init(version: String) { self.version = version }

  /// Adds a watcher, whose first message is `initial` if there is one.
  ///
  /// - Returns: Its messages, and the number by which it is removed.
  mutating func add(_ initial: Notification?) -> (messages: AsyncStream<Notification>, id: UInt64) {
    // A watcher that is too far behind is cut off by its own side; here the oldest fall off.
    let (stream, continuation) = AsyncStream.makeStream(
      of: Notification.self,
      bufferingPolicy: .bufferingNewest(Self.maximumWaiting)
    )
    nextID += 1
    watchers[nextID] = continuation
    if var initial {
      initial.version = version
      continuation.yield(initial)
    }
    return (stream, nextID)
  }

  /// Calls back when the watcher of that number has left.
  func whenLeft(_ id: UInt64, _ callback: @escaping @Sendable () -> Void) {
    watchers[id]?.onTermination = { _ in callback() }
  }

  /// Forgets a watcher.
  mutating func remove(_ id: UInt64) { watchers[id] = nil }

  /// Tells everyone.
  func publish(_ change: (inout Notification) -> Void) {
    guard !watchers.isEmpty else { return }
    var notification = Notification()
    notification.version = version
    change(&notification)
    for watcher in watchers.values { watcher.yield(notification) }
  }

  /// Whether anybody watches.
  var isWatched: Bool { !watchers.isEmpty }

  /// Sends everyone home.
  mutating func close() {
    for watcher in watchers.values { watcher.finish() }
    watchers = [:]
  }
}
