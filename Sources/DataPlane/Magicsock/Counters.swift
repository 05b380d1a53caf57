// SPDX-License-Identifier: Apache-2.0

/// What path finding did, and what it dropped.
public struct PathCounters: Hashable, Sendable {
  /// Discovery pings sent.
  public internal(set) var pingsSent: UInt64 = 0
  /// Pongs sent.
  public internal(set) var pongsSent: UInt64 = 0
  /// Pongs that answered a ping of ours.
  public internal(set) var pongsReceived: UInt64 = 0
  /// Calls sent.
  public internal(set) var callsSent: UInt64 = 0
  /// Calls honoured.
  public internal(set) var callsReceived: UInt64 = 0
  /// Dropped: discovery from a key that no peer has.
  public internal(set) var unknownSender: UInt64 = 0
  /// Dropped: discovery that did not open.
  public internal(set) var notAuthentic: UInt64 = 0
  /// Dropped: discovery that opened and made no sense.
  public internal(set) var malformed: UInt64 = 0
  /// Dropped: pings seen before.
  public internal(set) var duplicatePings: UInt64 = 0
  /// Dropped: pongs to no ping of ours, or to one given up.
  public internal(set) var stalePongs: UInt64 = 0
  /// Dropped: calls that did not come over a relay from their sender.
  public internal(set) var misroutedCalls: UInt64 = 0
  /// Dropped: calls faster than a peer may make them.
  public internal(set) var excessCalls: UInt64 = 0
  /// Dropped: messages of a kind that this node does not serve.
  public internal(set) var unsupported: UInt64 = 0
  /// Dropped: STUN that answers no request of ours.
  public internal(set) var strayResponses: UInt64 = 0
  /// Candidates given up or refused because a peer had too many.
  public internal(set) var excessCandidates: UInt64 = 0
  /// Pings forgotten because too many to one peer were waiting.
  public internal(set) var excessPings: UInt64 = 0
  /// Requests for a network at a peer relay sent, repeated ones included.
  public internal(set) var relayRequestsSent: UInt64 = 0
  /// Requests for a network here that were refused: no relay, or not permitted.
  public internal(set) var relayRequestsRefused: UInt64 = 0
  /// Calls to a peer relay sent.
  public internal(set) var relayCallsSent: UInt64 = 0
  /// Calls to a peer relay honoured.
  public internal(set) var relayCallsReceived: UInt64 = 0
  /// Paths through peer relays found.
  public internal(set) var relayPathsFound: UInt64 = 0
  /// Dropped: networks at peer relays that were not asked for or are not ours.
  public internal(set) var strayAllocations: UInt64 = 0
  /// Packets that were larger than the path to their peer carries, or may carry.
  public internal(set) var tooLargeForPath: UInt64 = 0
  /// Packets for a peer that is unknown, expired or has no path.
  public internal(set) var unroutable: UInt64 = 0
  /// Calls to peers because something of theirs was due, or might have been.
  public internal(set) var timeoutsHandled: UInt64 = 0

  /// Nothing yet.
  public init() {}

  /// Adds what another shard counted.
  public mutating func merge(_ other: PathCounters) {
    pingsSent &+= other.pingsSent
    pongsSent &+= other.pongsSent
    pongsReceived &+= other.pongsReceived
    callsSent &+= other.callsSent
    callsReceived &+= other.callsReceived
    unknownSender &+= other.unknownSender
    notAuthentic &+= other.notAuthentic
    malformed &+= other.malformed
    duplicatePings &+= other.duplicatePings
    stalePongs &+= other.stalePongs
    misroutedCalls &+= other.misroutedCalls
    excessCalls &+= other.excessCalls
    unsupported &+= other.unsupported
    strayResponses &+= other.strayResponses
    excessCandidates &+= other.excessCandidates
    excessPings &+= other.excessPings
    relayRequestsSent &+= other.relayRequestsSent
    relayRequestsRefused &+= other.relayRequestsRefused
    relayCallsSent &+= other.relayCallsSent
    relayCallsReceived &+= other.relayCallsReceived
    relayPathsFound &+= other.relayPathsFound
    strayAllocations &+= other.strayAllocations
    tooLargeForPath &+= other.tooLargeForPath
    unroutable &+= other.unroutable
    timeoutsHandled &+= other.timeoutsHandled
  }
}
