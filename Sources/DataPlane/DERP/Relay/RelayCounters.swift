// SPDX-License-Identifier: Apache-2.0

import Timing

/// What a relay has done since it started.
public struct RelayCounters: Hashable, Sendable {
  /// Connections of clients that were admitted.
  public var accepts = 0
  /// Keys of clients here now.
  public var clients = 0
  /// Connections of clients here now that call this relay their home.
  public var homeClients = 0
  /// Times that a client made this relay its home, or another, after its first seconds.
  public var homeMovesIn = 0
  /// Times that a client made another relay its home after its first seconds.
  public var homeMovesOut = 0
  /// Connections of keys that were connected already.
  public var duplicates = 0
  /// Packets that came for another client, the disco ones among them.
  public var packetsReceived = 0
  /// Discovery packets that came.
  public var discoPacketsReceived = 0
  /// Bytes of packets that came.
  public var bytesReceived = 0
  /// Packets that were handed on.
  public var packetsSent = 0
  /// Bytes of packets that were handed on.
  public var bytesSent = 0
  /// Packets that were not handed on, by the reason.
  public var dropped = RelayDrops()
  /// Packets that another relay of the mesh passed on to us.
  public var forwardedIn = 0
  /// Packets that were passed on to another relay of the mesh.
  public var forwardedOut = 0
  /// Keys that came to be reachable through several relays of the mesh.
  public var severalForwarders = 0
  /// Look-ups that had to take the lock of the table of all keys.
  public var peerLookupCacheMisses = 0
  /// Pings that came.
  public var pings = 0
  /// Pings that came while a pong was still waiting, and were ignored.
  public var ignoredPings = 0
  /// Pongs that were sent.
  public var pongs = 0
  /// Frames that told of clients that have left.
  public var peerGoneDisconnected = 0
  /// Frames that told of clients that are not here.
  public var peerGoneNotHere = 0
  /// Tellings of departures that nobody was told, for want of room.
  public var forgottenDepartures = 0
  /// Frames of kinds that nobody knows, or that are not for a relay, which were passed over.
  public var unknownFrames = 0
  /// Times that a client was not read from for a while, because it sent more than it may.
  public var rateLimitWaits = 0
  /// Clients closed for breaking the protocol.
  public var violations = 0
  /// How long packets waited before they were handed to the connection that they are for.
  public var queueDelay = RelayDelays()

  /// Nothing yet.
  public init() {}

  /// Packets for clients that are not here.
  public var droppedUnknownDestination: Int { dropped.packets(for: .unknownDestination) }
  /// Packets that fell off a full queue.
  public var droppedQueueFull: Int { dropped.packets(for: .queueFull) }
  /// Packets that waited for a client that left.
  public var droppedGone: Int { dropped.packets(for: .goneDisconnected) }

  /// Adds what was done in a while.
  public static func += (sum: inout RelayCounters, more: RelayCounters) {
    sum.accepts += more.accepts
    sum.clients += more.clients
    sum.homeClients += more.homeClients
    sum.homeMovesIn += more.homeMovesIn
    sum.homeMovesOut += more.homeMovesOut
    sum.duplicates += more.duplicates
    sum.packetsReceived += more.packetsReceived
    sum.discoPacketsReceived += more.discoPacketsReceived
    sum.bytesReceived += more.bytesReceived
    sum.packetsSent += more.packetsSent
    sum.bytesSent += more.bytesSent
    sum.dropped += more.dropped
    sum.forwardedIn += more.forwardedIn
    sum.forwardedOut += more.forwardedOut
    sum.severalForwarders += more.severalForwarders
    sum.peerLookupCacheMisses += more.peerLookupCacheMisses
    sum.pings += more.pings
    sum.ignoredPings += more.ignoredPings
    sum.pongs += more.pongs
    sum.peerGoneDisconnected += more.peerGoneDisconnected
    sum.peerGoneNotHere += more.peerGoneNotHere
    sum.forgottenDepartures += more.forgottenDepartures
    sum.unknownFrames += more.unknownFrames
    sum.rateLimitWaits += more.rateLimitWaits
    sum.violations += more.violations
    sum.queueDelay += more.queueDelay
  }
}

/// Packets that a relay did not hand on.
public struct RelayDrops: Hashable, Sendable {
  /// Why.
  public enum Reason: Int, Hashable, Sendable, CaseIterable {
    /// The client is not here.
    case unknownDestination
    /// Another relay passed it on for a client that is not here.
    case unknownDestinationOnForward
    /// It waited for a client that left.
    case goneDisconnected
    /// It fell off a full queue.
    case queueFull
    /// Connections with the client's key fight about it.
    case duplicateClient
  }

  /// Packets and bytes, for discovery and for others, of each reason; empty until one was dropped.
  private var counts: [Int] = []

  init() {}

  /// How many packets were dropped for a reason.
  public func packets(for reason: Reason) -> Int {
    packets(for: reason, isDisco: true) + packets(for: reason, isDisco: false)
  }

  /// How many packets of a kind were dropped for a reason.
  public func packets(for reason: Reason, isDisco: Bool) -> Int {
    counts.isEmpty ? 0 : counts[Self.index(reason, isDisco)]
  }

  /// How many bytes of a kind were dropped for a reason.
  public func bytes(for reason: Reason, isDisco: Bool) -> Int {
    counts.isEmpty ? 0 : counts[Self.index(reason, isDisco) + 1]
  }

  mutating func note(_ reason: Reason, _ isDisco: Bool, _ loss: RelayQueue.Loss) {
    guard loss.packets > 0 else { return }
    if counts.isEmpty { counts = [Int](repeating: 0, count: Reason.allCases.count * 4) }
    counts[Self.index(reason, isDisco)] += loss.packets
    counts[Self.index(reason, isDisco) + 1] += loss.bytes
  }

  private static func index(_ reason: Reason, _ isDisco: Bool) -> Int {
    reason.rawValue * 4 + (isDisco ? 0 : 2)
  }

  static func += (sum: inout RelayDrops, more: RelayDrops) {
    if more.counts.isEmpty { return }
    if sum.counts.isEmpty {
      sum.counts = more.counts
    } else {
      for index in sum.counts.indices { sum.counts[index] += more.counts[index] }
    }
  }
}

/// How many waits were of which length.
public struct RelayDelays: Hashable, Sendable {
  /// Where one class of waits ends and the next begins, in microseconds; the last has no end.
  public static let boundsMicroseconds = [
    50, 100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
  ]

  /// How many waits were of each class; empty until there was one.
  public private(set) var counts: [Int] = []
  /// All waits together, in microseconds.
  public private(set) var totalMicroseconds = 0

  init() {}

  mutating func observe(_ delay: Duration) {
    if counts.isEmpty {
      counts = [Int](repeating: 0, count: Self.boundsMicroseconds.count + 1)
    }
    let microseconds = Int(delay.wholeNanoseconds / 1000)
    totalMicroseconds += microseconds
    var bucket = 0
    while bucket < Self.boundsMicroseconds.count,
      microseconds > Self.boundsMicroseconds[bucket]
    { bucket += 1 }
    counts[bucket] += 1
  }

  static func += (sum: inout RelayDelays, more: RelayDelays) {
    if more.counts.isEmpty { return }
    sum.totalMicroseconds += more.totalMicroseconds
    if sum.counts.isEmpty {
      sum.counts = more.counts
    } else {
      for index in sum.counts.indices { sum.counts[index] += more.counts[index] }
    }
  }
}
