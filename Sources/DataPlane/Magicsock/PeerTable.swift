// SPDX-License-Identifier: Apache-2.0

import Addressing
import Keys
import Tables
import Timing

/// The peers, and how to find them by key and by endpoint.
///
/// What finds a peer is an index of slots: it costs one probe and keeps no key twice.
struct PeerTable: Sendable {
  var peers: [PeerPaths] = []
  private var byID = SlotIndex()
  private var byNodeKey = SlotIndex()
  private var byDiscoKey = SlotIndex()
  private let hash = SlotHash()
  private var endpoints: [Endpoint: PeerID] = [:]

  /// Where in `peers` a peer is.
  func slot(of peer: PeerID) -> Int? { byID.slot(of: tag(peer)) { peers[$0].id == peer } }

  /// Who holds a node key.
  func peer(with key: NodeKey) -> PeerID? {
    byNodeKey.slot(of: hash.tag(key.words)) { peers[$0].configuration.nodeKey == key }
      .map { peers[$0].id }
  }

  /// Who uses a disco key: mostly one; in order of their numbers.
  func peers(with key: DiscoKey) -> [PeerID] {
    var list: [PeerID] = []
    byDiscoKey.forEachSlot(of: hash.tag(key.words)) { slot in
      if peers[slot].discoKey == key { list.append(peers[slot].id) }
    }
    return list.count < 2 ? list : list.sorted()
  }

  /// Whether anybody uses a disco key.
  func hasPeer(with key: DiscoKey) -> Bool {
    byDiscoKey.slot(of: hash.tag(key.words)) { peers[$0].discoKey == key } != nil
  }

  /// Who was proven to be at an endpoint.
  func peer(at endpoint: Endpoint) -> PeerID? { endpoints[endpoint] }

  /// Makes room for that many peers.
  mutating func reserve(_ count: Int) {
    peers.reserveCapacity(count)
    byID.reserve(count)
    byNodeKey.reserve(count)
    byDiscoKey.reserve(count)
  }

  mutating func add(_ paths: PeerPaths) {
    precondition(slot(of: paths.id) == nil, "a peer is added once")
    let slot = peers.count
    byID.insert(slot, tag: tag(paths.id))
    byNodeKey.insert(slot, tag: hash.tag(paths.configuration.nodeKey.words))
    if !paths.isPlain { byDiscoKey.insert(slot, tag: hash.tag(paths.discoKey.words)) }
    peers.append(paths)
  }

  mutating func remove(_ peer: PeerID) {
    guard let slot = slot(of: peer) else { return }
    unmap(slot)
    byID.remove(slot, tag: tag(peer))
    byNodeKey.remove(slot, tag: hash.tag(peers[slot].configuration.nodeKey.words))
    byDiscoKey.remove(slot, tag: hash.tag(peers[slot].discoKey.words))
    let last = peers.removeLast()
    guard slot < peers.count else { return }
    byID.move(peers.count, to: slot, tag: tag(last.id))
    byNodeKey.move(peers.count, to: slot, tag: hash.tag(last.configuration.nodeKey.words))
    byDiscoKey.move(peers.count, to: slot, tag: hash.tag(last.discoKey.words))
    peers[slot] = last
  }

  /// Gives a peer another node key; its configuration is yet to be replaced.
  mutating func setNodeKey(_ key: NodeKey, at slot: Int) {
    byNodeKey.remove(slot, tag: hash.tag(peers[slot].configuration.nodeKey.words))
    byNodeKey.insert(slot, tag: hash.tag(key.words))
    peers[slot].configuration.nodeKey = key
  }

  mutating func setDiscoKey(_ key: DiscoKey, at slot: Int) {
    byDiscoKey.remove(slot, tag: hash.tag(peers[slot].discoKey.words))
    byDiscoKey.insert(slot, tag: hash.tag(key.words))
    peers[slot].discoKey = key
  }

  /// Notes that what comes from `endpoint` is this peer's.
  mutating func map(_ endpoint: Endpoint, toPeerAt slot: Int) {
    let peer = peers[slot].id
    guard endpoints[endpoint] != peer else { return }
    if let former = endpoints[endpoint], let slot = self.slot(of: former) {
      peers[slot].mapped.removeAll { $0 == endpoint }
    }
    endpoints[endpoint] = peer
    peers[slot].mapped.append(endpoint)
    guard peers[slot].mapped.count > PathLimits.mappedEndpoints else { return }
    endpoints[peers[slot].mapped.removeFirst()] = nil
  }

  /// Forgets what only a conversation with a peer needs.
  mutating func putToSleep(_ slot: Int) {
    unmap(slot)
    peers[slot].wakeful.clear()
  }

  private mutating func unmap(_ slot: Int) {
    let peer = peers[slot].id
    for endpoint in peers[slot].mapped where endpoints[endpoint] == peer {
      endpoints[endpoint] = nil
    }
  }

  private func tag(_ peer: PeerID) -> UInt32 { hash.tag(UInt64(bitPattern: peer.rawValue), 0) }
}
