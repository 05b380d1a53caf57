// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
internal import Keys
internal import Timing

/// What one run of changes means for one receiver.
package enum MapDelta: Sendable {
  /// It need not be told anything.
  case nothing
  /// The same as every receiver that the changes do not concern: encode it once.
  case shared(MapResponse)
  /// Something of its own.
  case own(MapResponse)
}

/// Says what a node is told: (change, receiver) in, map response out.
///
/// Short-lived: made from the network as it stands, used, and dropped.
package struct MapBuilder: Sendable {
  private let tailnet: Tailnet

  /// Tells about `tailnet` as it stands.
  package init(_ tailnet: Tailnet) { self.tailnet = tailnet }

  /// Everything: the first response of a map stream; nil when there is no such node.
  ///
  /// O(n) in the nodes that the receiver sees.
  package func full(for receiver: NodeID, at now: Moment) -> MapResponse? {
    guard let node = tailnet.nodes[receiver] else { return nil }
    let peers = visiblePeers(of: node, at: now)
    var response = MapResponse()
    response.node = tailnet.selfView(of: node, at: now.time)
    response.derpMap = tailnet.options.relayMap
    response.domain = tailnet.options.domain
    response.dnsConfig = tailnet.dnsConfig
    response.collectServices = false
    response.debug = MapResponse.Debug(disableLogTail: true)
    response.packetFilters = ["base": rules(for: node, at: now)]
    response.peers = peers
    response.userProfiles = profiles(of: peers.map(\.user) + [node.shownUser.rawValue])
    response.controlTime = now.time
    return response
  }

  /// What `changes` mean for `receiver`.
  package func delta(
    _ changes: ChangeSummary,
    for receiver: NodeID,
    at now: Moment
  ) -> MapDelta {
    guard let node = tailnet.nodes[receiver] else { return .nothing }
    if changes.concernsOnly(receiver) { return .nothing }
    guard !node.isExpired(at: now.time) else {
      guard changes.nodes.contains(receiver) else { return .nothing }
      return .own(lockedOut(node, at: now))
    }
    if changes.readmitted.contains(receiver) {
      return full(for: receiver, at: now).map { .own($0) } ?? .nothing
    }
    guard changes.nodes.contains(receiver) else {
      let isNamed = changes.patches[receiver] != nil
      let response = common(changes, without: isNamed ? receiver : nil)
      if response == MapResponse() { return .nothing }
      return isNamed ? .own(response) : .shared(response)
    }
    var response = common(changes, without: receiver)
    response.node = tailnet.selfView(of: node, at: now.time)
    response.packetFilters = ["base": rules(for: node, at: now)]
    return .own(response)
  }

  /// What every receiver is told, but nothing of `receiver` itself.
  ///
  /// Stock clients that find a patch about themselves beside others do not take the others in.
  private func common(_ changes: ChangeSummary, without receiver: NodeID?) -> MapResponse {
    var response = MapResponse()
    let changed = changes.nodes.sorted().filter { $0 != receiver }.compactMap { tailnet.views[$0] }
    response.peersChanged = changed
    response.peersRemoved = changes.removed.sorted().map(\.rawValue)
    response.peersChangedPatch = changes.patches.sorted { $0.key < $1.key }.compactMap {
      $0.key == receiver ? nil : patch(of: $0.key, $0.value)
    }
    let users = changed.map(\.user) + changes.users.map(\.rawValue)
    if !users.isEmpty { response.userProfiles = profiles(of: users) }
    if changes.relayMap { response.derpMap = tailnet.options.relayMap }
    return response
  }

  private func patch(of id: NodeID, _ facts: PatchedFacts) -> PeerChange? {
    guard let view = tailnet.views[id] else { return nil }
    var patch = PeerChange(nodeID: id.rawValue)
    if facts.contains(.endpoints) { patch.endpoints = view.endpoints }
    if facts.contains(.homeRelay) { patch.derpRegion = view.homeDERP }
    if facts.contains(.capabilityVersion) { patch.cap = view.cap }
    if facts.contains(.discoKey) { patch.discoKey = view.discoKey }
    // Clients keep an offline node's discovery key unless they learn how it stands with it.
    if facts.contains(.online) || facts.contains(.discoKey) {
      patch.online = view.online
      patch.lastSeen = view.lastSeen
    }
    return patch
  }

  /// What a node is told whose key has ended: itself, and nobody else.
  private func lockedOut(_ node: NodeRecord, at now: Moment) -> MapResponse {
    var response = MapResponse()
    response.node = tailnet.selfView(of: node, at: now.time)
    response.packetFilters = ["base": []]
    response.peersRemoved = tailnet.order.filter { $0 != node.id }.map(\.rawValue)
    return response
  }

  /// The nodes that a receiver sees: all others, until there is a policy.
  private func visiblePeers(of receiver: NodeRecord, at now: Moment) -> [Node] {
    guard !receiver.isExpired(at: now.time) else { return [] }
    var peers: [Node] = []
    peers.reserveCapacity(tailnet.order.count)
    for id in tailnet.order where id != receiver.id {
      if let view = tailnet.views[id] { peers.append(view) }
    }
    return peers
  }

  /// What a receiver lets in: everything, until there is a policy.
  private func rules(for receiver: NodeRecord, at now: Moment) -> [FilterRule] {
    guard !receiver.isExpired(at: now.time) else { return [] }
    let everything = NetPortRange(ip: "*", ports: PortRange(first: 0, last: 65_535))
    return [FilterRule(srcIPs: ["*"], dstPorts: [everything])]
  }

  private func profiles(of users: [Int64]) -> [UserProfile] {
    Set(users).sorted().map { tailnet.profile(of: UserID($0)) }
  }
}
