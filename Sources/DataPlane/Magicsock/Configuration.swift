// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import DERP
public import Keys

/// What path finding needs to know about a peer.
public struct PeerPathConfiguration: Hashable, Sendable {
  /// Its WireGuard key, by which relays know it.
  public var nodeKey: NodeKey
  /// Its discovery key; zero when it has none.
  public var discoKey: DiscoKey
  /// Where the coordination server says it may be reached.
  public var endpoints: [Endpoint]
  /// The region of its home relay.
  public var homeRegion: RegionID?
  /// Whether it speaks plain WireGuard: no discovery, no relay.
  public var isWireGuardOnly: Bool
  /// The capability version it said.
  public var capabilityVersion: Int
  /// Its addresses in the tailnet.
  public var addresses: [IPAddress]
  /// Whether its key has expired: nothing is sent to it.
  public var isExpired: Bool
  /// Whether it may ask for a network at this node's peer relay.
  public var mayAllocate: Bool

  /// A peer.
  public init(
    nodeKey: NodeKey,
    discoKey: DiscoKey,
    endpoints: [Endpoint] = [],
    homeRegion: RegionID? = nil,
    isWireGuardOnly: Bool = false,
    capabilityVersion: Int = 0,
    addresses: [IPAddress] = [],
    isExpired: Bool = false,
    mayAllocate: Bool = false
  ) {
    (self.nodeKey, self.discoKey, self.endpoints) = (nodeKey, discoKey, endpoints)
    (self.homeRegion, self.isWireGuardOnly) = (homeRegion, isWireGuardOnly)
    (self.capabilityVersion, self.addresses) = (capabilityVersion, addresses)
    (self.isExpired, self.mayAllocate) = (isExpired, mayAllocate)
  }
}

extension MagicSocket {
  /// What path finding works with: applied by difference.
  public struct Configuration: Hashable, Sendable {
    /// This node's WireGuard key.
    public var nodeKey: NodeKey
    /// The peers.
    public var peers: [PeerID: PeerPathConfiguration]
    /// The relays.
    public var relayMap: RelayMap
    /// The home relay, where it is not to be chosen by measurement.
    public var fixedHomeRegion: RegionID?
    /// Endpoints that the administrator gave.
    public var staticEndpoints: [Endpoint]
    /// Whether the coordination server is listening; without it the home relay stays.
    public var isControlConnected: Bool
    /// The peer relays that this node may ask.
    public var peerRelays: [PeerRelayCandidate]
    /// Whether this node meets peers at peer relays at all.
    public var usesPeerRelays: Bool
    /// Whether this node is a peer relay.
    public var servesPeerRelay: Bool

    /// A configuration.
    public init(
      nodeKey: NodeKey,
      peers: [PeerID: PeerPathConfiguration] = [:],
      relayMap: RelayMap = RelayMap(),
      fixedHomeRegion: RegionID? = nil,
      staticEndpoints: [Endpoint] = [],
      isControlConnected: Bool = true,
      peerRelays: [PeerRelayCandidate] = [],
      usesPeerRelays: Bool = true,
      servesPeerRelay: Bool = false
    ) {
      (self.nodeKey, self.peers, self.relayMap) = (nodeKey, peers, relayMap)
      (self.fixedHomeRegion, self.staticEndpoints) = (fixedHomeRegion, staticEndpoints)
      self.isControlConnected = isControlConnected
      (self.peerRelays, self.usesPeerRelays) = (peerRelays, usesPeerRelays)
      self.servesPeerRelay = servesPeerRelay
    }
  }
}

/// How this node is attached to the network, as the driver sees it.
public struct LocalNetwork: Hashable, Sendable {
  /// The addresses of the interfaces that are up; unfiltered.
  public var addresses: [IPAddress]
  /// The port of the IPv4 socket; nil when there is none.
  public var portV4: UInt16?
  /// The port of the IPv6 socket; nil when there is none.
  public var portV6: UInt16?
  /// The port that the administrator chose; 0 for any.
  public var configuredPort: UInt16
  /// Whether any link is up.
  public var isUp: Bool

  /// An attachment.
  public init(
    addresses: [IPAddress],
    portV4: UInt16?,
    portV6: UInt16?,
    configuredPort: UInt16 = 0,
    isUp: Bool = true
  ) {
    (self.addresses, self.portV4, self.portV6) = (addresses, portV4, portV6)
    (self.configuredPort, self.isUp) = (configuredPort, isUp)
  }

  /// The addresses at which others on the same networks may reach the sockets.
  package var localEndpoints: [Endpoint] { OwnEndpoints.local(self) }
}
