// SPDX-License-Identifier: Apache-2.0

public import Timing

/// Path finding for some of a node's peers, where another one finds out about this node's place in the
/// network.
///
/// The leader looks at the network and chooses the home relay, as it does alone. A follower does not:
/// it asks for a fresh look before it calls a peer, tells that it is active, and is told what was found.
extension MagicSocket {
  /// What this one has to do with others of the same node.
  enum Role: Sendable {
    case alone
    case leader
    case follower
  }

  /// What a follower wants of the leader.
  public enum Want: Hashable, Sendable {
    /// Fresh endpoints, to call a peer with.
    case freshEndpoints
    /// That the look at the network is repeated in time, because packets go out.
    case activity
  }

  /// Makes this the leader of others, or a follower; for good, and before anything else happens.
  public mutating func share(leads: Bool) { role = leads ? .leader : .follower }

  /// Takes what the leader's last look at the network found, and makes the calls that waited for it.
  public mutating func adopt(
    _ endpoints: [OwnEndpoint],
    at now: Instant,
    into effects: inout Effects
  ) {
    ownEndpoints.adopt(endpoints, at: now)
    sendPendingCalls(into: &effects)
  }

  /// Does what a follower wants.
  public mutating func receive(_ want: Want, at now: Instant, into effects: inout Effects) {
    lastActivity = now
    switch want {
    case .activity: startRefreshTimer(at: now)
    case .freshEndpoints:
      if ownEndpoints.isFresh(at: now) { return tellFollowers(into: &effects) }
      if netcheck == nil { refresh(.callMeMaybe, full: false, at: now, into: &effects) }
    }
  }

  /// What a follower does instead of looking at the network.
  mutating func ask(_ reason: RefreshReason, at now: Instant, into effects: inout Effects) {
    switch reason {
    case .callMeMaybe, .peersAppeared: effects.wants.append(.freshEndpoints)
    case .periodic:
      effects.wants.append(.activity)
      startRefreshTimer(at: now)
    default: break
    }
  }

  func tellFollowers(into effects: inout Effects) {
    guard role == .leader else { return }
    effects.freshEndpoints.append(ownEndpoints.current)
  }
}
