// SPDX-License-Identifier: Apache-2.0

package import Addressing
internal import Timing

extension NodeRecord {
  /// The routes that it offers and may serve; one default route stands for both.
  package var servedRoutes: [IPPrefix] {
    let approved = Set(approvedRoutes)
    let mayLeadOut = approved.contains { $0.length == 0 }
    return announcedRoutes.filter { $0.length == 0 ? mayLeadOut : approved.contains($0) }
  }
}

extension Tailnet {
  /// Says which routes a node may serve, those that it does not offer yet among them.
  package mutating func approveRoutes(
    of id: NodeID,
    _ change: RouteChange,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) -> NodeRecord {
    let before = try existing(id).approvedRoutes
    let routes: [IPPrefix]
    switch change {
    case .replace(let all): routes = all
    case .add(let more): routes = before + more
    case .remove(let less):
      // One default route stands for both.
      let leadsOut = !less.contains { $0.length == 0 }
      let gone = Set(less.map(\.masked))
      routes = before.filter { $0.length == 0 ? leadsOut : !gone.contains($0) }
    }
    return try approveRoutes(of: id, routes, by: actor, at: now, into: &effects)
  }

  /// Elects routers anew after something about a node has changed, and tells of those who lost or won.
  mutating func refreshRoutes(of node: NodeRecord, at now: Moment, into effects: inout Effects) {
    let serves = node.mayTalk(at: now.time) ? node.servedRoutes.filter { $0.length > 0 } : []
    let changed = routes.set(node.id, serves: serves, isConnected: isServing(node.id))
    noteRouters(changed, besides: node.id, at: now, into: &effects)
  }

  /// Whether a node is connected, and was not found silent.
  private func isServing(_ id: NodeID) -> Bool {
    isOnline(id) && !(presence[id]?.isSilent ?? false)
  }

  /// The connected routers of subnets that several connected ones serve: whom it is worth asking
  /// whether they live.
  package var sharingRouters: [NodeID] {
    routes.shared.filter { isOnline($0) }.sorted()
  }

  /// A router has given a sign of life, or has not when it was asked.
  ///
  /// Another takes the place of one that falls silent, and keeps it. Silence of a client that never
  /// answers such questions says nothing.
  package mutating func noteSign(
    of id: NodeID,
    isThere: Bool,
    at now: Moment,
    into effects: inout Effects
  ) {
    guard let node = nodes[id], isOnline(id) else { return }
    if isThere { presence[id]?.givesSigns = true }
    guard presence[id]?.givesSigns == true, presence[id]?.isSilent == isThere else { return }
    presence[id]?.isSilent = !isThere
    refreshView(of: node, at: now, into: &effects)
  }

  /// Elects routers anew after a node is gone.
  mutating func removeRoutes(of id: NodeID, at now: Moment, into effects: inout Effects) {
    let changed = routes.set(id, serves: [], isConnected: false)
    noteRouters(changed, besides: id, at: now, into: &effects)
  }

  private mutating func noteRouters(
    _ changed: [NodeID],
    besides id: NodeID,
    at now: Moment,
    into effects: inout Effects
  ) {
    guard !changed.isEmpty else { return }
    policyWorldChanged()
    for other in changed where other != id {
      if let node = nodes[other] { refreshOwnView(of: node, at: now, into: &effects) }
    }
  }

  /// The routes that others reach through a node: its subnets where it is elected, and all if it is an
  /// exit node.
  package func activeRoutes(of node: NodeRecord) -> [IPPrefix] {
    routes.primaries(of: node.id) + node.servedRoutes.filter { $0.length == 0 }
  }
}

/// What becomes of the routes that a node may serve.
package enum RouteChange: Hashable, Sendable {
  /// These and no others.
  case replace([IPPrefix])
  /// These too.
  case add([IPPrefix])
  /// Not these.
  case remove([IPPrefix])
}
