// SPDX-License-Identifier: Apache-2.0

internal import ControlProtocol
internal import Timing

/// Whether a node is connected: counted, because its old stream may outlive the start of its new one.
struct Presence: Hashable, Sendable {
  /// How many map streams it has.
  var streams = 0
  /// Whether others are told that it is connected.
  var isOnline = false
  /// Whether it has ever given a sign of life when it was asked; not every client does.
  var givesSigns = false
  /// Whether it was asked for a sign of life and gave none.
  var isSilent = false
  /// When its last stream ended.
  var left: Moment?
  /// When others will be told that it is gone.
  var offlineDeadline: Instant?
  /// When it will be forgotten.
  var forgetDeadline: Instant?
}

extension Tailnet {
  /// Whether others are told that a node is connected.
  package func isOnline(_ id: NodeID) -> Bool { presence[id]?.isOnline ?? false }

  /// A map stream of a node begins.
  package mutating func connected(
    _ id: NodeID,
    at now: Moment,
    into effects: inout Effects
  ) {
    guard let node = nodes[id] else { return }
    var state = presence[id] ?? Presence()
    state.streams += 1
    let wasAway = !state.isOnline
    (state.left, state.offlineDeadline, state.forgetDeadline) = (nil, nil, nil)
    let wasSilent = state.isSilent
    (state.isOnline, state.isSilent) = (true, false)
    presence[id] = state
    if wasSilent { refreshView(of: node, at: now, into: &effects) }
    // Written down now too: whoever stops us with force does not let us write when it leaves.
    guard wasAway else { return refreshView(of: node, at: now, into: &effects) }
    putLastSeen(now.time, of: id, at: now, into: &effects)
  }

  /// A map stream of a node has ended; others are told only when no other begins soon.
  package mutating func disconnected(_ id: NodeID, at now: Moment) {
    guard nodes[id] != nil, var state = presence[id], state.streams > 0 else { return }
    state.streams -= 1
    if state.streams == 0 {
      state.left = now
      state.offlineDeadline = now.instant + options.offlineGrace
    }
    presence[id] = state
  }

  /// Does what is due: tells who is gone, forgets ephemeral nodes and old logins, ends keys.
  ///
  /// Call about once a second; it looks at each node once.
  package mutating func handleTimeouts(at now: Moment, into effects: inout Effects) {
    for (id, state) in presence {
      if let deadline = state.offlineDeadline, deadline <= now.instant {
        goOffline(id, at: now, into: &effects)
      } else if let deadline = state.forgetDeadline, deadline <= now.instant,
        let node = nodes[id]
      {
        remove(node, at: now, into: &effects)
        audit("server", "node.forget", node, "ephemeral and away", at: now, into: &effects)
      }
    }
    for node in nodes.values {
      if let view = views[node.id], view.expired != node.isExpired(at: now.time) {
        refreshView(of: node, at: now, into: &effects)
      }
      if !node.attributes.isEmpty { endAttributes(of: node, at: now, into: &effects) }
    }
    endTokens(at: now, into: &effects)
    keyWatch.expire(at: now.instant)
    effects.settledLogins += logins.expire(at: now)
    effects.settledChecks += checks.expire(at: now.instant)
    effects.mutations += endAddressRests(at: now).map { .addressRested($0) }
  }

  /// Begins to wait for an ephemeral node that is not connected.
  mutating func awaitReturn(of id: NodeID, at now: Moment) {
    presence[id, default: Presence()].forgetDeadline = now.instant + options.ephemeralTimeout
  }

  private mutating func goOffline(_ id: NodeID, at now: Moment, into effects: inout Effects) {
    guard let node = nodes[id], let left = presence[id]?.left else { return }
    presence[id]?.isOnline = false
    presence[id]?.offlineDeadline = nil
    putLastSeen(left.time, of: id, at: now, into: &effects)
    if node.isEphemeral { awaitReturn(of: id, at: left) }
  }
}
