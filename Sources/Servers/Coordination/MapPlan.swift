// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol
internal import Keys
internal import Timing

/// A whole map taken apart: what is the receiver's own, and runs of peers that many receivers share.
///
/// Peers come in order: the first, then run by run. A run is all that the receiver sees of the nodes
/// whose numbers differ in their last bits only, so that one node's news makes one run out of date,
/// whoever sees it.
package struct MapPlan: Sendable {
  /// Everything but the peers.
  package let base: MapResponse
  /// The first peer.
  package let first: Node
  /// The other peers, run by run.
  package let runs: [PeerRun]
}

/// Some of a map's peers.
package struct PeerRun: Hashable, Sendable {
  /// How many bits of a node's number tell its place within its run.
  static let bits: Int64 = 6

  /// Which nodes, in order.
  package let nodes: [NodeID]
  /// What those that are more than themselves may be sent, as the receiver sees it.
  package let routes: [[IPPrefix]]
  /// Whether it is like this for one receiver only, which is left out of it itself.
  package let isOwn: Bool

  /// The numbers that could stand in the same run.
  package static func place(of node: NodeID) -> Int64 { node.rawValue >> bits }
  /// Where it stands among all runs.
  package var place: Int64 { nodes.first.map(Self.place) ?? 0 }
}

extension MapBuilder {
  /// How many peers a map has at least that is taken apart.
  package static let minimumShared = 128

  /// A whole map taken apart; nil when it is small, or its receiver sees nobody.
  ///
  /// O(runs) in what the receiver sees, where the runs are known.
  package func plan(
    for receiver: NodeID,
    knowing profiles: [UserProfile]? = nil,
    at now: Moment
  ) -> MapPlan? {
    guard let node = tailnet.nodes[receiver], node.mayTalk(at: now.time) else { return nil }
    // Those that wait for approval have no view, and come first only where they were first to join.
    let all = audience(of: receiver)?.nodes ?? tailnet.order
    let ids = all.drop { tailnet.views[$0] == nil }
    guard ids.count >= Self.minimumShared, let head = ids.first, head != receiver,
      let first = tailnet.view(of: head, for: receiver)
    else { return nil }
    var base = base(for: node, at: now)
    base.userProfiles = profiles ?? audienceProfiles(of: receiver)
    let routers = routers(in: all, for: receiver)
    var runs: [PeerRun] = []
    runs.reserveCapacity(ids.count >> Int(PeerRun.bits) + 2)
    var rest = ids.dropFirst()
    while let start = rest.first {
      let place = PeerRun.place(of: start)
      let run = rest.prefix { PeerRun.place(of: $0) == place }
      rest = rest.dropFirst(run.count)
      let isOwn = place == PeerRun.place(of: receiver)
      runs.append(
        PeerRun(
          nodes: isOwn ? run.filter { $0 != receiver } : Array(run),
          routes: routers[place] ?? [],
          isOwn: isOwn
        )
      )
    }
    return MapPlan(base: base, first: first, runs: runs)
  }

  /// The peers of a run, as `receiver` and all who share it see them.
  package func peers(of run: PeerRun, for receiver: NodeID) -> [Node] {
    run.nodes.compactMap { id in
      guard tailnet.access?.device(id)?.isRouting ?? false else { return tailnet.views[id] }
      return tailnet.view(of: id, for: receiver)
    }
  }

  /// The names of the owners of all that a receiver sees, and of its own.
  package func audienceProfiles(of receiver: NodeID) -> [UserProfile] {
    let ids = audience(of: receiver)?.nodes ?? tailnet.order
    var users: Set<UserID> = []
    for id in ids { if let user = tailnet.nodes[id]?.shownUser { users.insert(user) } }
    if let own = tailnet.nodes[receiver]?.shownUser { users.insert(own) }
    return users.sorted().map { tailnet.profile(of: $0) }
  }

  /// What a receiver may send to those that are more than themselves, by run.
  private func routers(in ids: [NodeID], for receiver: NodeID) -> [Int64: [[IPPrefix]]] {
    guard let access = tailnet.access else { return [:] }
    var routes: [Int64: [[IPPrefix]]] = [:]
    for id in access.routing where id != receiver && ids.holds(id) {
      routes[PeerRun.place(of: id), default: []].append(access.allowedIPs(of: id, for: receiver))
    }
    return routes
  }
}
