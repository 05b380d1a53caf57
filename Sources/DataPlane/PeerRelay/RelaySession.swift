// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Disco
import Keys
import Timing

/// A place where two clients meet, and how far each of them has come.
struct RelaySession: Sendable {
  /// One of the two clients.
  struct Client: Sendable {
    let key: DiscoKey
    let box: NaClBox
    /// The generation of the bind that was challenged last; 0 when no answer is expected.
    var generation: UInt32 = 0
    /// Where it proved to receive; nil until it has.
    var endpoint: Endpoint?
    var lastHeard = Instant(nanoseconds: .min)
    /// What it sent and was carried on.
    var packets: UInt64 = 0
    var bytes: UInt64 = 0
  }

  let network: UInt32
  let lamportID: UInt64
  let allocatedAt: Instant
  var first: Client
  var second: Client

  /// Whether both clients proved where they receive.
  var isBound: Bool { first.endpoint != nil && second.endpoint != nil }

  /// Whether it has ended.
  func isOver(at now: Instant) -> Bool {
    guard isBound else { return now - allocatedAt > RelayTiming.bind }
    return now - first.lastHeard > RelayTiming.steadyState
      || now - second.lastHeard > RelayTiming.steadyState
  }
}

/// How long things last at a peer relay.
///
/// - Source: `Documentation/Protocols/disco.md`, peer relays.
enum RelayTiming {
  /// In which both clients must bind.
  static let bind = Duration.seconds(30)
  /// After so much silence of either client a session ends.
  static let steadyState = Duration.seconds(300)
  /// How long one secret is used for challenges; the one before it is still accepted.
  static let secret = Duration.seconds(120)
  /// How often sessions that are over are looked for.
  static let sweep = Duration.seconds(30)
  /// The shortest and longest wait between two looks at where the relay is reached, in milliseconds.
  static let discovery = (least: 20_000, most: 26_000)
  /// How long an address that a STUN server saw is told.
  static let sighting = Duration.seconds(60)
}

/// What is bounded at a peer relay, and by how much.
enum RelayLimits {
  /// How many sessions there are at once.
  static let sessions = 8192
  /// How many of them one client may have.
  static let sessionsPerClient = 512
  /// How many own addresses are told.
  static let endpoints = 32
  /// How many STUN servers are asked at a time.
  static let servers = 4
}
