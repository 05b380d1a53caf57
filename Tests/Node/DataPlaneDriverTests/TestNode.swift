// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import DataPlaneDriver
import Keys
import Logging
import Magicsock
import PacketFilter
import PacketPipeline
import WireGuard

/// One node in a namespace of its own, at one end of a wire.
final class TestNode: Sendable {
  let id: PeerID
  let key: NodePrivateKey
  let disco: DiscoPrivateKey
  let host: NamespaceHost
  let wireV4: IPAddress
  let wireV6: IPAddress
  let v4: IPAddress
  let v6: IPAddress
  let plane: DataPlane
  let log: EventLog

  init(
    _ number: UInt8,
    shards: Int = 1,
    isSteeringWanted: Bool = true,
    helpers: Int = 0
  ) throws {
    var entropy = Entropy.system
    id = PeerID(Int64(number))
    key = NodePrivateKey.generate(using: &entropy)
    disco = DiscoPrivateKey.generate(using: &entropy)
    host = NamespaceHost("node\(number)")
    wireV4 = IPAddress(10, 77, 0, number)
    wireV6 = IPAddress(high: 0x2001_0DB8_0077_0000, low: UInt64(number))
    v4 = IPAddress(100, 64, 0, number)
    v6 = IPAddress(high: 0xFD7A_115C_A1E0_0000, low: UInt64(number))
    var options = DataPlaneOptions(interfaceName: "tunnel0", nodeKey: key, discoKey: disco)
    (options.shards, options.isSteeringWanted) = (shards, isSteeringWanted)
    options.helpers = helpers
    plane = try host.within { [options] in try DataPlane(options, logger: Logger(label: "test")) }
    log = EventLog(plane)
  }

  /// Two nodes on one wire, started and known to each other.
  static func pair(
    over family: IPAddress.Family = .v4,
    relays: RelayMap = RelayMap(),
    shards: Int = 1,
    helpers: Int = 0
  ) async throws -> (TestNode, TestNode) {
    let one = try TestNode(1, shards: shards, helpers: helpers)
    let two = try TestNode(2, shards: shards, helpers: helpers)
    one.host.wire(
      to: two.host,
      ["\(one.wireV4)/24", "\(one.wireV6)/64"],
      ["\(two.wireV4)/24", "\(two.wireV6)/64"]
    )
    for (node, peer) in [(one, two), (two, one)] {
      try await node.begin()
      await node.configure([peer], over: family, relays: relays)
    }
    return (one, two)
  }

  /// One node with several shards in the middle of others with one each, all on one wire.
  static func star(
    leaves count: UInt8,
    shards: Int,
    isSteeringWanted: Bool = true
  ) async throws -> (hub: TestNode, leaves: [TestNode]) {
    let hub = try TestNode(1, shards: shards, isSteeringWanted: isSteeringWanted)
    hub.host.ip("link", "add", "wire0", "type", "bridge")
    hub.host.ip("address", "add", "\(hub.wireV4)/24", "dev", "wire0")
    hub.host.ip("link", "set", "wire0", "up")
    var leaves: [TestNode] = []
    for number in 2..<2 + count {
      let leaf = try TestNode(number)
      leaf.host.ip(
        "link",
        "add",
        "wire0",
        "type",
        "veth",
        "peer",
        "name",
        "port\(number)",
        "netns",
        hub.host.name
      )
      leaf.host.ip("address", "add", "\(leaf.wireV4)/24", "dev", "wire0")
      leaf.host.ip("link", "set", "wire0", "up")
      hub.host.ip("link", "set", "port\(number)", "master", "wire0", "up")
      leaves.append(leaf)
    }
    for node in [hub] + leaves { try await node.begin() }
    for leaf in leaves { await leaf.configure([hub]) }
    await hub.configure(leaves)
    return (hub, leaves)
  }

  /// Starts the node where its wire already lies.
  private func begin() async throws {
    try plane.start()
    addInterface()
    await plane.networkChanged(addresses: [wireV4, wireV6], isMajor: true)
  }

  /// Where the node is on the wire.
  func endpoint(_ family: IPAddress.Family) -> Endpoint {
    Endpoint(family == .v4 ? wireV4 : wireV6, port: plane.port)
  }

  private func addInterface() {
    host.ip("address", "add", "\(v4)/32", "dev", "tunnel0")
    host.ip("address", "add", "\(v6)/128", "dev", "tunnel0", "nodad")
    host.ip("link", "set", "tunnel0", "mtu", "1280", "up")
    host.ip("route", "add", "100.64.0.0/10", "dev", "tunnel0")
    host.ip("-6", "route", "add", "fd7a:115c:a1e0::/48", "dev", "tunnel0")
  }

  /// Tells the node about its peers and relays; all of them have the region of the tests as home.
  func configure(
    _ peers: [TestNode],
    over family: IPAddress.Family = .v4,
    relays: RelayMap = RelayMap()
  ) async {
    let home = relays.regions.keys.first
    let facts = peers.map { ($0.id, $0.asPeer(over: family, home: home)) }
    await plane.apply(
      PipelineConfiguration(
        nodeKey: key,
        addresses: [v4, v6],
        peers: Dictionary(uniqueKeysWithValues: facts),
        relayMap: relays,
        filter: Filter(
          localNetworks: [IPPrefix(host: v4), IPPrefix(host: v6)],
          rules: [.allowAll]
        )
      )
    )
  }

  private func asPeer(
    over family: IPAddress.Family,
    home: RegionID?
  ) -> PipelineConfiguration.Peer {
    PipelineConfiguration.Peer(
      tunnel: PeerConfiguration(
        publicKey: key.publicKey,
        allowedIPs: [IPPrefix(host: v4), IPPrefix(host: v6)]
      ),
      path: PeerPathConfiguration(
        nodeKey: key.publicKey,
        discoKey: disco.publicKey,
        endpoints: [endpoint(family)],
        homeRegion: home
      ),
      addresses: [v4, v6]
    )
  }

  /// Lets no UDP through the wire, either way, or lets it through again.
  func blockUDP(_ isBlocked: Bool) {
    host.execute("nft", "delete", "table", "inet", "block")
    guard isBlocked else { return }
    host.execute(
      "nft",
      "add table inet block; "
        + "add chain inet block in { type filter hook input priority 0; }; "
        + "add chain inet block out { type filter hook output priority 0; }; "
        + "add rule inet block in iifname wire0 meta l4proto udp drop; "
        + "add rule inet block out oifname wire0 meta l4proto udp drop"
    )
  }

  /// What passed and fell off so far.
  func counters() async -> Counters { await plane.status()?.pipeline.counters ?? Counters() }
}

extension DataPlaneEvent {
  /// Whether it says that packets to a peer go directly from now on, to `endpoint` if one is given.
  func isUpgrade(to endpoint: Endpoint? = nil) -> Bool {
    guard case .pathTrace(.pathChanged(_, _, let new, _)) = self, let new else { return false }
    return endpoint == nil || new.endpoint == endpoint
  }

  /// Whether it says that packets to a peer go through the relay from now on.
  var isFallBack: Bool {
    if case .pathTrace(.pathChanged(_, .some, nil, _)) = self { true } else { false }
  }

  /// Whether it says that a relay is connected.
  var isRelayUp: Bool { if case .relayUp = self { true } else { false } }

  /// Whether it says that a relay was left or lost.
  var isRelayDown: Bool { if case .relayDown = self { true } else { false } }
}
