// SPDX-License-Identifier: Apache-2.0

import Addressing
import Keys
package import Magicsock
import PacketFilter
package import Timing
import WireGuard

/// What changes a pipeline from outside: configuration, network, answers to what it asked for.
extension Pipeline {
  /// Makes `configuration` true, by difference.
  package mutating func apply(
    _ configuration: PipelineConfiguration,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    recalled = nil
    if configuration.nodeKey != nodeKey {
      nodeKey = configuration.nodeKey
      tunnel.setPrivateKey(nodeKey)
      waitingHandshakes = [:]
    }
    applyPeers(configuration.peers, at: moment)
    addresses = configuration.addresses
    peerAPIPort = configuration.peerAPIPort
    // Flows that began while shields were up must not live on when they go down, or the reverse.
    if configuration.filter.isShieldsUp != filter.isShieldsUp { flows = FlowTable() }
    filter = configuration.filter
    jailedFilter = configuration.jailedFilter
    let pathConfiguration = MagicSocket.Configuration(
      nodeKey: configuration.nodeKey.publicKey,
      peers: configuration.peers.mapValues(\.path),
      relayMap: configuration.relayMap,
      fixedHomeRegion: configuration.fixedHomeRegion,
      staticEndpoints: configuration.staticEndpoints,
      isControlConnected: configuration.isControlConnected
    )
    paths.apply(pathConfiguration, at: moment.now, into: &pathEffects)
    settle(at: moment, into: &effects)
  }

  /// Gives path finding an event that it alone understands, and does what follows.
  package mutating func withPaths(
    at moment: Moment,
    into effects: inout PipelineEffects,
    _ event: (inout MagicSocket, Instant, inout Magicsock.Effects) -> Void
  ) {
    recalled = nil
    event(&paths, moment.now, &pathEffects)
    settle(at: moment, into: &effects)
  }

  private mutating func applyPeers(
    _ wanted: [PeerID: PipelineConfiguration.Peer],
    at moment: Moment
  ) {
    for (id, facts) in peers where wanted[id]?.path.nodeKey != facts.nodeKey {
      tunnel.removePeer(id)
      peers[id] = nil
      waitingHandshakes[id] = nil
    }
    for (id, peer) in wanted {
      let told = peer.path.discoKey
      if let facts = peers[id], Self.hasRestarted(facts, told) {
        tunnel.resetSession(id)
      }
      tunnel.setPeer(id, peer.tunnel, at: moment.now, into: &tunnelEffects)
      peers[id] = PeerFacts(
        nodeKey: peer.path.nodeKey,
        toldDiscoKey: told,
        discoKey: told,
        addresses: peer.addresses,
        isJailed: peer.isJailed,
        isWireGuardOnly: peer.path.isWireGuardOnly,
        carriesECN: peers[id]?.carriesECN ?? false
      )
    }
  }

  /// Whether a peer's new discovery key says that it lost its sessions.
  ///
  /// Not if the netmap only now tells a key that the peer itself told over a working session.
  private static func hasRestarted(_ facts: PeerFacts, _ told: DiscoKey) -> Bool {
    !facts.toldDiscoKey.isZero && !told.isZero && told != facts.toldDiscoKey
      && told != facts.discoKey
  }
}
