// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import JSON
import Netmap
import TestSupport
import Testing
import Timing

@Suite("The first map of a stream")
struct FirstMapTests {
  @Test("A real server's first map is taken over whole")
  func sample() throws {
    let bytes = try Fixture.bytes("Samples/mapresponse-testctl.json")
    let response = try MapResponse(json: bytes)
    var map = NetworkMap()
    let change = map.apply(response, at: noon)
    #expect(change.selfChanged && change.relaysChanged)
    #expect(map.selfNode?.key == response.node?.key)
    #expect(map.peers.map(\.id) == response.peers.map(\.id).sorted())
    #expect(map.derpMap?.regions?.keys == response.derpMap?.regions?.keys)
    #expect(map.domain == response.domain)
    #expect(change.problems == [])
    #expect(map.apply(response, at: noon).isEmpty)
  }

  @Test("Everything is new in the first map")
  func everything() {
    var map = NetworkMap()
    #expect(map.peers == [] && map.selfNode == nil && !map.hasFilter && map.magicDNSSuffix == "")
    let change = map.apply {
      $0.node = node(1)
      $0.peers = [node(3), node(2)]
      $0.packetFilter = [FilterRule(srcIPs: ["*"])]
      $0.userProfiles = [UserProfile(id: 1)]
      $0.domain = "example"
    }
    #expect(change.selfChanged && change.filterChanged && change.usersChanged)
    #expect(change.domainChanged && !change.relaysChanged && !change.dnsChanged)
    #expect(change.peersChanged == [2, 3] && change.peersSeen == [] && change.peersRemoved == [])
    #expect(map.peers.map(\.id) == [2, 3])
    #expect(map.peer(2)?.key == key(2) && map.peer(1) == nil)
    #expect(map.peer(with: key(3))?.id == 3 && map.peer(with: key(1)) == nil)
    #expect(map.node(at: address("100.64.0.2"))?.id == 2)
    #expect(map.node(at: address("fd7a:115c:a1e0::1"))?.id == 1)
    #expect(map.node(at: address("100.64.0.9")) == nil)
    #expect(map.magicDNSSuffix == "tail.example")
  }

  @Test("The first map of a new stream says everything: what it leaves out is gone")
  func newStream() {
    var map = network()
    _ = map.apply { $0.packetFilters = ["extra": [FilterRule(srcIPs: ["*"])]] }
    map.beginStream()
    #expect(map.peers.count == 3, "what is known holds until the new map comes")
    let change = map.apply {
      $0.node = node(1)
      $0.packetFilters = ["base": []]
      $0.peersChanged = [node(4)]
    }
    #expect(change.peersRemoved == [2, 3] && change.peersChanged == [] && !change.selfChanged)
    #expect(change.filterChanged && map.filterRules == [] && map.hasFilter)
    #expect(change.relaysChanged && map.derpMap == nil)
    #expect(change.dnsChanged && map.dnsConfig == nil)
    #expect(change.usersChanged && change.domainChanged && map.domain == "")
    #expect(map.peer(with: key(2)) == nil && map.peer(with: key(4))?.id == 4)
  }

  @Test("A new stream with an equal map changes nothing")
  func equalStream() {
    let before = network()
    var map = before
    map.beginStream()
    let change = map.apply {
      $0.node = node(1)
      $0.peers = [node(4), node(3), node(2)]
      $0.packetFilters = ["base": []]
      $0.derpMap = DERPMap(regions: [1: DERPRegion(regionID: 1)])
      $0.dnsConfig = DNSConfig(domains: ["tail.example"])
      $0.domain = "example"
      $0.userProfiles = [UserProfile(id: 1, loginName: "ada")]
    }
    #expect(change.isEmpty)
    #expect(map == before)
  }

  @Test("A sign of life does not begin a map, and changes nothing of the network")
  func keepAlive() {
    var map = network()
    map.beginStream()
    let change = map.apply {
      $0.keepAlive = true
      $0.peersRemoved = [2]
      $0.node = node(9)
    }
    #expect(change.isEmpty && map.peers.count == 3 && map.selfNode?.id == 1)
  }

  @Test("What is not of the network outlives the stream")
  func outlives() throws {
    var map = network()
    _ = try map.apply(
      #"{"KeepAlive":true,"ControlDialPlan":{"Candidates":[{"IP":"192.0.2.1"}]}}"#
    )
    _ = try map.apply(#"{"KeepAlive":true,"ClientVersion":{"LatestVersion":"2"}}"#)
    map.beginStream()
    _ = map.apply { $0.node = node(1) }
    #expect(map.controlDialPlan?.candidates.first?.ip == address("192.0.2.1"))
    #expect(map.clientVersion?.latestVersion == "2")
  }

  @Test("Older forms are spelled out: the home relay, what a peer may send from, capabilities")
  func olderForms() {
    var map = NetworkMap()
    _ = map.apply {
      $0.node = node(1) {
        $0.capabilities = ["a", "b"]
        $0.capMap = ["b": [[49]]]
      }
      $0.peers = [
        node(2) { $0.legacyDERP = "127.3.3.40:901" },
        node(3) { ($0.legacyDERP, $0.homeDERP) = ("127.3.3.40:901", 2) },
        node(4) { $0.legacyDERP = "192.0.2.1:7" },
        node(5) { $0.allowedIPs = [] },
        node(6) { ($0.unsignedPeerAPIOnly, $0.allowedIPs) = (true, prefixes("0.0.0.0/0")) },
      ]
    }
    #expect(map.peers.map(\.homeDERP) == [901, 2, 0, 0, 0])
    #expect(map.peer(2)?.allowedIPs == node(2).addresses)
    #expect(map.peer(5)?.allowedIPs == [])
    #expect(map.peer(6)?.allowedIPs == node(6).addresses)
    #expect(map.selfNode?.capMap == ["a": [], "b": [[49]]])
    #expect(map.hasCapability("a") && !map.hasCapability("c"))
  }

  @Test("Names end with what is left of this node's name, or with the first search domain")
  func suffix() {
    func suffix(_ name: String, _ domains: [String]) -> String {
      var map = NetworkMap()
      _ = map.apply {
        $0.node = node(1) { $0.name = name }
        $0.dnsConfig = DNSConfig(domains: domains)
      }
      return map.magicDNSSuffix
    }
    #expect(suffix("a.b.c.", []) == "b.c")
    #expect(suffix("a.b", ["x"]) == "b")
    #expect(suffix("a", ["x.y", "z"]) == "x.y")
    #expect(suffix("", []) == "")
    #expect(suffix("...", []) == "")
  }
}
