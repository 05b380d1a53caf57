// SPDX-License-Identifier: Apache-2.0

/// What a watcher of the bus wants to be told.
package struct WatchMask: OptionSet, Hashable, Sendable {
  package let rawValue: UInt64

  package init(rawValue: UInt64) { self.rawValue = rawValue }

  /// Traffic counters every two seconds.
  package static let engineUpdates = WatchMask(rawValue: 1 << 0)
  /// The state in the first message.
  package static let initialState = WatchMask(rawValue: 1 << 1)
  /// The preferences in the first message.
  package static let initialPreferences = WatchMask(rawValue: 1 << 2)
  /// The netmap in the first message.
  package static let initialNetmap = WatchMask(rawValue: 1 << 3)
  /// Private keys are left out; they always are.
  package static let noPrivateKeys = WatchMask(rawValue: 1 << 4)
  /// The shared folders in the first message.
  package static let initialDriveShares = WatchMask(rawValue: 1 << 5)
  /// The files under way in the first message.
  package static let initialOutgoingFiles = WatchMask(rawValue: 1 << 6)
  /// The warnings in the first message, if another flag makes one.
  package static let initialHealth = WatchMask(rawValue: 1 << 7)
  /// Netmaps and counters at most every three seconds.
  package static let rateLimit = WatchMask(rawValue: 1 << 8)
  /// Warnings keep the action they suggest.
  package static let healthActions = WatchMask(rawValue: 1 << 9)
  /// The suggested exit node in the first message.
  package static let initialSuggestedExitNode = WatchMask(rawValue: 1 << 10)
  /// The latest version in the first message.
  package static let initialClientVersion = WatchMask(rawValue: 1 << 11)
  /// Peers that changed, each whole.
  package static let peerChanges = WatchMask(rawValue: 1 << 12)
  /// No netmaps after the first.
  package static let noNetmap = WatchMask(rawValue: 1 << 13)
  /// A full status in the first message.
  package static let initialStatus = WatchMask(rawValue: 1 << 14)
  /// Peers that changed, as patches.
  package static let peerPatches = WatchMask(rawValue: 1 << 15)
  /// For watchers inside the daemon only.
  package static let inProcessNoDisconnect = WatchMask(rawValue: 1 << 16)
  /// Policies in the first message and when they change.
  package static let policyChanges = WatchMask(rawValue: 1 << 17)
  /// The sessions with peers.
  package static let peerWireGuardState = WatchMask(rawValue: 1 << 18)

  /// Why this mask cannot be served; nil when it can.
  package var objection: String? {
    if contains(.inProcessNoDisconnect) { return "mask bit 16 is for use inside the daemon" }
    let detailed: WatchMask = [.peerChanges, .noNetmap, .initialStatus, .peerPatches]
    if contains(.rateLimit), !isDisjoint(with: detailed) {
      return "rate limiting (mask bit 8) cannot be combined with bits 12 to 15"
    }
    return nil
  }
}
