// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol
import DERP
import Keys
import Magicsock
package import PacketPipeline
package import Timing
import WireGuard

extension PipelineConfiguration.Peer {
  /// What the data plane needs of a peer; nil when it can never be reached.
  ///
  /// A peer speaks for its own addresses always. Routes of others are taken when `acceptsRoutes`;
  /// default routes never, until an exit node is chosen.
  ///
  /// - Parameters:
  ///   - node: The peer as the netmap tells it.
  ///   - own: This node's addresses, for which no peer speaks.
  ///   - acceptsRoutes: Whether the user wants the routes that peers offer.
  ///   - relays: Who may ask this node to carry packets.
  ///   - now: For keys that run out.
  package init?(
    _ node: Node,
    besides own: [IPPrefix] = [],
    acceptsRoutes: Bool,
    relays: PeerRelays? = nil,
    at now: Timestamp
  ) {
    guard !node.key.isZero, !node.addresses.isEmpty,
      !node.discoKey.isZero || node.isWireGuardOnly
    else { return nil }
    let isExpired = node.expired || node.keyExpiry.map { !$0.isZero && $0 <= now } ?? false
    self.init(
      tunnel: PeerConfiguration(
        publicKey: node.key,
        allowedIPs: isExpired ? [] : Self.allowed(node, besides: own, acceptsRoutes: acceptsRoutes)
      ),
      path: PeerPathConfiguration(
        nodeKey: node.key,
        discoKey: node.discoKey,
        endpoints: isExpired ? [] : node.endpoints,
        homeRegion: Self.homeRegion(node),
        isWireGuardOnly: node.isWireGuardOnly,
        capabilityVersion: node.cap,
        addresses: node.addresses.map(\.address),
        isExpired: isExpired,
        mayAllocate: relays?.mayAllocate(node.addresses.map(\.address)) == true
      ),
      addresses: node.addresses.map(\.address),
      isJailed: node.isJailed
    )
  }

  /// The prefixes that the peer may use: its addresses, and routes where they are wanted.
  ///
  /// Only whole addresses count as its own, and none that this node has itself.
  static func allowed(
    _ node: Node,
    besides own: [IPPrefix] = [],
    acceptsRoutes: Bool
  ) -> [IPPrefix] {
    let addresses = node.addresses.filter { $0.isHost && !own.contains($0) }
    guard let offered = node.allowedIPs, !node.unsignedPeerAPIOnly else { return addresses }
    let routes = offered.filter { prefix in
      acceptsRoutes && !node.addresses.contains(prefix) && prefix.length > 0
        && !own.contains(prefix)
    }
    return addresses.filter { offered.contains($0) } + routes.map(\.masked)
  }

  /// The region of its home relay, in the new form or in the legacy one (`127.3.3.40:REGION`).
  static func homeRegion(_ node: Node) -> RegionID? {
    if node.homeDERP > 0 { return RegionID(node.homeDERP) }
    guard let legacy = Endpoint(node.legacyDERP), legacy.address == IPAddress(127, 3, 3, 40),
      legacy.port > 0
    else { return nil }
    return RegionID(Int(legacy.port))
  }
}
