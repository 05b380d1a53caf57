// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import DERP
package import Keys
package import Magicsock
package import PacketFilter
package import WireGuard

/// Everything that follows for the data plane from the netmap and the preferences.
package struct PipelineConfiguration: Sendable {
  /// One peer.
  package struct Peer: Sendable {
    /// Its key and the prefixes it may use.
    package var tunnel: PeerConfiguration
    /// How it may be reached.
    package var path: PeerPathConfiguration
    /// Its own addresses, in the order of the netmap.
    package var addresses: [IPAddress]
    /// Whether only answers are taken from it.
    package var isJailed: Bool

    /// A peer.
    package init(
      tunnel: PeerConfiguration,
      path: PeerPathConfiguration,
      addresses: [IPAddress],
      isJailed: Bool = false
    ) {
      (self.tunnel, self.path) = (tunnel, path)
      (self.addresses, self.isJailed) = (addresses, isJailed)
    }
  }

  /// This node's key.
  package var nodeKey: NodePrivateKey
  /// This node's own addresses.
  package var addresses: [IPAddress]
  /// The peers.
  package var peers: [PeerID: Peer]
  /// The relays.
  package var relayMap: RelayMap
  /// The home relay, where it is not to be chosen by measurement.
  package var fixedHomeRegion: RegionID?
  /// Endpoints that the administrator gave.
  package var staticEndpoints: [Endpoint]
  /// Whether the coordination server is listening.
  package var isControlConnected: Bool
  /// What may come in; `.none` until one was received.
  package var filter: Filter
  /// What may come in from jailed peers.
  package var jailedFilter: Filter
  /// The port of the peer API, told in pongs; 0 when there is none.
  package var peerAPIPort: UInt16
  /// The peer relays that this node may ask.
  package var peerRelays: [PeerRelayCandidate] = []
  /// Whether this node meets peers at peer relays at all.
  package var usesPeerRelays = true
  /// What this node is to be as a peer relay; nil when it is none.
  package var peerRelay: PeerRelaySettings?

  /// What holds for a node that has not heard from a coordination server.
  package init(
    nodeKey: NodePrivateKey,
    addresses: [IPAddress] = [],
    peers: [PeerID: Peer] = [:],
    relayMap: RelayMap = RelayMap(),
    fixedHomeRegion: RegionID? = nil,
    staticEndpoints: [Endpoint] = [],
    isControlConnected: Bool = true,
    filter: Filter = .none,
    jailedFilter: Filter = .none,
    peerAPIPort: UInt16 = 0
  ) {
    (self.nodeKey, self.addresses, self.peers) = (nodeKey, addresses, peers)
    (self.relayMap, self.filter, self.jailedFilter) = (relayMap, filter, jailedFilter)
    (self.fixedHomeRegion, self.staticEndpoints) = (fixedHomeRegion, staticEndpoints)
    (self.isControlConnected, self.peerAPIPort) = (isControlConnected, peerAPIPort)
  }
}

/// What is asked of a node that carries packets for others.
package struct PeerRelaySettings: Hashable, Sendable {
  /// The UDP port; 0 for any.
  package var port: UInt16
  /// Where it is reached besides what it finds out itself.
  package var staticEndpoints: [Endpoint]

  /// A relay on a port.
  package init(port: UInt16, staticEndpoints: [Endpoint] = []) {
    (self.port, self.staticEndpoints) = (port, staticEndpoints)
  }
}
