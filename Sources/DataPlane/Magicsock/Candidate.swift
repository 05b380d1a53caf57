// SPDX-License-Identifier: Apache-2.0

import Addressing
import Disco
import Timing

/// An endpoint at which a peer may be reachable, and how we came to think so.
struct Candidate: Sendable {
  let endpoint: Endpoint
  /// Whether the coordination server lists it.
  var isInNetmap = false
  /// Whether the latest call-me-maybe of the peer lists it.
  var isCalled = false
  /// When the peer last pinged from it.
  var lastHeard: Instant?
  /// That ping.
  var lastHeardPing: PingID?
  /// When it was last pinged in discovery.
  var lastPing: Instant?
  /// When it was last pinged because the peer had pinged from it.
  var lastPingBack: Instant?

  init(_ endpoint: Endpoint) { self.endpoint = endpoint }

  /// Whether nothing speaks for it any more.
  func isStale(at now: Instant) -> Bool {
    guard !isInNetmap, !isCalled else { return false }
    return lastHeard.map { now - $0 > PathTiming.session } ?? true
  }

  /// When discovery may ping it.
  var nextPing: Instant { lastPing.map { $0 + PathTiming.candidatePing } ?? .distantPast }
}

/// A ping that waits for its pong.
struct OutstandingPing: Sendable {
  var id: PingID
  var target: PacketSource
  var sentAt: Instant
  var size: Int
  /// The ping that somebody asked for, where this is one.
  var request: UInt64?

  var deadline: Instant { sentAt + PathTiming.ping }

  /// Whether a pong that came from `source` may answer it: each way by its own.
  func mayBeAnswered(from source: PacketSource) -> Bool {
    switch (target, source) {
    case (.direct, .direct), (.relay, .relay): true
    case (.peerRelay(_, let one), .peerRelay(_, let other)): one == other
    default: false
    }
  }
}

extension Instant {
  /// Before everything.
  static let distantPast = Instant(nanoseconds: .min)
  /// After everything.
  static let distantFuture = Instant(nanoseconds: .max)
}
