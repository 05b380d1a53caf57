// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Keys
import Timing

extension NetworkMap {
  /// Sets this node; peers that claim to be it have to go.
  mutating func updateSelf(_ node: Node, noting change: inout NetmapChange) {
    var node = node.upgraded
    for name in node.capabilities where node.capMap[name] == nil { node.capMap[name] = [] }
    guard node != selfNode else { return }
    selfNode = node
    change.selfChanged = true
    if peersByID[node.id] != nil {
      ignore("peer \(node.id) has the number of this node", noting: &change)
      remove(node.id, noting: &change)
    }
    while let impostor = keys.holder(of: node.key) {
      ignore("peer \(impostor) has the key of this node", noting: &change)
      remove(impostor, noting: &change)
    }
    for prefix in node.addresses {
      if let other = addresses.holder(of: prefix.address) {
        change.report("peer \(other) has the address \(prefix.address) of this node")
      }
    }
  }

  /// All peers, or those that came, went or changed, in the order that the protocol gives.
  mutating func updatePeers(
    with response: MapResponse,
    at now: Timestamp,
    noting change: inout NetmapChange
  ) {
    guard response.peers.isEmpty else {
      let told = Set(response.peers.map(\.id))
      for id in peersByID.keys.filter({ !told.contains($0) }) { remove(id, noting: &change) }
      return updateWhole(response.peers, noting: &change)
    }
    for id in response.peersRemoved { remove(id, noting: &change) }
    updateWhole(response.peersChanged, noting: &change)
    for (id, isSeen) in response.peerSeenChange.sorted(by: { $0.key < $1.key }) {
      amend(id, noting: &change) { $0.lastSeen = isSeen ? now : nil }
    }
    for (id, isOnline) in response.onlineChange.sorted(by: { $0.key < $1.key }) {
      amend(id, noting: &change) { $0.online = isOnline }
    }
    for patch in response.peersChangedPatch {
      if let key = patch.key, isOwn(key) {
        ignore("peer \(patch.nodeID) takes the key of this node", noting: &change)
        continue
      }
      amend(patch.nodeID, noting: &change) { $0.apply(patch) }
    }
  }

  private mutating func updateWhole(_ nodes: [Node], noting change: inout NetmapChange) {
    var told: Set<Int64> = []
    for node in nodes {
      if !told.insert(node.id).inserted {
        change.report("peer \(node.id) is told twice: the last counts")
      }
      insert(node.upgraded, noting: &change)
    }
  }

  private mutating func insert(_ node: Node, noting change: inout NetmapChange) {
    if let reason = refusal(of: node) {
      ignore(reason, noting: &change)
      return remove(node.id, noting: &change)
    }
    let known = peersByID[node.id]
    var node = node
    if let known, known.keepsDiscoKey(online: node.online, lastSeen: node.lastSeen) {
      node.discoKey = known.discoKey
    }
    store(node, insteadOf: known, noting: &change)
  }

  /// Why a node cannot be a peer; nil when it can.
  private func refusal(of node: Node) -> String? {
    if node.id <= 0 { return "a peer has the number \(node.id)" }
    if node.id == selfNode?.id { return "peer \(node.id) has the number of this node" }
    if isOwn(node.key) { return "peer \(node.id) has the key of this node" }
    if peersByID[node.id] == nil, peersByID.count >= Self.maximumPeers {
      return "there are more than \(Self.maximumPeers) peers"
    }
    return nil
  }

  private func isOwn(_ key: NodeKey) -> Bool { key == selfNode?.key && !key.isZero }

  private mutating func amend(
    _ id: Int64,
    noting change: inout NetmapChange,
    _ body: (inout Node) -> Void
  ) {
    guard let known = peersByID[id] else {
      return ignore("peer \(id) changes but is not known", noting: &change)
    }
    var node = known
    body(&node)
    store(node, insteadOf: known, noting: &change)
  }

  private mutating func store(
    _ node: Node,
    insteadOf known: Node?,
    noting change: inout NetmapChange
  ) {
    guard node != known else { return }
    if node.key != known?.key {
      if let known { keys.remove(known.key, of: node.id) }
      if !node.key.isZero, let other = keys.add(node.key, of: node.id) {
        change.report("peers \(other) and \(node.id) have the same key")
      }
    }
    if node.addresses != known?.addresses {
      for prefix in known?.addresses ?? [] { addresses.remove(prefix.address, of: node.id) }
      for prefix in node.addresses { claim(prefix, for: node.id, noting: &change) }
    }
    peersByID[node.id] = node
    change.note(node, insteadOf: known)
  }

  private mutating func claim(
    _ prefix: IPPrefix,
    for id: Int64,
    noting change: inout NetmapChange
  ) {
    if !prefix.isHost { change.report("peer \(id) has \(prefix) as an address") }
    if selfNode?.addresses.contains(where: { $0.address == prefix.address }) == true {
      change.report("peer \(id) has the address \(prefix.address) of this node")
    }
    if let other = addresses.add(prefix.address, of: id) {
      change.report("peers \(other) and \(id) have the same address \(prefix.address)")
    }
  }

  private mutating func remove(_ id: Int64, noting change: inout NetmapChange) {
    guard let known = peersByID.removeValue(forKey: id) else { return }
    keys.remove(known.key, of: id)
    for prefix in known.addresses { addresses.remove(prefix.address, of: id) }
    change.noteRemoval(of: id)
  }
}

extension Node {
  /// This node without older forms: what it may send from and its home relay are spelled out.
  var upgraded: Node {
    var node = self
    if node.allowedIPs == nil || node.unsignedPeerAPIOnly { node.allowedIPs = node.addresses }
    if node.homeDERP == 0, let legacy = Endpoint(node.legacyDERP),
      legacy.address == IPAddress(127, 3, 3, 40)
    {
      node.homeDERP = Int(legacy.port)
    }
    return node
  }

  /// Whether our discovery key of this peer is to be believed more than one that comes with news.
  ///
  /// The peer may have told us a newer one itself before the server knew: news of a peer that is
  /// away and was not seen since are old.
  func keepsDiscoKey(online: Bool?, lastSeen told: Timestamp?) -> Bool {
    guard online == false, !discoKey.isZero, let lastSeen else { return false }
    return told.map { $0 <= lastSeen } ?? true
  }

  /// Takes over what has changed.
  mutating func apply(_ patch: PeerChange) {
    let told = patch.lastSeen.flatMap { $0.isZero ? nil : $0 }
    if let key = patch.discoKey, !keepsDiscoKey(online: patch.online, lastSeen: told) {
      discoKey = key
    }
    if patch.derpRegion != 0 { homeDERP = patch.derpRegion }
    if patch.cap != 0 { cap = patch.cap }
    if let capabilities = patch.capMap { capMap = capabilities }
    if let places = patch.endpoints { endpoints = places }
    if let key = patch.key { self.key = key }
    if let signature = patch.keySignature { keySignature = signature }
    if let online = patch.online { self.online = online }
    if patch.lastSeen != nil { lastSeen = told }
    if let expiry = patch.keyExpiry { keyExpiry = expiry.isZero ? nil : expiry }
  }
}
