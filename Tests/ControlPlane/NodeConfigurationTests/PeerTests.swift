// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Cryptography
import DERP
import Keys
import Magicsock
import PacketFilter
import PacketPipeline
import Testing
import Timing
import WireGuard

@testable import NodeConfiguration

@Suite("What a netmap means for the data plane")
struct PeerTests {
  private let now = Timestamp(seconds: 1_800_000_000)

  private func prefix(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

  private func peer(_ change: (inout Node) throws -> Void = { _ in }) rethrows -> Node {
    var entropy = Entropy(seed: 7)
    var node = Node()
    node.id = 4
    node.key = NodePrivateKey.generate(using: &entropy).publicKey
    node.discoKey = DiscoPrivateKey.generate(using: &entropy).publicKey
    node.addresses = [
      IPPrefix(host: IPAddress(100, 64, 0, 4)), IPPrefix(host: IPAddress(high: 1, low: 4)),
    ]
    node.homeDERP = 900
    try change(&node)
    return node
  }

  @Test("A peer may use its own addresses, and routes only when they are wanted")
  func allowed() throws {
    let node = try peer {
      $0.allowedIPs =
        $0.addresses + [try prefix("10.1.2.3/16"), .everything(.v4), .everything(.v6)]
    }
    let plain = try #require(PipelineConfiguration.Peer(node, acceptsRoutes: false, at: now))
    #expect(plain.tunnel.allowedIPs == node.addresses)
    let routed = try #require(PipelineConfiguration.Peer(node, acceptsRoutes: true, at: now))
    #expect(routed.tunnel.allowedIPs == node.addresses + [try prefix("10.1.0.0/16")])
  }

  @Test("Absent allowed IPs mean the addresses; an empty list means none")
  func absent() throws {
    let absent = try #require(PipelineConfiguration.Peer(peer(), acceptsRoutes: true, at: now))
    #expect(absent.tunnel.allowedIPs == absent.addresses.map(IPPrefix.init(host:)))
    let none = peer { $0.allowedIPs = [] }
    #expect(PipelineConfiguration.Peer(none, acceptsRoutes: true, at: now)?.tunnel.allowedIPs == [])
  }

  @Test("An expired peer keeps nothing by which it could be reached")
  func expired() throws {
    for node in [
      peer { $0.expired = true }, peer { $0.keyExpiry = now },
      peer { $0.keyExpiry = now + .seconds(-1) },
    ] {
      let peer = try #require(PipelineConfiguration.Peer(node, acceptsRoutes: true, at: now))
      #expect(peer.path.isExpired && peer.tunnel.allowedIPs.isEmpty && peer.path.endpoints.isEmpty)
    }
    let valid = peer { $0.keyExpiry = now + .seconds(1) }
    #expect(
      PipelineConfiguration.Peer(valid, acceptsRoutes: true, at: now)?.path.isExpired == false
    )
    let never = peer { $0.keyExpiry = .zero }
    #expect(
      PipelineConfiguration.Peer(never, acceptsRoutes: true, at: now)?.path.isExpired == false
    )
  }

  @Test("A peer without discovery key is taken only when it speaks plain WireGuard")
  func discovery() {
    let silent = peer { $0.discoKey = .zero }
    #expect(PipelineConfiguration.Peer(silent, acceptsRoutes: false, at: now) == nil)
    let plain = peer {
      $0.discoKey = .zero
      $0.isWireGuardOnly = true
    }
    #expect(PipelineConfiguration.Peer(plain, acceptsRoutes: false, at: now) != nil)
    let keyless = peer { $0.key = .zero }
    #expect(PipelineConfiguration.Peer(keyless, acceptsRoutes: false, at: now) == nil)
  }

  @Test("The home relay is read in the new form and in the legacy one")
  func home() throws {
    func region(_ node: Node) -> RegionID? {
      PipelineConfiguration.Peer(node, acceptsRoutes: false, at: now)?.path.homeRegion
    }
    #expect(try region(peer()) == RegionID(900))
    #expect(
      region(
        peer {
          $0.homeDERP = 0
          $0.legacyDERP = "127.3.3.40:7"
        }
      ) == RegionID(7)
    )
    #expect(
      region(
        peer {
          $0.homeDERP = 0
          $0.legacyDERP = "1.2.3.4:7"
        }
      ) == nil
    )
  }

  @Test("Routes lead to peers and to the service addresses, in the families this node has")
  func routes() throws {
    let own = [IPPrefix(host: IPAddress(100, 64, 0, 1))]
    let reachable = [
      try prefix("100.64.0.2/32"), try prefix("fd7a:115c:a1e0::2/128"), try prefix("10.0.0.0/8"),
    ]
    #expect(
      NodeConfiguration.routes(to: reachable, from: own)
        == [
          try prefix("10.0.0.0/8"), try prefix("100.64.0.2/32"), try prefix("100.100.100.100/32"),
        ]
    )
    let both = own + [try prefix("fd7a:115c:a1e0::1/128")]
    let routes = NodeConfiguration.routes(to: reachable, from: both)
    #expect(routes.contains(TailnetRanges.v6))
    #expect(routes.contains(try prefix("fd7a:115c:a1e0::53/128")))
    #expect(NodeConfiguration.routes(to: reachable, from: []).isEmpty)
  }

  @Test("Very many peers share one route")
  func coarse() throws {
    let own = [IPPrefix(host: IPAddress(100, 64, 0, 1))]
    let many = (0...NodeConfiguration.maximumHostRoutes).map {
      IPPrefix(host: IPAddress(v4: IPAddress(100, 65, 0, 0).v4Bits + UInt32($0)))
    }
    #expect(
      NodeConfiguration.routes(to: many, from: own)
        == [TailnetRanges.v4, try prefix("100.100.100.100/32")]
    )
  }

  @Test("A rule in the obsolete form makes the whole filter allow nothing")
  func obsolete() {
    var rule = FilterRule()
    rule.srcIPs = ["*"]
    rule.dstPorts = [NetPortRange(ip: "*", ports: PortRange(first: 0, last: 65535))]
    #expect(FilterRules([rule]).rules.count == 1)
    var old = rule
    old.srcBits = [32]
    #expect(FilterRules([rule, old]).rules.isEmpty)
    var bits = rule
    bits.dstPorts[0].bits = 32
    #expect(FilterRules([rule, bits]).rules.isEmpty)
  }

  @Test("Grants go to addresses, by name and by value")
  func grants() throws {
    var rule = FilterRule()
    rule.srcIPs = ["100.64.0.2", "cap:admin", "nonsense"]
    rule.capGrant = [
      CapGrant(
        dsts: [try prefix("100.64.0.1/32")],
        caps: ["a"],
        capMap: ["b": [Array("1".utf8)]]
      )
    ]
    let read = FilterRules([rule])
    #expect(read.grants.map(\.name) == ["a", "b"])
    #expect(read.grants.allSatisfy { $0.sources.contains(IPAddress(100, 64, 0, 2)) })
    #expect(read.problems.count == 1)
  }
}
