// SPDX-License-Identifier: Apache-2.0

package import DERP
package import Keys
package import Magicsock
package import Timing
package import WireGuard

/// What the data plane knows about one peer, for people to see.
package struct PeerFigures: Sendable {
  /// By which path it is reached.
  package var path: PathStatus?
  /// Its session: last handshake, bytes.
  package var tunnel: PeerStatus?
  /// The discovery key that it uses.
  package var discoKey: DiscoKey
}

/// What the data plane knows, at one moment.
package struct PipelineStatus: Sendable {
  /// The peers.
  package var peers: [PeerID: PeerFigures]
  /// What passed and what fell off.
  package var counters: Counters
  /// What path finding did and dropped.
  package var pathCounters: PathCounters
  /// Where this node may be reached.
  package var endpoints: [OwnEndpoint]
  /// The home relay.
  package var homeRegion: RegionID?
  /// What the network last looked like.
  package var netcheck: NetcheckReport?
}

extension Pipeline {
  /// What is known now.
  ///
  /// Takes time in proportion to the number of peers.
  package func status(at now: Instant) -> PipelineStatus {
    var figures: [PeerID: PeerFigures] = [:]
    figures.reserveCapacity(peers.count)
    for (id, facts) in peers.all {
      figures[id] = PeerFigures(
        path: paths.status(of: id, at: now),
        tunnel: tunnel.status(of: id),
        discoKey: facts.discoKey
      )
    }
    return PipelineStatus(
      peers: figures,
      counters: counters,
      pathCounters: paths.counters,
      endpoints: paths.endpoints,
      homeRegion: paths.homeRegion,
      netcheck: paths.report
    )
  }
}
