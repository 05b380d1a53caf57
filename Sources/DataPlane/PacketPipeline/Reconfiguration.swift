// SPDX-License-Identifier: Apache-2.0

import Addressing
import Keys
package import Magicsock
import PacketFilter
package import Timing
import WireGuard

/// What changes a pipeline from outside: configuration, network, answers to what it asked for.
extension Pipeline {
  /// Makes `configuration` true, by difference to what it was told this way before.
  ///
  /// For those who have one thread; others let `ToldConfiguration` compare on theirs.
  package mutating func apply(
    _ configuration: PipelineConfiguration,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    apply(told.change(to: configuration), at: moment, into: &effects)
  }

  /// Makes a change.
  ///
  /// Takes time in proportion to the peers that changed. Flows live on, and no packet waits for rules
  /// to be compiled: they come compiled.
  package mutating func apply(
    _ change: PipelineChange,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    let configuration = change.rest
    recalled = nil
    if configuration.nodeKey != nodeKey {
      nodeKey = configuration.nodeKey
      tunnel.setPrivateKey(nodeKey)
      waitingHandshakes = [:]
    }
    counters.peersReconfigured &+= UInt64(change.changed.count + change.removed.count)
    counters.peersRefused = UInt64(change.refused)
    if peers.count == 0 { reserve(change.peerCount) }
    applyPeers(change, at: moment)
    addresses = configuration.addresses
    peerAPIPort = configuration.peerAPIPort
    // Flows that began while shields were up must not live on when they go down, or the reverse.
    if configuration.filter.isShieldsUp != filter.isShieldsUp { flows = FlowTable() }
    filter = configuration.filter
    jailedFilter = configuration.jailedFilter
    let pathConfiguration = MagicSocket.Configuration(
      nodeKey: configuration.nodeKey.publicKey,
      relayMap: configuration.relayMap,
      fixedHomeRegion: configuration.fixedHomeRegion,
      staticEndpoints: configuration.staticEndpoints,
      isControlConnected: configuration.isControlConnected,
      peerRelays: configuration.peerRelays,
      usesPeerRelays: configuration.usesPeerRelays,
      servesPeerRelay: configuration.peerRelay != nil
    )
    paths.change(
      change.changed.map { ($0.id, $0.peer.path) },
      removing: change.removed,
      and: pathConfiguration,
      at: moment.now,
      into: &pathEffects
    )
    settle(at: moment, into: &effects)
  }

  /// Makes room, so that what is added first moves nothing.
  private mutating func reserve(_ count: Int) {
    peers.reserve(count)
    tunnel.reserve(peers: count)
    paths.reserve(peers: count)
  }

  /// How many peers are awake in the tunnel and in path finding, and how often any was called in time.
  package var activity: (inTunnel: Int, inPaths: Int, calls: UInt64) {
    let calls = tunnel.counters.timeoutsHandled &+ paths.counters.timeoutsHandled
    return (tunnel.wakefulCount, paths.wakefulCount, calls)
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

  private mutating func applyPeers(_ change: PipelineChange, at moment: Moment) {
    for id in change.removed { forget(id) }
    for (id, peer) in change.changed {
      if let facts = peers[id], facts.nodeKey != peer.path.nodeKey { forget(id) }
      let told = peer.path.discoKey
      let known = peers[id]
      if let known, Self.hasRestarted(known, told) { tunnel.resetSession(id) }
      tunnel.setPeer(id, peer.tunnel, at: moment.now, into: &tunnelEffects)
      // An unchanged key in the netmap does not undo a newer one that the peer told itself.
      let isKeyUnchanged = known?.toldDiscoKey == told
      peers[id] = PeerFacts(
        nodeKey: peer.path.nodeKey,
        toldDiscoKey: told,
        discoKey: isKeyUnchanged ? known?.discoKey ?? told : told,
        addresses: peer.addresses,
        isJailed: peer.isJailed,
        isWireGuardOnly: peer.path.isWireGuardOnly,
        carriesECN: known?.carriesECN ?? false
      )
    }
  }

  private mutating func forget(_ id: PeerID) {
    tunnel.removePeer(id)
    peers[id] = nil
    waitingHandshakes[id] = nil
  }

  /// Whether a peer's new discovery key says that it lost its sessions.
  ///
  /// Not if the netmap only now tells a key that the peer itself told over a working session.
  private static func hasRestarted(_ facts: PeerFacts, _ told: DiscoKey) -> Bool {
    !facts.toldDiscoKey.isZero && !told.isZero && told != facts.toldDiscoKey
      && told != facts.discoKey
  }
}
