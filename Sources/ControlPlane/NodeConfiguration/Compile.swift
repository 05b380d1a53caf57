// SPDX-License-Identifier: Apache-2.0

package import Addressing
import ControlProtocol
import DERP
package import HostSettings
package import Keys
package import LocalAPI
package import Netmap
import PacketFilter
import PacketPipeline
package import Timing
import WireGuard

extension NodeConfiguration {
  /// What does not come from the coordination server.
  package struct Ground: Hashable, Sendable {
    /// This node's key.
    package var nodeKey: NodePrivateKey
    /// The name of the TUN interface.
    package var interfaceName: String
    /// The largest packet in the tunnel, in bytes.
    package var mtu: Int
    /// The numbers that routes and rules carry.
    package var host: HostGround
    /// Endpoints that the administrator gave.
    package var staticEndpoints: [Endpoint]
    /// Whether the coordination server is listening.
    package var isControlConnected: Bool

    /// What a node stands on.
    package init(
      nodeKey: NodePrivateKey,
      interfaceName: String = RouterSettings.defaultInterfaceName,
      mtu: Int = RouterSettings.defaultMTU,
      host: HostGround = HostGround(),
      staticEndpoints: [Endpoint] = [],
      isControlConnected: Bool = true
    ) {
      (self.nodeKey, self.interfaceName, self.mtu) = (nodeKey, interfaceName, mtu)
      (self.host, self.staticEndpoints) = (host, staticEndpoints)
      self.isControlConnected = isControlConnected
    }
  }

  /// The configuration that follows from a netmap and the preferences.
  package static func compile(
    _ netmap: NetworkMap,
    _ preferences: Preferences,
    on ground: Ground,
    at now: Timestamp
  ) -> NodeConfiguration {
    let own = netmap.selfNode?.addresses ?? []
    let read = FilterRules(netmap.filterRules)
    let capabilities = PeerCapabilities(read.grants)
    let relays = PeerRelays(capabilities, netmap, preferences)
    let peers = Dictionary(
      uniqueKeysWithValues: netmap.peers.compactMap { node in
        PipelineConfiguration.Peer(
          node,
          besides: own,
          acceptsRoutes: preferences.routeAll,
          relays: relays,
          at: now
        )
        .map { (PeerID(node.id), $0) }
      }
    )
    let filter =
      netmap.hasFilter
      ? Filter(
        localNetworks: own,
        rules: read.rules,
        capabilityHolders: holders(netmap),
        isShieldsUp: preferences.shieldsUp
      ) : .none
    var pipeline = PipelineConfiguration(
      nodeKey: ground.nodeKey,
      addresses: own.map(\.address),
      peers: peers,
      relayMap: netmap.derpMap.map { RelayMap($0) } ?? RelayMap(),
      staticEndpoints: ground.staticEndpoints,
      isControlConnected: ground.isControlConnected,
      filter: filter,
      jailedFilter: Filter(localNetworks: own, rules: [], isShieldsUp: true)
    )
    pipeline.peerRelay = relays.settings
    pipeline.usesPeerRelays = relays.isUsing
    pipeline.peerRelays = relays.candidates(netmap, ownKey: ground.nodeKey.publicKey)
    return NodeConfiguration(
      pipeline: pipeline,
      router: router(own, peers.values.flatMap(\.tunnel.allowedIPs), on: ground),
      capabilities: capabilities,
      filterProblems: read.problems
    )
  }

  /// What holds for a node that is off or logged out: no peers, no addresses, no routes.
  package static func idle(on ground: Ground) -> NodeConfiguration {
    NodeConfiguration(
      pipeline: PipelineConfiguration(
        nodeKey: ground.nodeKey,
        isControlConnected: ground.isControlConnected
      ),
      router: router([], [], on: ground),
      capabilities: PeerCapabilities(),
      filterProblems: []
    )
  }

  /// The addresses of the peers that hold each capability.
  private static func holders(_ netmap: NetworkMap) -> [String: Set<IPAddress>] {
    netmap.peers.reduce(into: [:]) { holders, node in
      for name in node.capMap.keys {
        holders[name, default: []].formUnion(node.addresses.map(\.address))
      }
    }
  }

  /// Above this many IPv4 addresses of peers, one route for the whole range stands for them all.
  static let maximumHostRoutes = 10_000

  private static func router(
    _ own: [IPPrefix],
    _ reachable: [IPPrefix],
    on ground: Ground
  ) -> RouterSettings {
    var settings = RouterSettings()
    settings.interfaceName = ground.interfaceName
    settings.mtu = ground.mtu
    settings.ground = ground.host
    settings.addresses = own
    settings.routes = routes(to: reachable, from: own)
    return settings
  }

  /// The routes into the tunnel: a route a peer in IPv4, one for the whole network in IPv6, and the
  /// addresses at which this node answers itself; only for families in which it has an address.
  static func routes(to reachable: [IPPrefix], from own: [IPPrefix]) -> [IPPrefix] {
    var routes: Set<IPPrefix> = []
    let families = Set(own.map(\.address.family))
    var hostsV4: Set<IPPrefix> = []
    for prefix in reachable where families.contains(prefix.address.family) {
      if TailnetRanges.v6.contains(prefix) {
        routes.insert(TailnetRanges.v6)
      } else if prefix.isHost, TailnetRanges.v4.contains(prefix) {
        hostsV4.insert(prefix)
      } else {
        routes.insert(prefix.masked)
      }
    }
    if hostsV4.count > maximumHostRoutes {
      routes.insert(TailnetRanges.v4)
    } else {
      routes.formUnion(hostsV4)
    }
    if families.contains(.v4) { routes.insert(IPPrefix(host: TailnetRanges.serviceV4)) }
    if families.contains(.v6) { routes.insert(IPPrefix(host: TailnetRanges.serviceV6)) }
    return routes.sorted()
  }
}
