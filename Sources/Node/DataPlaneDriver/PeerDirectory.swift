// SPDX-License-Identifier: Apache-2.0

import Keys
import Magicsock
import PacketPipeline
import Synchronization
import WireGuard

/// Which shard owns the peer with a key, for what arrives at another shard.
///
/// Asked for handshakes, discovery and relayed packets; never for data.
final class PeerDirectory: Sendable {
  private struct State {
    var shards: [NodeKey: Int] = [:]
    /// Keys that the netmap told, and those that peers told themselves.
    var told: [DiscoKey: Set<Int>] = [:]
    var learned: [PeerID: DiscoKey] = [:]
    var relays: Set<NodeKey> = []
  }

  private let state = Mutex(State())
  private let shard: Shard

  init(count: Int) { shard = Shard(0, of: count) }

  /// The shard that owns a peer.
  func owner(of peer: PeerID) -> Int { shard.owner(of: peer) }

  /// The shard that owns the peer with a node key; nil when there is no such peer.
  func owner(of key: NodeKey) -> Int? { state.withLock { $0.shards[key] } }

  /// The shards that own peers with a discovery key: mostly one.
  func owners(of key: DiscoKey) -> Set<Int> {
    state.withLock { state in
      var owners = state.told[key] ?? []
      for (peer, learned) in state.learned where learned == key {
        owners.insert(shard.owner(of: peer))
      }
      return owners
    }
  }

  /// Whether a node is asked to carry packets for this one.
  func isPeerRelay(_ key: NodeKey) -> Bool { state.withLock { $0.relays.contains(key) } }

  /// Takes note of a key that a peer told.
  func learn(_ key: DiscoKey, of peer: PeerID) { state.withLock { $0.learned[peer] = key } }

  /// Takes the peers that there are.
  func apply(_ peers: [PeerID: PipelineConfiguration.Peer], relays: [PeerRelayCandidate]) {
    var shards: [NodeKey: Int] = [:]
    var told: [DiscoKey: Set<Int>] = [:]
    for (id, peer) in peers {
      let owner = shard.owner(of: id)
      shards[peer.path.nodeKey] = owner
      told[peer.path.discoKey, default: []].insert(owner)
    }
    state.withLock { state in
      (state.shards, state.told) = (shards, told)
      state.relays = Set(relays.map(\.nodeKey))
      // A key that the netmap tells by now need not be remembered.
      state.learned = state.learned.filter { id, key in
        peers[id].map { $0.path.discoKey != key } ?? false
      }
    }
  }
}
