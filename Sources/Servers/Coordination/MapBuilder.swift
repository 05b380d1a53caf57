// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
internal import JSON
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
  let tailnet: Tailnet

  /// Tells about `tailnet` as it stands.
  package init(_ tailnet: Tailnet) { self.tailnet = tailnet }

  /// Everything: the first response of a map stream; nil when there is no such node.
  ///
  /// O(n) in the nodes that the receiver sees.
  package func full(for receiver: NodeID, at now: Moment) -> MapResponse? {
    guard let node = tailnet.nodes[receiver] else { return nil }
    let peers = visiblePeers(of: node, at: now)
    var response = base(for: node, at: now)
    response.peers = peers
    response.userProfiles = profiles(of: peers.map(\.user) + [node.shownUser.rawValue])
    return response
  }

  /// What the first response says besides peers and their owners.
  func base(for node: NodeRecord, at now: Moment) -> MapResponse {
    var response = MapResponse()
    response.node = tailnet.selfView(of: node, at: now.time)
    response.derpMap = tailnet.options.relayMap
    response.domain = tailnet.options.domain
    response.dnsConfig = tailnet.dnsConfig
    response.collectServices = false
    response.debug = MapResponse.Debug(disableLogTail: true)
    tellAccess(of: node, at: now, in: &response)
    response.controlTime = now.time
    return response
  }

  /// The nodes that `receiver` sees; nil without a policy, when it sees all.
  package func audience(of receiver: NodeID) -> Audience? {
    tailnet.access?.audience(of: receiver)
  }

  /// Whether a node is told of others: not once its key has ended, or before it is let in.
  package func mayTalk(_ node: NodeID, at now: Moment) -> Bool {
    tailnet.nodes[node]?.mayTalk(at: now.time) ?? false
  }

  /// What `changes` mean for `receiver`.
  ///
  /// What is shared is the same for all who saw `told` until now and see the same from now on.
  ///
  /// - Parameters:
  ///   - changes: What has happened.
  ///   - receiver: Who is told.
  ///   - told: The nodes that it saw until now; nil for all.
  ///   - now: The time.
  /// - Returns: What it is told.
  package func delta(
    _ changes: ChangeSummary,
    for receiver: NodeID,
    told: Audience? = nil,
    at now: Moment
  ) -> MapDelta {
    guard let node = tailnet.nodes[receiver] else { return .nothing }
    let sees = audience(of: receiver)
    if changes.concernsOnly(receiver), sees == told { return .nothing }
    guard node.mayTalk(at: now.time) else {
      guard changes.nodes.contains(receiver) || changes.withheld.contains(receiver) else {
        return .nothing
      }
      return .own(lockedOut(node, at: now))
    }
    if changes.readmitted.contains(receiver) {
      return full(for: receiver, at: now).map { .own($0) } ?? .nothing
    }
    let isConcerned = changes.nodes.contains(receiver) || changes.access.contains(receiver)
    var without: NodeID?
    if isConcerned || changes.patches[receiver] != nil { without = receiver }
    var (response, isCommon) = (MapResponse(), without == nil)
    if let sees {
      (response, isCommon) = seen(changes, by: receiver, told, sees)
    } else {
      response = common(changes, without: without)
    }
    guard isConcerned else {
      if response == MapResponse() { return .nothing }
      return isCommon ? .shared(response) : .own(response)
    }
    response.node = tailnet.selfView(of: node, at: now.time)
    tellAccess(of: node, at: now, in: &response)
    return .own(response)
  }

  /// What a receiver is told of the nodes that it sees, or sees no longer, and whether all who see
  /// the same are told the same.
  private func seen(
    _ changes: ChangeSummary,
    by receiver: NodeID,
    _ told: Audience?,
    _ sees: Audience
  ) -> (MapResponse, isCommon: Bool) {
    var isCommon = true
    var response = MapResponse()
    let before = told?.nodes ?? tailnet.order
    // Their lists are in order: one walk finds what is in one only.
    let known = told == sees ? [] : Set(before)
    let new = told == sees ? [] : sees.nodes.filter { !known.contains($0) }
    var changed = changes.nodes.filter(sees.nodes.holds).union(new)
    if changes.access.contains(receiver), let access = tailnet.access {
      changed.formUnion(access.routing.filter(sees.nodes.holds))
      isCommon = false
    }
    if changed.remove(receiver) != nil { isCommon = false }
    response.peersChanged = changed.sorted().compactMap { id in
      if tailnet.access?.device(id)?.isRouting ?? false { isCommon = false }
      return tailnet.view(of: id, for: receiver)
    }
    var gone = changes.gone.filter { told == nil || before.holds($0) }
    if told != sees { gone.formUnion(before.filter { !sees.nodes.holds($0) }) }
    if gone.remove(receiver) != nil { isCommon = false }
    response.peersRemoved = gone.sorted().map(\.rawValue)
    response.peersChangedPatch = changes.patches.sorted { $0.key < $1.key }.compactMap {
      id,
      facts in
      guard sees.nodes.holds(id), !changed.contains(id) else { return nil }
      if id == receiver {
        isCommon = false
        return nil
      }
      return patch(of: id, facts)
    }
    let own = changes.users.filter { user in
      sees.nodes.contains { tailnet.nodes[$0]?.user == user }
    }
    let users = response.peersChanged.map(\.user) + own.map(\.rawValue)
    if !users.isEmpty { response.userProfiles = profiles(of: users) }
    if changes.relayMap { response.derpMap = tailnet.options.relayMap }
    if changes.names { response.dnsConfig = tailnet.dnsConfig }
    return (response, isCommon)
  }

  /// What every receiver is told, but nothing of `receiver` itself.
  ///
  /// Stock clients that find a patch about themselves beside others do not take the others in.
  private func common(_ changes: ChangeSummary, without receiver: NodeID?) -> MapResponse {
    var response = MapResponse()
    let changed = changes.nodes.sorted().filter { $0 != receiver }.compactMap { tailnet.views[$0] }
    response.peersChanged = changed
    response.peersRemoved = changes.gone.sorted().map(\.rawValue)
    response.peersChangedPatch = changes.patches.sorted { $0.key < $1.key }.compactMap {
      $0.key == receiver ? nil : patch(of: $0.key, $0.value)
    }
    let users = changed.map(\.user) + changes.users.map(\.rawValue)
    if !users.isEmpty { response.userProfiles = profiles(of: users) }
    if changes.relayMap { response.derpMap = tailnet.options.relayMap }
    if changes.names { response.dnsConfig = tailnet.dnsConfig }
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

  /// What a node is told that may talk to nobody any more: itself, and nobody else.
  private func lockedOut(_ node: NodeRecord, at now: Moment) -> MapResponse {
    var response = MapResponse()
    response.node = tailnet.selfView(of: node, at: now.time)
    response.packetFilters = ["base": []]
    response.peersRemoved = tailnet.order.filter { $0 != node.id }.map(\.rawValue)
    return response
  }

  /// The nodes that a receiver sees: all others, until there is a policy.
  private func visiblePeers(of receiver: NodeRecord, at now: Moment) -> [Node] {
    guard receiver.mayTalk(at: now.time) else { return [] }
    let ids = audience(of: receiver.id)?.nodes ?? tailnet.order
    var peers: [Node] = []
    peers.reserveCapacity(ids.count)
    for id in ids where id != receiver.id {
      if let view = tailnet.view(of: id, for: receiver.id) { peers.append(view) }
    }
    return peers
  }

  /// Says what a receiver lets in: everything, until there is a policy.
  private func tellAccess(of receiver: NodeRecord, at now: Moment, in response: inout MapResponse) {
    guard receiver.mayTalk(at: now.time) else {
      response.packetFilters = ["base": []]
      return
    }
    guard let access = tailnet.access else {
      let everything = NetPortRange(ip: "*", ports: PortRange(first: 0, last: 65_535))
      response.packetFilters = ["base": [FilterRule(srcIPs: ["*"], dstPorts: [everything])]]
      return
    }
    response.packetFilters = ["base": access.filter(of: receiver.id)]
    let ssh: JSONValue = ["rules": .array(access.sshRules(of: receiver.id).map(\.json))]
    response.sshPolicy = ssh.json
  }

  private func profiles(of users: [Int64]) -> [UserProfile] {
    Set(users).sorted().map { tailnet.profile(of: UserID($0)) }
  }
}
