// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import DERP
import DataPlaneDriver
import Keys
import LocalAPI
import Magicsock
import Netmap
import PacketPipeline
import Timing
import WireGuard

extension Endpoint {
  /// How a peer relay and the virtual network there are written.
  func relayText(_ network: UInt32) -> String { "\(self):vni:\(network)" }
}

/// Puts together what a status shows, from everything that knows a part of it.
struct StatusReport {
  var version: String
  var state: BackendState
  var authURL: String
  var health: [String]
  var netmap: NetworkMap?
  var preferences: Preferences
  var nodeKey: NodeKey?
  var isControlConnected: Bool
  var hostname: String
  var dataPlane: DataPlaneStatus?
  var now: Instant
  var wall: Timestamp

  /// The status; peers only when they are wanted.
  func status(includingPeers: Bool) -> Status {
    var status = Status()
    status.version = version
    status.tun = true
    status.backendState = state.name
    status.haveNodeKey = nodeKey != nil
    status.authURL = authURL
    status.health = health.isEmpty ? nil : health
    status.selfStatus = ownStatus
    guard let netmap else { return status }
    status.tailscaleIPs = netmap.selfNode?.addresses.map(\.address)
    status.magicDNSSuffix = netmap.magicDNSSuffix
    var tailnet = TailnetStatus()
    tailnet.name = netmap.domain
    tailnet.magicDNSSuffix = netmap.magicDNSSuffix
    tailnet.magicDNSEnabled = netmap.dnsConfig?.proxied ?? false
    status.currentTailnet = tailnet
    status.users = users(of: netmap, includingPeers: includingPeers)
    guard includingPeers else { return status }
    let peers = netmap.peers.map { ($0.key, peerStatus($0)) }
    status.peers = Dictionary(peers) { first, _ in first }
    return status
  }

  private func users(of netmap: NetworkMap, includingPeers: Bool) -> [Int64: UserProfile] {
    var wanted = Set(netmap.selfNode.map { [$0.user] } ?? [])
    if includingPeers { wanted.formUnion(netmap.peers.map(\.user)) }
    return netmap.userProfiles.filter { wanted.contains($0.key) }
  }

  private var ownStatus: LocalAPI.PeerStatus {
    var own = netmap?.selfNode.map(common) ?? LocalAPI.PeerStatus()
    own.publicKey = nodeKey ?? .zero
    if own.hostName.isEmpty { own.hostName = hostname }
    own.os = "linux"
    own.online = isControlConnected
    own.inNetworkMap = netmap?.selfNode != nil
    if let plane = dataPlane?.pipeline {
      own.addrs = plane.endpoints.map(\.endpoint.description)
      own.relay = plane.homeRegion.map(regionCode) ?? ""
      own.inMagicSock = true
    }
    return own
  }

  private func peerStatus(_ node: Node) -> LocalAPI.PeerStatus {
    var peer = common(node)
    peer.inNetworkMap = true
    let figures = dataPlane?.pipeline.peers[PeerID(node.id)]
    if let path = figures?.path {
      peer.inMagicSock = true
      peer.active = path.isActive
      if path.isTrusted, let endpoint = path.direct {
        if let network = path.network {
          peer.peerRelay = endpoint.relayText(network)
        } else {
          peer.curAddr = endpoint.description
        }
      }
      peer.relay = path.relay.map(regionCode) ?? ""
      peer.addrs = path.candidates.map(\.description)
      if let sent = path.lastSend { peer.lastWrite = wall + (sent - now) }
    }
    if let tunnel = figures?.tunnel {
      peer.inEngine = tunnel.lastHandshake != nil
      peer.lastHandshake = tunnel.lastHandshake ?? .zero
      peer.rxBytes = Int64(clamping: tunnel.bytesReceived)
      peer.txBytes = Int64(clamping: tunnel.bytesSent)
    }
    return peer
  }

  /// What is told of this node and of peers alike.
  private func common(_ node: Node) -> LocalAPI.PeerStatus {
    var peer = LocalAPI.PeerStatus()
    peer.id = node.stableID
    peer.nodeID = node.id
    peer.publicKey = node.key
    peer.hostName = node.hostinfo?.hostname ?? ""
    peer.dnsName = node.name
    peer.os = node.hostinfo?.os ?? ""
    peer.userID = node.user
    peer.altSharerUserID = node.sharer
    peer.tailscaleIPs = node.addresses.map(\.address)
    peer.allowedIPs = node.allowedIPs ?? node.addresses
    peer.tags = node.tags.isEmpty ? nil : node.tags
    peer.primaryRoutes = node.primaryRoutes.isEmpty ? nil : node.primaryRoutes
    peer.created = node.created ?? .zero
    peer.lastSeen = node.online == true ? .zero : node.lastSeen ?? .zero
    peer.online = node.online ?? false
    peer.keyExpiry = node.keyExpiry.flatMap { $0.isZero ? nil : $0 }
    peer.expired = node.expired || peer.keyExpiry.map { $0 <= wall } ?? false
    return peer
  }

  private func regionCode(_ id: RegionID) -> String {
    netmap?.derpMap?.region(id.rawValue)?.regionCode ?? "\(id)"
  }
}
