// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import HostIO
import Keys
import Logging
import Magicsock
import PacketFilter
import PacketPipeline
import Testing
import WireGuard

@testable import DataPlaneDriver

@Suite("Data plane", .serialized)
struct DataPlaneTests {
  /// One node in a namespace of its own.
  struct Node {
    let id: PeerID
    let key: NodePrivateKey
    let disco: DiscoPrivateKey
    let host: NamespaceHost
    let wire: IPAddress
    let v4: IPAddress
    let v6: IPAddress
    let plane: DataPlane

    init(_ number: UInt8) throws {
      var entropy = Entropy.system
      id = PeerID(Int64(number))
      key = NodePrivateKey.generate(using: &entropy)
      disco = DiscoPrivateKey.generate(using: &entropy)
      host = NamespaceHost("node\(number)")
      wire = IPAddress(10, 77, 0, number)
      v4 = IPAddress(100, 64, 0, number)
      v6 = IPAddress(high: 0xFD7A_115C_A1E0_0000, low: UInt64(number))
      let options = DataPlaneOptions(interfaceName: "tunnel0", nodeKey: key, discoKey: disco)
      plane = try host.within { try DataPlane(options, logger: Logger(label: "test")) }
    }

    func configure(peer: Node) async {
      let prefixes = [IPPrefix(host: peer.v4), IPPrefix(host: peer.v6)]
      await plane.apply(
        PipelineConfiguration(
          nodeKey: key,
          addresses: [v4, v6],
          peers: [
            peer.id: PipelineConfiguration.Peer(
              tunnel: PeerConfiguration(publicKey: peer.key.publicKey, allowedIPs: prefixes),
              path: PeerPathConfiguration(
                nodeKey: peer.key.publicKey,
                discoKey: peer.disco.publicKey,
                endpoints: [Endpoint(peer.wire, port: peer.plane.port)]
              ),
              addresses: [peer.v4, peer.v6]
            )
          ],
          filter: Filter(
            localNetworks: [IPPrefix(host: v4), IPPrefix(host: v6)],
            rules: [.allowAll]
          )
        )
      )
      await plane.networkChanged(addresses: [wire], isMajor: true)
      host.ip("address", "add", "\(v4)/32", "dev", "tunnel0")
      host.ip("address", "add", "\(v6)/128", "dev", "tunnel0", "nodad")
      host.ip("link", "set", "tunnel0", "mtu", "1280", "up")
      host.ip("route", "add", "100.64.0.0/10", "dev", "tunnel0")
      host.ip("-6", "route", "add", "fd7a:115c:a1e0::/48", "dev", "tunnel0")
    }
  }

  @Test(
    "Two nodes on one wire find each other, and their hosts ping each other through the tunnel",
    .disabled(if: NamespaceHost.obstacle != nil, "needs root, /dev/net/tun and namespaces"),
    .timeLimit(.minutes(1))
  )
  func ping() async throws {
    let (one, two) = (try Node(1), try Node(2))
    NamespaceHost.wire(one.host, "\(one.wire)/24", two.host, "\(two.wire)/24")
    try one.plane.start()
    try two.plane.start()
    await one.configure(peer: two)
    await two.configure(peer: one)
    let disco = try await one.plane.ping(two.id, .disco).get()
    #expect(disco.endpoint == Endpoint(two.wire, port: two.plane.port))
    _ = try await one.plane.ping(two.id, .tsmp).get()
    _ = try await one.plane.ping(two.id, .icmp, size: 100).get()
    for target in ["\(two.v4)", "\(two.v6)", "100.100.100.100"] {
      let result = one.host.execute("ping", "-c", "3", "-i", "0.2", "-W", "3", target)
      #expect(result.status == 0, "\(result.output)")
    }
    let status = try #require(await one.plane.status())
    #expect(status.pipeline.counters.inbound.directV4.packets >= 8)
    #expect(status.host == HostCounters())
    #expect(status.pipeline.peers[two.id]?.path?.direct != nil)
    await one.plane.shutdown()
    await two.plane.shutdown()
    let late = await one.plane.status()
    #expect(late == nil)
  }

  @Test(
    "A second daemon on the port is told so, and takes another where it may",
    .disabled(if: NamespaceHost.obstacle != nil, "needs root, /dev/net/tun and namespaces")
  )
  func portTaken() throws {
    let node = try Node(3)
    var options = DataPlaneOptions(
      interfaceName: "tunnel1",
      port: node.plane.port,
      nodeKey: node.key,
      discoKey: node.disco
    )
    do {
      _ = try node.host.within { [options] in try DataPlane(options, logger: Logger(label: "test")) }
      Issue.record("the port was bound twice")
    } catch let error as HostError {
      #expect(error.description.hasPrefix("cannot bind UDP port 41641: address already in use"))
    }
    options.isPortRequired = false
    let other = try node.host.within { [options] in
      try DataPlane(options, logger: Logger(label: "test"))
    }
    #expect(other.isPortSubstituted && other.port != node.plane.port)
  }
}
