// SPDX-License-Identifier: Apache-2.0

import Addressing
import Keys
import Timing

/// The peers, and how to find them by key and by endpoint.
struct PeerTable: Sendable {
  var peers: [PeerPaths] = []
  private var slots: [PeerID: Int] = [:]
  private var nodeKeys: [NodeKey: PeerID] = [:]
  private var discoKeys: [DiscoKey: [PeerID]] = [:]
  private var endpoints: [Endpoint: PeerID] = [:]

  /// Where in `peers` a peer is.
  func slot(of peer: PeerID) -> Int? { slots[peer] }
  /// Who holds a node key.
  func peer(with key: NodeKey) -> PeerID? { nodeKeys[key] }
  /// Who uses a disco key: mostly one.
  func peers(with key: DiscoKey) -> [PeerID] { discoKeys[key] ?? [] }
  /// Who was proven to be at an endpoint.
  func peer(at endpoint: Endpoint) -> PeerID? { endpoints[endpoint] }

  mutating func add(_ paths: PeerPaths) {
    precondition(slots[paths.id] == nil, "a peer is added once")
    slots[paths.id] = peers.count
    nodeKeys[paths.configuration.nodeKey] = paths.id
    if paths.plain == nil { discoKeys[paths.discoKey, default: []].append(paths.id) }
    peers.append(paths)
  }

  mutating func remove(_ peer: PeerID) {
    guard let slot = slots.removeValue(forKey: peer) else { return }
    let removed = peers[slot]
    for endpoint in removed.mapped where endpoints[endpoint] == peer { endpoints[endpoint] = nil }
    if nodeKeys[removed.configuration.nodeKey] == peer {
      nodeKeys[removed.configuration.nodeKey] = nil
    }
    disown(removed.discoKey, peer)
    peers.swapAt(slot, peers.count - 1)
    peers.removeLast()
    if slot < peers.count { slots[peers[slot].id] = slot }
  }

  mutating func setNodeKey(_ key: NodeKey, at slot: Int) {
    let peer = peers[slot].id
    let old = peers[slot].configuration.nodeKey
    if nodeKeys[old] == peer { nodeKeys[old] = nil }
    nodeKeys[key] = peer
  }

  mutating func setDiscoKey(_ key: DiscoKey, at slot: Int) {
    let peer = peers[slot].id
    disown(peers[slot].discoKey, peer)
    peers[slot].discoKey = key
    discoKeys[key, default: []].append(peer)
  }

  /// Notes that what comes from `endpoint` is this peer's.
  mutating func map(_ endpoint: Endpoint, toPeerAt slot: Int) {
    let peer = peers[slot].id
    guard endpoints[endpoint] != peer else { return }
    if let former = endpoints[endpoint], let slot = slots[former] {
      peers[slot].mapped.removeAll { $0 == endpoint }
    }
    endpoints[endpoint] = peer
    peers[slot].mapped.append(endpoint)
    guard peers[slot].mapped.count > PathLimits.mappedEndpoints else { return }
    endpoints[peers[slot].mapped.removeFirst()] = nil
  }

  private mutating func disown(_ key: DiscoKey, _ peer: PeerID) {
    discoKeys[key]?.removeAll { $0 == peer }
    if discoKeys[key]?.isEmpty == true { discoKeys[key] = nil }
  }
}
