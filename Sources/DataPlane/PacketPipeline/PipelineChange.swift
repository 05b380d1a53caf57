// SPDX-License-Identifier: Apache-2.0

package import Keys
import Magicsock
import WireGuard

/// What must be done to a pipeline that was told one configuration for another to hold.
package struct PipelineChange: Sendable {
  /// Peers that are new or have changed.
  package var changed: [(id: PeerID, peer: PipelineConfiguration.Peer)] = []
  /// Peers that are gone.
  package var removed: [PeerID] = []
  /// How many peers there are then.
  package var peerCount = 0
  /// How many peers there are no places for.
  package var refused = 0
  /// Everything else; it holds no peers.
  package var rest: PipelineConfiguration
}

/// What a pipeline was told last, so that it need be told differences only.
///
/// Belongs to whoever tells, not to the thread that is told: comparing takes time in proportion to the
/// number of peers, and what comes of it only to that of the changes. Of each peer a digest is kept,
/// whose seed nobody knows.
package struct ToldConfiguration: Sendable {
  /// The most peers of one node; those with the greatest numbers are left out.
  package static let peersMaximum = 65_536

  private struct Digest: Equatable, Sendable {
    var first: Int
    var second: Int

    init(_ peer: PipelineConfiguration.Peer) {
      func hash(_ salt: UInt8) -> Int {
        var hasher = Hasher()
        hasher.combine(salt)
        hasher.combine(peer.tunnel)
        hasher.combine(peer.path)
        hasher.combine(peer.addresses)
        hasher.combine(peer.isJailed)
        return hasher.finalize()
      }
      (first, second) = (hash(1), hash(2))
    }
  }

  private var peers: [PeerID: Digest] = [:]

  /// Nothing was told yet.
  package init() {}

  /// Takes note that `configuration` is told, and says what is new in it.
  ///
  /// Of two peers with one node key the lower number counts.
  package mutating func change(to configuration: PipelineConfiguration) -> PipelineChange {
    var rest = configuration
    rest.peers = [:]
    var change = PipelineChange(rest: rest)
    var keys: Set<NodeKey> = []
    var wanted: [PeerID: Digest] = [:]
    wanted.reserveCapacity(min(configuration.peers.count, Self.peersMaximum))
    for id in configuration.peers.keys.sorted() {
      guard let peer = configuration.peers[id], keys.insert(peer.path.nodeKey).inserted else {
        continue
      }
      guard wanted.count < Self.peersMaximum else {
        change.refused += 1
        continue
      }
      let digest = Digest(peer)
      wanted[id] = digest
      if peers[id] != digest { change.changed.append((id, peer)) }
    }
    change.removed = peers.keys.filter { wanted[$0] == nil }.sorted()
    change.peerCount = wanted.count
    peers = wanted
    return change
  }
}
