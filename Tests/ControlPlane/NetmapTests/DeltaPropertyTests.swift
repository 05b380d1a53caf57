// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Keys
import TestSupport
import Testing
import Timing

@testable import Netmap

/// What a server knows, told in deltas to one map and whole to another.
private struct Server {
  var own = node(200)
  var peers: [Int64: Node] = [:]
  var filters: [String: [FilterRule]] = [:]
  var users: [Int64: UserProfile] = [:]
  var messages: [String: DisplayMessage] = [:]
  var relays = DERPMap(regions: [:])
  var names = DNSConfig()
  var domain = "example"
  var now = noon
  var chance: SplitMix

  /// The map that says everything.
  var whole: MapResponse {
    response {
      $0.node = own
      $0.peers = Array(peers.values)
      $0.packetFilters = filters.mapValues { $0 }
      $0.packetFilters["*"] = .some(nil)
      $0.userProfiles = Array(users.values)
      $0.displayMessages = messages.mapValues { $0 }
      $0.derpMap = relays
      $0.dnsConfig = names
      $0.domain = domain
    }
  }

  /// Lets something happen, and tells it as a delta.
  mutating func step() -> MapResponse {
    now = now + .seconds(1)
    var delta = MapResponse()
    if chance.once(in: 12) { remakePeers(&delta) } else { changePeers(&delta) }
    if chance.once(in: 6) {
      own.capMap["c\(number(3))"] = [[48 + number(9)]]
      delta.node = own
    }
    if chance.once(in: 3) { changeFilters(&delta) }
    if chance.once(in: 3) { changeMessages(&delta) }
    if chance.once(in: 4) {
      let user = UserProfile(id: Int64(number(5)), loginName: "u\(number(9))")
      users[user.id] = user
      delta.userProfiles = [user]
    }
    if chance.once(in: 5) {
      let region = Int(number(4))
      relays = DERPMap(regions: [region: DERPRegion(regionID: region)])
      delta.derpMap = relays
    }
    if chance.once(in: 5) {
      names = DNSConfig(domains: ["d\(number(3))"])
      delta.dnsConfig = names
    }
    if chance.once(in: 8) {
      domain = "example\(number(3))"
      delta.domain = domain
    }
    return delta
  }

  private mutating func number(_ limit: UInt8) -> UInt8 {
    UInt8.random(in: 1...limit, using: &chance)
  }

  /// A peer whose key and addresses may be those of others.
  private mutating func peer(_ id: Int64) -> Node {
    node(UInt8(id)) {
      $0.key = chance.once(in: 10) ? .zero : key(number(60))
      $0.addresses = (0..<number(3)).map { _ in
        IPPrefix(host: IPAddress(100, 64, 0, number(60)))
      }
      $0.discoKey = peers[id]?.discoKey ?? discoKey(number(60))
      $0.legacyDERP = chance.once(in: 4) ? "127.3.3.40:\(number(9))" : ""
      $0.homeDERP = chance.once(in: 2) ? Int(number(9)) : 0
      $0.allowedIPs = chance.once(in: 4) ? prefixes("10.0.0.0/8") : nil
      $0.unsignedPeerAPIOnly = chance.once(in: 9)
      $0.online = [nil, true, false][Int(number(3)) - 1]
    }
  }

  private mutating func remakePeers(_ delta: inout MapResponse) {
    let known = peers
    peers = [:]
    // An empty list would say nothing.
    for _ in 0..<number(30) {
      let id = Int64(number(50))
      peers[id] = peer(id)
      // Another key of a peer that is away would be taken for an old one.
      if let key = known[id]?.discoKey { peers[id]?.discoKey = key }
    }
    delta.peers = peers.values.shuffled(using: &chance)
    delta.onlineChange = [1: true]
  }

  private mutating func changePeers(_ delta: inout MapResponse) {
    while chance.once(in: 2), let id = peers.keys.sorted().randomElement(using: &chance) {
      peers[id] = nil
      delta.peersRemoved.append(id)
    }
    while chance.once(in: 2) {
      let id = Int64(number(50))
      let node = peer(id)
      peers[id] = node
      delta.peersChanged.removeAll { $0.id == id }
      delta.peersChanged.append(node)
    }
    while chance.once(in: 2), let id = peers.keys.sorted().randomElement(using: &chance) {
      let isSeen = chance.once(in: 2)
      delta.peerSeenChange[id] = isSeen
      peers[id]?.lastSeen = isSeen ? now : nil
    }
    while chance.once(in: 2), let id = peers.keys.sorted().randomElement(using: &chance) {
      let isOnline = chance.once(in: 2)
      delta.onlineChange[id] = isOnline
      peers[id]?.online = isOnline
    }
    while chance.once(in: 2), let id = peers.keys.sorted().randomElement(using: &chance) {
      delta.peersChangedPatch.append(patch(id))
    }
  }

  private mutating func patch(_ id: Int64) -> PeerChange {
    var patch = PeerChange(nodeID: id)
    if chance.once(in: 3) {
      patch.derpRegion = Int(number(9))
      peers[id]?.homeDERP = patch.derpRegion
    }
    if chance.once(in: 3) {
      let key = key(number(60))
      patch.key = key
      peers[id]?.key = key
    }
    if chance.once(in: 3) {
      let key = discoKey(number(60))
      (patch.discoKey, patch.online) = (key, true)
      peers[id]?.discoKey = key
      peers[id]?.online = true
    }
    if chance.once(in: 3) {
      let places = (0..<number(3)).map { sure(Endpoint("192.0.2.1:\($0 + 1)")) }
      patch.endpoints = places
      peers[id]?.endpoints = places
    }
    if chance.once(in: 3) {
      patch.lastSeen = now
      peers[id]?.lastSeen = now
    }
    if chance.once(in: 3) {
      patch.keyExpiry = chance.once(in: 2) ? .zero : now
      peers[id]?.keyExpiry = patch.keyExpiry == .zero ? nil : now
    }
    if chance.once(in: 3) {
      patch.cap = Int(number(200))
      peers[id]?.cap = patch.cap
    }
    if chance.once(in: 3) {
      let capabilities: [String: [[UInt8]]] = ["c\(number(5))": []]
      patch.capMap = capabilities
      peers[id]?.capMap = capabilities
    }
    return patch
  }

  private mutating func changeFilters(_ delta: inout MapResponse) {
    if chance.once(in: 4) {
      filters = [:]
      delta.packetFilters["*"] = .some(nil)
    }
    while chance.once(in: 2) {
      let name = "f\(number(4))"
      let rules = chance.once(in: 3) ? nil : [FilterRule(srcIPs: ["\(number(9))"])]
      filters[name] = rules
      delta.packetFilters[name] = .some(rules)
    }
  }

  private mutating func changeMessages(_ delta: inout MapResponse) {
    if chance.once(in: 4) {
      messages = [:]
      delta.displayMessages["*"] = .some(nil)
    }
    while chance.once(in: 2) {
      let name = "m\(number(4))"
      let message = chance.once(in: 3) ? nil : DisplayMessage(title: "\(number(9))")
      messages[name] = message
      delta.displayMessages[name] = .some(message)
    }
  }
}

@Suite("Any deltas lead to the map that says everything at once")
struct DeltaPropertyTests {
  @Test(
    "However the network changes, and however it is told",
    arguments: 1...40 as ClosedRange<UInt64>
  )
  func anyDeltas(seed: UInt64) {
    var server = Server(chance: SplitMix(state: seed))
    var map = NetworkMap()
    _ = map.apply(server.whole, at: server.now)
    for step in 0..<60 {
      let before = map
      let delta = server.step()
      let change = map.apply(delta, at: server.now)
      var rebuilt = NetworkMap()
      _ = rebuilt.apply(server.whole, at: server.now)
      #expect(map.parts(differingFrom: rebuilt) == [], "seed \(seed), step \(step)")
      let difference = NetmapChange(from: before, to: map)
      #expect(change.covers(difference), "seed \(seed), step \(step)")
      // A new stream that tells the same is no news.
      var restarted = map
      restarted.beginStream()
      let repetition = restarted.apply(server.whole, at: server.now)
      #expect(repetition.isEmpty && restarted == map, "seed \(seed), step \(step)")
      guard map == rebuilt else { return }
    }
  }
}

extension NetworkMap {
  /// The names of the properties that differ.
  fileprivate func parts(differingFrom other: NetworkMap) -> [String] {
    if self == other { return [] }
    let pairs = zip(Mirror(reflecting: self).children, Mirror(reflecting: other).children)
    let names = pairs.filter { "\($0.value)" != "\($1.value)" }.map { $0.0.label ?? "?" }
    return names + ["something"]
  }
}

extension NetmapChange {
  /// Whether this tells of everything that differs, and not of more peers having gone.
  fileprivate func covers(_ difference: NetmapChange) -> Bool {
    difference.peersChanged.isSubset(of: peersChanged)
      && difference.peersSeen.isSubset(of: peersSeen.union(peersChanged))
      && difference.peersRemoved == peersRemoved && difference.selfChanged == selfChanged
      && difference.filterChanged == filterChanged && difference.usersChanged == usersChanged
      && difference.relaysChanged == relaysChanged && difference.dnsChanged == dnsChanged
      && difference.domainChanged == domainChanged
      && difference.messagesChanged == messagesChanged
  }
}
