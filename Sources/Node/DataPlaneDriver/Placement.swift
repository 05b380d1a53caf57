// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import Keys
import PacketPipeline
import Synchronization
import WireGuard

/// Divides a configuration among several shards: each gets its peers, all get the routes.
final class Placement: Sendable {
  private struct State: ~Copyable {
    var routes = AllowedIPs()
    var prefixes: [PeerID: Set<IPPrefix>] = [:]
    var steering: TUNSteering?
    var steered: [IPPrefix: Int] = [:]
  }

  private let state: Mutex<State>
  private let shard: Shard
  private let directory: PeerDirectory

  init(count: Int, _ directory: PeerDirectory, _ steering: consuming TUNSteering?) {
    (shard, self.directory) = (Shard(0, of: count), directory)
    state = Mutex(State(steering: steering))
  }

  /// What each shard is to make true, and the routes of all of them.
  ///
  /// The queues of the interface are told first: what comes too early for the owner has no peer yet.
  func divide(
    _ configuration: PipelineConfiguration
  ) -> (parts: [PipelineConfiguration], routes: AllowedIPs) {
    let routes = state.withLock { state in
      if Self.updateRoutes(&state, configuration.peers) { Self.steer(&state, shard) }
      return state.routes
    }
    directory.apply(configuration.peers, relays: configuration.peerRelays)
    return ((0..<shard.count).map { part(configuration, $0) }, routes)
  }

  private func part(_ whole: PipelineConfiguration, _ index: Int) -> PipelineConfiguration {
    var part = whole
    part.peers = whole.peers.filter { shard.owner(of: $0.key) == index }.mapValues { peer in
      var peer = peer
      peer.tunnel.allowedIPs = []
      return peer
    }
    guard index > 0 else { return part }
    // The first shard alone looks at the network.
    part.fixedHomeRegion = nil
    part.staticEndpoints = []
    return part
  }

  /// Makes the routes those of `peers`, by difference; tells whether anything changed.
  private static func updateRoutes(
    _ state: inout State,
    _ peers: [PeerID: PipelineConfiguration.Peer]
  ) -> Bool {
    let wanted = peers.mapValues { Set($0.tunnel.allowedIPs.map(\.masked)) }
    guard wanted != state.prefixes else { return false }
    for (id, had) in state.prefixes {
      for prefix in had.subtracting(wanted[id] ?? []) { state.routes.remove(prefix, from: id) }
    }
    for (id, prefixes) in wanted.sorted(by: { $0.key < $1.key }) {
      for prefix in prefixes.subtracting(state.prefixes[id] ?? []) {
        state.routes.insert(prefix, for: id)
      }
    }
    state.prefixes = wanted
    return true
  }

  /// Tells the interface which queue each prefix has now, by difference.
  private static func steer(_ state: inout State, _ shard: Shard) {
    guard state.steering != nil else { return }
    var wanted: [IPPrefix: Int] = [:]
    for (id, prefixes) in state.prefixes {
      for prefix in prefixes {
        wanted[prefix] = shard.owner(of: state.routes.peer(exactly: prefix) ?? id)
      }
    }
    // A refusal (the table is full) costs a handover for each train, no more.
    for prefix in state.steered.keys where wanted[prefix] == nil {
      try? state.steering?.remove(prefix)
    }
    for (prefix, queue) in wanted where state.steered[prefix] != queue {
      try? state.steering?.set(prefix, to: queue)
    }
    state.steered = wanted
  }
}
