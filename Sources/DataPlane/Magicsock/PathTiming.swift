// SPDX-License-Identifier: Apache-2.0

import Timing

/// How long things last and how often they happen while paths are found and kept.
///
/// - Source: `Documentation/Protocols/disco.md`, rules.
enum PathTiming {
  /// How often the best path is pinged while the session is active.
  static let heartbeat = Duration.seconds(3)
  /// How long after the last outgoing packet a session is active.
  static let session = Duration.seconds(45)
  /// How long a pong makes a path trusted.
  static let trust = Duration.milliseconds(6500)
  /// How long an outgoing ping waits for its pong.
  static let ping = Duration.seconds(5)
  /// How often one candidate is pinged in discovery.
  static let candidatePing = Duration.seconds(5)
  /// How often a candidate is pinged because the peer shows, by a ping, that it may now work.
  static let pingBack = Duration.seconds(1)
  /// How often a trusted path is doubted because the peer seems to be elsewhere.
  static let doubt = Duration.seconds(1)
  /// How often a better direct path is looked for while one works.
  static let upgrade = Duration.seconds(60)
  /// The latency below which no better path is looked for.
  static let goodEnough = Duration.milliseconds(5)
  /// How old our own endpoints may be in a call-me-maybe.
  static let endpointsFresh = Duration.seconds(27)
  /// How long a chosen endpoint of a peer without discovery is kept before another is tried.
  static let plainChoice = Duration.seconds(1)
  /// How long a packet from a peer without discovery confirms its endpoint.
  static let plainTrust = Duration.seconds(5)
  /// How long a confirmed endpoint of a peer without discovery is preferred to untried ones.
  static let plainMemory = Duration.seconds(30)
  /// How long a peer with which nothing happens is remembered to have been talked with.
  static let memory = Duration.seconds(600)
  /// The wait between two looks at the network while a portal stands before it.
  static let portalRefresh = Duration.seconds(10)
  /// How often a peer relay is looked for while there is no path to trust.
  static let relaySearch = Duration.seconds(30)
  /// How long a peer relay has to answer a request.
  static let relayRequest = Duration.seconds(10)
  /// When a request that got no answer is repeated, once.
  static let relayRequestRepeat = Duration.seconds(3)
  /// How long a handshake with a peer relay may take.
  static let relayHandshake = Duration.seconds(30)
  /// After which time a message of that handshake is repeated first; then after twice that, and so on.
  static let relayRepeat = Duration.seconds(1)
  /// The shortest and longest wait between two looks at our own endpoints.
  static let endpointRefresh = (least: 20_000, most: 26_000)
}

/// What is bounded, and by how much.
enum PathLimits {
  /// How many candidates a peer has.
  static let candidates = 100
  /// How many pings to one peer wait for pongs.
  static let outstandingPings = 256
  /// How many endpoints are known to be one peer's.
  static let mappedEndpoints = 64
  /// How many shared keys are kept.
  static let boxes = 4096
  /// How many calls a peer may make at once, and how many a second in the long run.
  static let calls = (burst: 10, perSecond: 1)
  /// The capability version from which on nodes know peer relays.
  static let relayCapability = 121
  /// How many peer relays are asked for one peer.
  static let relayCandidates = 16
  /// How many requests to peer relays wait for answers.
  static let relayRequests = 1024
  /// How many handshakes with peer relays are under way.
  static let relayHandshakes = 1024
  /// At how many of its addresses a peer relay is looked for.
  static let relayEndpoints = 32
  /// How often messages of a handshake are repeated.
  static let relayRepeats = 4
  /// How many pings one handshake sends.
  static let relayPings = 10
  /// The largest UDP payload that IPv4 carries.
  static let pingBytes = 65_535 - 28
  /// How many of our own endpoints are kept per address.
  static let endpointsPerAddress = 6
  /// How many of our own endpoints are told.
  static let ownEndpoints = 64
}
