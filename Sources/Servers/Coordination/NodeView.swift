// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol
internal import Keys
internal import Timing

extension Tailnet {
  /// What every other node is shown of a node.
  func view(of node: NodeRecord, at time: Timestamp) -> Node {
    let addresses = node.addresses.map(IPPrefix.init(host:))
    let isExpired = node.isExpired(at: time)
    let isOnline = isOnline(node.id) || node.isWireGuardOnly
    // With a policy, who is shown which routes is a question of who looks.
    let isOpen = policyState.policy == nil && !isExpired
    return Node(
      id: node.id.rawValue,
      stableID: node.stableID,
      name: qualifiedName(of: node) + ".",
      user: node.shownUser.rawValue,
      key: node.nodeKey,
      keyExpiry: node.expiry,
      machine: node.machineKey,
      discoKey: node.discoKey,
      addresses: addresses,
      allowedIPs: addresses + (isOpen ? activeRoutes(of: node) : []),
      endpoints: node.endpoints,
      homeDERP: node.homeRelay,
      hostinfo: node.hostinfo.shownToPeers,
      created: node.created,
      cap: node.capabilityVersion,
      tags: node.tags,
      primaryRoutes: isOpen ? routes.primaries(of: node.id) : [],
      lastSeen: isOnline ? nil : node.lastSeen,
      online: isOnline,
      machineAuthorized: node.mayTalk(at: time),
      expired: isExpired,
      isWireGuardOnly: node.isWireGuardOnly
    )
  }

  /// What a node is shown of itself.
  func selfView(of node: NodeRecord, at time: Timestamp) -> Node {
    var view = view(of: node, at: time)
    view.hostinfo = node.hostinfo
    view.capMap = Self.capabilities
    view.allowedIPs = node.addresses.map(IPPrefix.init(host:)) + node.servedRoutes
    view.primaryRoutes = routes.primaries(of: node.id)
    guard let access else { return view }
    view.capMap.merge(access.attributes(of: node.id)) { $1 }
    if !access.sshRules(of: node.id).isEmpty { view.capMap[Self.sshCapability] = [] }
    return view
  }

  /// What one node is shown of another; nil when it does not see it.
  func view(of peer: NodeID, for viewer: NodeID) -> Node? {
    guard let shared = views[peer] else { return nil }
    guard let access else { return shared }
    guard access.sees(viewer, peer) else { return nil }
    guard let device = access.device(peer), device.isRouting else { return shared }
    var view = shared
    view.allowedIPs = access.allowedIPs(of: peer, for: viewer)
    let allowed = view.allowedIPs ?? []
    view.primaryRoutes = device.primaryRoutes.filter(allowed.contains)
    return view
  }

  /// Lets a client serve SSH.
  private static let sshCapability = "https://tailscale.com/cap/ssh"

  /// What every node may do until a policy says otherwise: nothing beyond the plain network.
  private static let capabilities: [String: [[UInt8]]] = [
    "default-auto-update": [Array("false".utf8)]
  ]
}

extension NodeRecord {
  /// The relay region that it is reached through; 0 until it chose one.
  package var homeRelay: Int { hostinfo.netInfo?.preferredDERP ?? 0 }
}

extension Hostinfo {
  /// How many services of a node others are shown.
  static let maximumServicesShown = 64

  /// The part that concerns other nodes: what it is, and which services it offers.
  var shownToPeers: Hostinfo {
    var shown = Hostinfo()
    shown.os = os
    shown.hostname = hostname
    shown.services = Array(services.prefix(Self.maximumServicesShown))
    return shown
  }
}

/// How what others are shown of a node differs from before.
enum ViewDifference: Hashable {
  /// Not at all.
  case none
  /// In a few facts that a patch can carry.
  case facts(PatchedFacts)
  /// In more than that.
  case everything

  init(from old: Node, to new: Node) {
    guard old != new else {
      self = .none
      return
    }
    var facts: PatchedFacts = []
    var rest = old
    if old.endpoints != new.endpoints { facts.insert(.endpoints) }
    rest.endpoints = new.endpoints
    // A patch cannot take the home relay away, nor a discovery key or a version.
    if old.homeDERP != new.homeDERP, new.homeDERP != 0 {
      facts.insert(.homeRelay)
      rest.homeDERP = new.homeDERP
    }
    if old.online != new.online { facts.insert(.online) }
    rest.online = new.online
    if old.lastSeen != new.lastSeen { facts.insert(.online) }
    rest.lastSeen = new.lastSeen
    if old.discoKey != new.discoKey, !new.discoKey.isZero {
      facts.insert(.discoKey)
      rest.discoKey = new.discoKey
    }
    if old.cap != new.cap, new.cap != 0 {
      facts.insert(.capabilityVersion)
      rest.cap = new.cap
    }
    self = rest == new ? .facts(facts) : .everything
  }
}
