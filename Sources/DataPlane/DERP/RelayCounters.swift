// SPDX-License-Identifier: Apache-2.0

/// What a relay has done since it started.
public struct RelayCounters: Hashable, Sendable {
  /// Clients that were admitted.
  public var accepts = 0
  /// Connections that were closed because the same client came again.
  public var replaced = 0
  /// Clients here now.
  public var clients = 0
  /// Clients here now that call this relay their home.
  public var homeClients = 0
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
  /// Packets for clients that are not here.
  public var droppedUnknownDestination = 0
  /// Packets that fell off a full queue.
  public var droppedQueueFull = 0
  /// Packets that waited for a client that left.
  public var droppedGone = 0
  /// Pings that came.
  public var pings = 0
  /// Pings that came while a pong was still waiting, and were ignored.
  public var ignoredPings = 0
  /// Frames that told of clients that have left.
  public var peerGoneDisconnected = 0
  /// Frames that told of clients that are not here.
  public var peerGoneNotHere = 0
  /// Tellings of departures that nobody was told, for want of room.
  public var forgottenDepartures = 0
  /// Clients closed for breaking the protocol.
  public var violations = 0

  /// Nothing yet.
  public init() {}
}
