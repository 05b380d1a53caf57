// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Netmap
import Testing
import Timing

@Suite("Deltas of the network map")
struct MapDeltaTests {
  @Test("An empty response changes nothing")
  func empty() {
    let before = network()
    var map = before
    let change = map.apply(MapResponse(), at: noon)
    #expect(change.isEmpty && change == NetmapChange() && map == before)
  }

  @Test("A list of peers replaces all, and other news of peers in the message do not count")
  func wholeList() {
    var map = network()
    let change = map.apply {
      $0.peers = [node(2), node(3) { $0.homeDERP = 7 }, node(5)]
      $0.peersRemoved = [2]
      $0.peersChanged = [node(8)]
      $0.onlineChange = [2: true]
    }
    #expect(map.peers.map(\.id) == [2, 3, 5])
    #expect(map.peer(2)?.online == nil)
    #expect(change.peersChanged == [3, 5] && change.peersRemoved == [4])
  }

  @Test("An empty list of peers does not mean that there are none")
  func emptyList() throws {
    var map = network()
    let change = try map.apply(#"{"Peers":[]}"#)
    #expect(change.isEmpty && map.peers.count == 3)
  }

  @Test("Peers are removed, added and replaced by number")
  func byNumber() {
    var map = network()
    let change = map.apply {
      $0.peersRemoved = [2, 77]
      $0.peersChanged = [node(3) { $0.key = key(30) }, node(9), node(4)]
    }
    #expect(map.peers.map(\.id) == [3, 4, 9])
    #expect(change.peersChanged == [3, 9] && change.peersRemoved == [2])
    #expect(map.peer(with: key(3)) == nil && map.peer(with: key(30))?.id == 3)
  }

  @Test("A peer that is removed and told anew in one message stays, as a changed one")
  func removedAndAdded() {
    var map = network()
    let change = map.apply {
      $0.peersRemoved = [2]
      $0.peersChanged = [node(2)]
    }
    #expect(map.peer(2) != nil && change.peersChanged == [2] && change.peersRemoved == [])
  }

  @Test("Being seen is a change of its own kind")
  func seen() {
    var map = network()
    var change = map.apply { $0.peerSeenChange = [2: true] }
    #expect(map.peer(2)?.lastSeen == noon)
    #expect(change.peersSeen == [2] && change.peersChanged == [] && !change.isEmpty)
    change = map.apply { $0.peerSeenChange = [2: false, 3: false] }
    #expect(map.peer(2)?.lastSeen == nil && change.peersSeen == [2])
    change = map.apply { $0.onlineChange = [2: true, 3: false] }
    #expect(map.peer(2)?.online == true && map.peer(3)?.online == false)
    #expect(change.peersSeen == [2, 3] && change.peersChanged == [])
    change = map.apply { $0.peersChanged = [node(3) { $0.online = true }] }
    #expect(change.peersSeen == [3] && change.peersChanged == [])
  }

  @Test("News of peers are applied in the order that the protocol gives, whatever the JSON says")
  func order() throws {
    var map = network()
    let change = try map.apply(
      """
      {"PeersChangedPatch":[{"NodeID":2,"Online":false,"Cap":90},{"NodeID":2,"Cap":91}],
       "OnlineChange":{"2":true,"3":true},"PeerSeenChange":{"2":true},"PeersRemoved":[2,3]}
      """
    )
    #expect(map.peers.map(\.id) == [4] && change.peersRemoved == [2, 3])
    #expect(map.ignoredChanges == 5)
    _ = map.apply {
      $0.peersChangedPatch = [
        PeerChange(nodeID: 4, cap: 90, online: false), PeerChange(nodeID: 4, cap: 91),
      ]
      $0.onlineChange = [4: true]
      $0.peersChanged = [node(4) { ($0.cap, $0.online) = (80, nil) }]
    }
    #expect(map.peer(4)?.cap == 91 && map.peer(4)?.online == false)
  }

  /// A member of a patch, and what it does to a peer.
  struct Patch: Sendable {
    var member: String
    var effect: @Sendable (inout Node) -> Void

    init(_ member: String, _ effect: @escaping @Sendable (inout Node) -> Void) {
      (self.member, self.effect) = (member, effect)
    }
  }

  @Test(
    "A patch changes what it names and nothing else",
    arguments: [
      Patch(#""DERPRegion":7"#) { $0.homeDERP = 7 },
      Patch(#""Cap":120"#) { $0.cap = 120 },
      Patch(#""CapMap":{"x":["1"],"y":null}"#) {
        $0.capMap = ["x": [Array(#""1""#.utf8)], "y": []]
      },
      Patch(#""CapMap":{}"#) { $0.capMap = [:] },
      Patch(#""Endpoints":["192.0.2.1:5"]"#) { $0.endpoints = [Endpoint("192.0.2.1:5")!] },
      Patch(#""Endpoints":[]"#) { $0.endpoints = [] },
      Patch(#""Key":"\#(key(99))""#) { $0.key = key(99) },
      Patch(#""KeySignature":"AQI=""#) { $0.keySignature = [1, 2] },
      Patch(#""DiscoKey":"\#(discoKey(99))""#) { $0.discoKey = discoKey(99) },
      Patch(#""Online":true"#) { $0.online = true },
      Patch(#""LastSeen":"2027-01-15T08:00:01Z""#) { $0.lastSeen = noon + .seconds(1) },
      Patch(#""LastSeen":"0001-01-01T00:00:00Z""#) { $0.lastSeen = nil },
      Patch(#""KeyExpiry":"2027-01-15T08:00:01Z""#) { $0.keyExpiry = noon + .seconds(1) },
      Patch(#""KeyExpiry":"0001-01-01T00:00:00Z""#) { $0.keyExpiry = nil },
    ]
  )
  func patch(patch: Patch) throws {
    let member = patch.member
    var map = network()
    _ = map.apply {
      $0.peersChanged = [
        node(2) {
          ($0.homeDERP, $0.cap, $0.capMap) = (1, 100, ["a": []])
          ($0.endpoints, $0.keySignature) = ([Endpoint("192.0.2.9:1")!], [9])
          ($0.online, $0.lastSeen, $0.keyExpiry) = (false, noon, noon)
        }
      ]
    }
    var wanted = try #require(map.peer(2))
    patch.effect(&wanted)
    let change = try map.apply("{\"PeersChangedPatch\":[{\"NodeID\":2,\(member)}]}")
    #expect(map.peer(2) == wanted)
    let isSighting = member.contains("Online") || member.contains("LastSeen")
    #expect(change.peersSeen == (isSighting ? [2] : []))
    #expect(change.peersChanged == (isSighting ? [] : [2]))
    #expect(try map.apply("{\"PeersChangedPatch\":[{\"NodeID\":2,\(member)}]}").isEmpty)
  }

  @Test("A patch that names nothing changes nothing, and nulls name nothing")
  func emptyPatch() throws {
    let before = network()
    var map = before
    let change = try map.apply(
      #"{"PeersChangedPatch":[{"NodeID":2},{"NodeID":3,"CapMap":null,"Endpoints":null,"Key":null}]}"#
    )
    #expect(change.isEmpty && map == before)
  }

  @Test("Old news of a peer that is away do not take its discovery key back")
  func discoveryKey() {
    var map = network()
    _ = map.apply {
      $0.peersChanged = [node(2) { ($0.discoKey, $0.lastSeen) = (discoKey(50), noon) }]
    }
    func patch(_ key: UInt8, _ online: Bool?, _ seen: Timestamp?) -> MapResponse {
      response {
        $0.peersChangedPatch = [
          PeerChange(nodeID: 2, discoKey: discoKey(key), online: online, lastSeen: seen)
        ]
      }
    }
    _ = map.apply(patch(51, false, noon), at: noon)
    #expect(map.peer(2)?.discoKey == discoKey(50))
    _ = map.apply(patch(51, false, nil), at: noon)
    #expect(map.peer(2)?.discoKey == discoKey(50))
    _ = map.apply {
      $0.peersChanged = [
        node(2) { ($0.discoKey, $0.online, $0.lastSeen) = (discoKey(51), false, noon) }
      ]
    }
    #expect(map.peer(2)?.discoKey == discoKey(50))
    _ = map.apply(patch(51, false, noon + .seconds(1)), at: noon)
    #expect(map.peer(2)?.discoKey == discoKey(51))
    _ = map.apply(patch(52, true, nil), at: noon)
    #expect(map.peer(2)?.discoKey == discoKey(52))
    _ = map.apply(patch(53, nil, nil), at: noon)
    #expect(map.peer(2)?.discoKey == discoKey(53))
  }

  @Test("This node is replaced whole")
  func selfNode() {
    var map = network()
    #expect(map.apply { $0.node = node(1) }.isEmpty)
    let change = map.apply { $0.node = node(1) { $0.keyExpiry = noon } }
    #expect(change.selfChanged && change.peersChanged == [])
    #expect(map.selfNode?.keyExpiry == noon)
  }

  @Test("Packet filters go by name, in the order of the names; null takes one or all away")
  func filters() throws {
    func rule(_ source: String) -> FilterRule { FilterRule(srcIPs: [source]) }
    var map = network()
    #expect(map.hasFilter && map.filterRules == [])
    func sources() -> [String] { map.filterRules.flatMap(\.srcIPs) }
    var change = map.apply { $0.packetFilters = ["z": [rule("z")], "a": [rule("a"), rule("b")]] }
    #expect(change.filterChanged && sources() == ["a", "b", "z"])
    change = map.apply { $0.packetFilter = [rule("m")] }
    #expect(change.filterChanged && sources() == ["a", "b", "m", "z"])
    change = try map.apply(#"{"PacketFilters":{"a":null}}"#)
    #expect(change.filterChanged && sources() == ["m", "z"])
    change = try map.apply(#"{"PacketFilters":{"z":[{"SrcIPs":["z"]}]}}"#)
    #expect(!change.filterChanged && change.isEmpty)
    change = try map.apply(#"{"PacketFilters":{"base":[]}}"#)
    #expect(change.filterChanged && sources() == ["z"])
    change = try map.apply(#"{"PacketFilters":{"n":[{"SrcIPs":["n"]}],"*":null}}"#)
    #expect(change.filterChanged && sources() == ["n"])
    change = try map.apply(#"{"PacketFilter":null,"PacketFilters":{}}"#)
    #expect(change.isEmpty && sources() == ["n"])
    change = try map.apply(#"{"PacketFilter":[]}"#)
    #expect(sources() == ["n"])
    _ = try map.apply(#"{"PacketFilters":{"*":null}}"#)
    #expect(sources() == [] && map.hasFilter)
  }

  @Test("That nobody may speak to this node is news when nothing was said before")
  func firstFilter() throws {
    var map = NetworkMap()
    _ = map.apply { $0.node = node(1) }
    #expect(!map.hasFilter)
    let change = try map.apply(#"{"PacketFilter":[]}"#)
    #expect(change.filterChanged && map.hasFilter)
  }

  @Test("The relay map keeps its regions unless they are told, and forgets those that are null")
  func relays() throws {
    var map = network()
    var change = try map.apply(#"{"DERPMap":{"HomeParams":{"RegionScore":{"1":2}}}}"#)
    #expect(change.relaysChanged && map.derpMap?.regions?.keys.sorted() == [1])
    #expect(map.derpMap?.homeParams?.regionScore == [1: 2])
    change = try map.apply(#"{"DERPMap":{"omitDefaultRegions":true}}"#)
    #expect(change.isEmpty && map.derpMap?.omitDefaultRegions == false)
    change = try map.apply(
      #"{"DERPMap":{"Regions":{"1":null,"900":{"RegionID":900}},"omitDefaultRegions":true}}"#
    )
    #expect(change.relaysChanged && map.derpMap?.regions?.keys.sorted() == [900])
    #expect(map.derpMap?.omitDefaultRegions == true)
    #expect(map.derpMap?.homeParams?.regionScore == [1: 2])
    change = try map.apply(#"{"DERPMap":{"Regions":{}}}"#)
    #expect(change.relaysChanged && map.derpMap?.regions == [:])
  }

  @Test("User profiles are added and replaced, never removed")
  func users() {
    var map = network()
    var change = map.apply { $0.userProfiles = [UserProfile(id: 2, loginName: "bob")] }
    #expect(change.usersChanged && map.userProfiles.keys.sorted() == [1, 2])
    change = map.apply { $0.userProfiles = [UserProfile(id: 2, loginName: "bob")] }
    #expect(change.isEmpty)
    change = map.apply { $0.userProfiles = [UserProfile(id: 1, loginName: "eve")] }
    #expect(change.usersChanged && map.userProfiles[1]?.loginName == "eve")
  }

  @Test("Names, rules and settings are replaced when they are told")
  func settings() throws {
    var map = network()
    var change = try map.apply(#"{"DNSConfig":{"Proxied":true}}"#)
    #expect(change.dnsChanged && map.dnsConfig == DNSConfig(proxied: true))
    change = try map.apply(#"{"Domain":"other"}"#)
    #expect(change.domainChanged && map.domain == "other")
    change = try map.apply(#"{"SSHPolicy":{"rules":[]}}"#)
    #expect(change.sshPolicyChanged && map.sshPolicy == Array(#"{"rules":[]}"#.utf8))
    change = try map.apply(#"{"TKAInfo":{"Head":"H"}}"#)
    #expect(change.lockChanged && map.tkaInfo?.head == "H")
    change = try map.apply(#"{"CollectServices":true,"DomainDataPlaneAuditLogID":"l"}"#)
    #expect(change.settingsChanged && map.collectServices == true)
    #expect(map.domainDataPlaneAuditLogID == "l")
    change = try map.apply(#"{"CollectServices":true,"Domain":"other","TKAInfo":{"Head":"H"}}"#)
    #expect(change.isEmpty)
    change = try map.apply(#"{"DefaultAutoUpdate":false}"#)
    #expect(change.settingsChanged && map.defaultAutoUpdate == false)
  }

  @Test("Messages for people go by name; the older list counts only while there are none")
  func messages() throws {
    var map = network()
    var change = try map.apply(#"{"Health":["a","b"]}"#)
    #expect(change.messagesChanged && map.messages.map(\.text) == ["a", "b"])
    change = try map.apply(#"{"DisplayMessages":{"z":{"Title":"Z"},"y":{"Title":"Y"}}}"#)
    #expect(change.messagesChanged && map.messages.map(\.title) == ["Y", "Z"])
    change = try map.apply(#"{"Health":["c"]}"#)
    #expect(!change.messagesChanged)
    change = try map.apply(#"{"DisplayMessages":{"z":null,"none":null}}"#)
    #expect(change.messagesChanged && map.messages.map(\.title) == ["Y"])
    change = try map.apply(#"{"DisplayMessages":{"*":null,"x":{"Title":"X"}}}"#)
    #expect(map.messages.map(\.title) == ["X"])
    change = try map.apply(#"{"DisplayMessages":{"*":null},"Health":[]}"#)
    #expect(change.messagesChanged && map.messages == [])
  }

  @Test("Only a clock that is wrong by more than a minute is corrected")
  func clock() throws {
    var map = network()
    func told(_ seconds: Int64) -> MapResponse {
      response { $0.controlTime = noon + .seconds(seconds) }
    }
    #expect(map.apply(told(59), at: noon).isEmpty)
    #expect(map.serverTime(at: noon) == noon)
    let change = map.apply(told(3600), at: noon)
    #expect(change.clockChanged && map.serverTime(at: noon) == noon + .seconds(3600))
    #expect(map.apply(told(3630), at: noon).isEmpty)
    let peer = node(9) { $0.keyExpiry = noon + .seconds(1800) }
    #expect(map.isExpired(peer, at: noon))
    #expect(!map.isExpired(node(9), at: noon))
    #expect(map.isExpired(node(9) { $0.expired = true }, at: noon))
    #expect(map.apply(told(-1), at: noon).clockChanged && map.serverClockOffset == .zero)
    #expect(!map.isExpired(peer, at: noon))
  }

  @Test("It is known when the next key ends")
  func expiry() {
    var map = network()
    #expect(map.nextKeyExpiry(after: noon) == nil)
    _ = map.apply {
      $0.node = node(1) { $0.keyExpiry = noon + .seconds(50) }
      $0.peersChangedPatch = [
        PeerChange(nodeID: 2, keyExpiry: noon + .seconds(30)),
        PeerChange(nodeID: 3, keyExpiry: noon),
      ]
    }
    #expect(map.nextKeyExpiry(after: noon) == noon + .seconds(30))
    #expect(map.nextKeyExpiry(after: noon + .seconds(30)) == noon + .seconds(50))
    #expect(map.nextKeyExpiry(after: noon + .seconds(50)) == nil)
  }
}
