// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol
package import Keys
package import Timing

/// The network as the coordination server tells it: this node, its peers, and what holds among them.
///
/// Grows out of a stream of map responses: the first tells everything, the others what has changed.
/// The server is believed, but nothing it says is fatal: what cannot be is left out, counted in
/// `ignoredChanges` and told in `NetmapChange.problems`.
///
/// - Source: `Documentation/Protocols/control.md`, the map response.
package struct NetworkMap: Sendable, Equatable {
  /// This node; nil until the first map.
  package internal(set) var selfNode: Node?
  /// The other nodes by number.
  package internal(set) var peersByID: [Int64: Node] = [:]
  /// Who may speak to this node, by the name of the set of rules.
  package internal(set) var filters: [String: [FilterRule]] = [:]
  /// Whether the server has said anything about who may speak to this node.
  package internal(set) var hasFilter = false
  /// The relays.
  package internal(set) var derpMap: DERPMap?
  /// How names are resolved.
  package internal(set) var dnsConfig: DNSConfig?
  /// The people behind the nodes.
  package internal(set) var userProfiles: [Int64: UserProfile] = [:]
  /// The name of the network.
  package internal(set) var domain = ""
  /// Whether to tell what listens on this host; nil when the server does not mind.
  package internal(set) var collectServices: Bool?
  /// What is wrong with this node as the server sees it, in the older form.
  package internal(set) var health: [String] = []
  /// What people should see, by name.
  package internal(set) var displayMessages: [String: DisplayMessage] = [:]
  /// Who may use the SSH server, as raw JSON.
  package internal(set) var sshPolicy: [UInt8]?
  /// How the tailnet lock stands; nil while it is off.
  package internal(set) var tkaInfo: TKAInfo?
  /// Names the audit log of the network.
  package internal(set) var domainDataPlaneAuditLogID = ""
  /// Where the server may be reached; outlives the stream.
  package internal(set) var controlDialPlan: ControlDialPlan?
  /// Whether there is a newer version; outlives the stream.
  package internal(set) var clientVersion: ClientVersion?
  /// Whether updates install themselves, in the older form.
  package internal(set) var defaultAutoUpdate: Bool?
  /// How far the server's clock is ahead of ours, when that is worth mentioning; outlives the stream.
  package internal(set) var serverClockOffset = Duration.zero
  /// How many changes could not be applied, since the beginning.
  package internal(set) var ignoredChanges = 0

  /// Who holds each key and each address among the peers.
  var keys = ClaimIndex<NodeKey>()
  var addresses = ClaimIndex<IPAddress>()
  /// Whether the next map is the first of its stream.
  var awaitsFirstMap = true

  /// An empty map, before the first response.
  package init() {}

  /// Tells that the next map comes from a new stream, which says everything anew.
  ///
  /// What is known holds until it comes; then what it does not mention is gone.
  package mutating func beginStream() { awaitsFirstMap = true }
}

extension NetworkMap {
  /// The other nodes in the order of their numbers.
  package var peers: [Node] { peersByID.sorted { $0.key < $1.key }.map(\.value) }

  /// The peer of that number.
  package func peer(_ id: Int64) -> Node? { peersByID[id] }

  /// The peer that holds that key; the one with the lowest number when several claim it.
  package func peer(with key: NodeKey) -> Node? { keys.holder(of: key).flatMap { peersByID[$0] } }

  /// The node, this one included, that has that address of its own.
  package func node(at address: IPAddress) -> Node? {
    if let selfNode, selfNode.addresses.contains(where: { $0.address == address }) {
      return selfNode
    }
    return addresses.holder(of: address).flatMap { peersByID[$0] }
  }

  /// Who may speak to this node: all sets of rules, in the order of their names.
  package var filterRules: [FilterRule] { filters.sorted { $0.key < $1.key }.flatMap(\.value) }

  /// What the names of all nodes end with, without dots around it.
  package var magicDNSSuffix: String {
    let labels = (selfNode?.name ?? "").split(separator: ".")
    if labels.count > 1 { return labels.dropFirst().joined(separator: ".") }
    return dnsConfig?.domains.first ?? ""
  }

  /// What people should see, in the order of the names; the older form only when there is no newer.
  package var messages: [DisplayMessage] {
    displayMessages.isEmpty
      ? health.map { DisplayMessage(text: $0) }
      : displayMessages.sorted { $0.key < $1.key }.map(\.value)
  }

  /// Whether the server gives this node a capability.
  package func hasCapability(_ name: String) -> Bool { selfNode?.capMap[name] != nil }
}

extension NetworkMap {
  /// What time it is for the server when our clock says `now`.
  package func serverTime(at now: Timestamp) -> Timestamp { now + serverClockOffset }

  /// Whether the key of `node` has ended.
  package func isExpired(_ node: Node, at now: Timestamp) -> Bool {
    node.expired || node.keyExpiry.map { $0 <= serverTime(at: now) } ?? false
  }

  /// When the next key of this node or of a peer ends, by our clock; nil when none will.
  package func nextKeyExpiry(after now: Timestamp) -> Timestamp? {
    let here = serverTime(at: now)
    let ends = ([selfNode?.keyExpiry] + peersByID.values.map(\.keyExpiry)).compactMap { $0 }
    return ends.filter { $0 > here }.min().map { $0 + (.zero - serverClockOffset) }
  }
}
