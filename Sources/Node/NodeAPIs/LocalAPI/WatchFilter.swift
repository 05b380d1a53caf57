// SPDX-License-Identifier: Apache-2.0

import JSON
import LocalAPI
import Timing

/// Turns what happens in a node into what one watcher asked to be told.
struct WatchFilter: Sendable {
  /// How far apart messages are that may wait, for watchers that asked for few.
  static let boringInterval = Duration.seconds(3)

  private let mask: WatchMask
  private var isFirst: Bool
  private let sessionID: String
  private var lastBoring: Instant?
  private var held: Notification?

  /// A filter for a watcher; `sessionID` goes into the first message of one that wants the state.
  init(_ mask: WatchMask, sessionID: String) {
    (self.mask, self.sessionID) = (mask, sessionID)
    let initial: WatchMask = [
      .initialState, .initialPreferences, .initialNetmap, .initialDriveShares,
      .initialOutgoingFiles, .initialSuggestedExitNode, .initialClientVersion, .initialStatus,
    ]
    isFirst = !mask.isDisjoint(with: initial)
  }

  /// The message to send now for what happened, if any.
  mutating func admit(_ message: Notification, at now: Instant) -> Notification? {
    var message = message
    if isFirst {
      isFirst = false
      if mask.contains(.initialState) { message.sessionID = sessionID }
      flattenHealth(&message)
      return message
    }
    if !mask.contains(.engineUpdates) { message.engine = nil }
    if mask.contains(.noNetmap) { message.netmap = .null }
    if mask.isDisjoint(with: [.peerChanges, .peerPatches]) {
      message.peersChanged = nil
      message.peersRemoved = nil
      message.userProfiles = nil
      message.peersChangedPatch = nil
    }
    flattenHealth(&message)
    guard !message.saysNothingNew else { return nil }
    guard mask.contains(.rateLimit), message.isBoring else { return message }
    if let lastBoring, now < lastBoring + Self.boringInterval {
      hold(message)
      return nil
    }
    lastBoring = now
    return message
  }

  /// When `release` has something to send.
  var deadline: Instant? {
    held == nil ? nil : lastBoring.map { $0 + Self.boringInterval }
  }

  /// The message that waited, once its time has come.
  mutating func release(at now: Instant) -> Notification? {
    guard let message = held, let deadline, now >= deadline else { return nil }
    held = nil
    lastBoring = now
    return message
  }

  /// Keeps the newest of what may wait.
  private mutating func hold(_ message: Notification) {
    guard var merged = held else {
      held = message
      return
    }
    if message.netmap != .null { merged.netmap = message.netmap }
    if message.engine != nil { merged.engine = message.engine }
    held = merged
  }

  private func flattenHealth(_ message: inout Notification) {
    if !mask.contains(.healthActions) { message.health = message.health?.withoutActions }
  }
}

extension Notification {
  /// Whether nothing but the version is left in it.
  fileprivate var saysNothingNew: Bool {
    var rest = self
    rest.version = ""
    return rest.saysNothing
  }
}
