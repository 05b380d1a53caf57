// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import DERP
import Keys
import LocalAPI
import Magicsock
import Netmap
import PacketFilter
import PacketPipeline

/// Which peers carry packets for this node, and which may ask it to carry theirs.
///
/// - Source: `Documentation/Protocols/disco.md`, peer relays.
package struct PeerRelays {
  /// Lets the source ask for a network at the destination.
  static let allocate = "tailscale.com/cap/relay"
  /// Marks the source as a relay for the destination.
  static let target = "tailscale.com/cap/relay-target"
  /// The capability version from which on nodes know peer relays.
  private static let leastVersion = 121
  private static let serverOff = "disable-relay-server"
  private static let clientOff = "disable-relay-client"

  private let mayAllocate: PeerCapabilities
  private let isTarget: PeerCapabilities
  private let own: [IPAddress]
  /// What this node is to be; nil when it is no relay.
  let settings: PeerRelaySettings?
  /// Whether this node uses relays at all.
  let isUsing: Bool

  init(_ capabilities: PeerCapabilities, _ netmap: NetworkMap, _ preferences: Preferences) {
    mayAllocate = capabilities.only(Self.allocate)
    isTarget = capabilities.only(Self.target)
    own = netmap.selfNode?.addresses.map(\.address) ?? []
    let isOff = netmap.hasCapability(Self.serverOff)
    settings =
      isOff
      ? nil
      : preferences.relayServerPort.map {
        PeerRelaySettings(port: $0, staticEndpoints: preferences.relayServerStaticEndpoints)
      }
    isUsing = !netmap.hasCapability(Self.clientOff)
  }

  /// Whether a peer may ask for a network here.
  func mayAllocate(_ addresses: [IPAddress]) -> Bool {
    settings != nil && grants(mayAllocate, Self.allocate, addresses)
  }

  /// The relays among this node and its peers.
  func candidates(_ netmap: NetworkMap, ownKey: NodeKey) -> [PeerRelayCandidate] {
    guard isUsing else { return [] }
    var list = netmap.peers.compactMap { node -> PeerRelayCandidate? in
      guard node.cap >= Self.leastVersion, !node.unsignedPeerAPIOnly, !node.isWireGuardOnly,
        !node.discoKey.isZero, grants(isTarget, Self.target, node.addresses.map(\.address))
      else { return nil }
      return PeerRelayCandidate(
        nodeKey: node.key,
        discoKey: node.discoKey,
        homeRegion: PipelineConfiguration.Peer.homeRegion(node)
      )
    }
    if settings != nil, grants(isTarget, Self.target, own) {
      let me = PeerRelayCandidate(nodeKey: ownKey, discoKey: .zero, isSelf: true)
      list.insert(me, at: 0)
    }
    return list
  }

  /// The first addresses of one family count.
  private func grants(
    _ capabilities: PeerCapabilities,
    _ name: String,
    _ addresses: [IPAddress]
  ) -> Bool {
    for family in IPAddress.Family.allCases {
      if let here = own.first(where: { $0.family == family }),
        let there = addresses.first(where: { $0.family == family })
      {
        return capabilities.grants(name, from: there, to: here)
      }
    }
    return false
  }
}
