// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import JSON
import Keys
import Netmap
import TestSupport
import Testing
import Timing

@Suite("Maps that make no sense")
struct HostileMapTests {
  @Test("News of peers that are not known are counted and told, not applied")
  func unknownPeers() {
    let before = network()
    var map = before
    let change = map.apply {
      $0.peersChangedPatch = [PeerChange(nodeID: 77, cap: 1), PeerChange(nodeID: 1, cap: 1)]
      $0.onlineChange = [78: true]
      $0.peerSeenChange = [79: true]
      $0.peersRemoved = [80]
    }
    #expect(change.isEmpty && map.ignoredChanges == 4)
    #expect(
      change.problems == [79, 78, 77, 1].map { "peer \($0) changes but is not known" }
    )
    #expect(map.peersByID == before.peersByID && map.selfNode == before.selfNode)
  }

  @Test("A peer that claims to be this node is none, whether by number or by key")
  func impostors() {
    var map = network()
    let change = map.apply {
      $0.peersChanged = [
        node(1), node(9) { $0.key = key(1) }, node(3) { $0.key = key(1) }, node(5),
      ]
      $0.peersChangedPatch = [PeerChange(nodeID: 2, cap: 7, key: key(1))]
    }
    #expect(map.peers.map(\.id) == [2, 4, 5])
    #expect(map.peer(2) == network().peer(2))
    #expect(change.peersRemoved == [3] && change.peersChanged == [5])
    #expect(map.ignoredChanges == 4 && change.problems.count == 4)
  }

  @Test("This node takes its number and its key from peers that have them")
  func selfWins() {
    var map = network(to: 6)
    _ = map.apply { $0.peersChanged = [node(6) { $0.key = key(5) }] }
    let change = map.apply { $0.node = node(2) { $0.key = key(5) } }
    #expect(map.selfNode?.id == 2)
    #expect(map.peers.map(\.id) == [3, 4])
    #expect(change.selfChanged && change.peersRemoved == [2, 5, 6])
    #expect(map.peer(with: key(5)) == nil && map.peer(with: key(2)) == nil)
  }

  @Test("Peers without a number are left out", arguments: [0, -1, Int64.min])
  func numbers(id: Int64) {
    var map = network()
    let change = map.apply { $0.peersChanged = [node(9) { $0.id = id }] }
    #expect(map.peers.count == 3 && change.isEmpty && change.problems.count == 1)
  }

  @Test("The last counts of peers that are told twice")
  func twice() {
    var map = network()
    let change = map.apply {
      $0.peers = [node(2) { $0.cap = 1 }, node(3), node(2) { $0.cap = 2 }]
    }
    #expect(map.peers.map(\.id) == [2, 3] && map.peer(2)?.cap == 2)
    #expect(change.problems == ["peer 2 is told twice: the last counts"])
  }

  @Test("Keys and addresses that several peers claim stay theirs; the lowest number answers")
  func rivals() {
    var map = network()
    let change = map.apply {
      $0.peersChanged = [
        node(9) { $0.addresses = node(2).addresses }, node(8) { $0.key = key(3) },
        node(7) { $0.addresses += node(2).addresses + node(7).addresses },
      ]
    }
    #expect(change.problems.count == 5)
    #expect(map.peers.map(\.id) == [2, 3, 4, 7, 8, 9])
    let contested = address("100.64.0.2")
    #expect(map.node(at: contested)?.id == 2 && map.peer(with: key(3))?.id == 3)
    _ = map.apply { $0.peersRemoved = [2, 3] }
    #expect(map.node(at: contested)?.id == 7 && map.peer(with: key(3))?.id == 8)
    _ = map.apply { $0.peersChanged = [node(7)] }
    #expect(map.node(at: contested)?.id == 9)
    _ = map.apply { $0.peersRemoved = [9, 8] }
    #expect(map.node(at: contested) == nil && map.peer(with: key(3)) == nil)
  }

  @Test("A peer with an address of this node, or a network for an address, is told of")
  func addresses() {
    var map = network()
    let change = map.apply {
      $0.peersChanged = [
        node(8) { $0.addresses = node(1).addresses },
        node(9) { $0.addresses = prefixes("0.0.0.0/0", "::/0", "100.64.0.0/10") },
        node(10) { ($0.addresses, $0.allowedIPs) = ([], prefixes("0.0.0.0/0", "10.1.2.3/8")) },
      ]
    }
    #expect(map.peers.count == 6 && change.problems.count == 5)
    #expect(map.node(at: address("100.64.0.1"))?.id == 1)
    let later = map.apply { $0.node = node(1) { $0.addresses += node(4).addresses } }
    #expect(later.problems.count == 4)
    #expect(map.node(at: address("100.64.0.4"))?.id == 1)
  }

  @Test("Problems are told in words up to a bound, and counted beyond")
  func manyProblems() {
    var map = network()
    let change = map.apply { $0.peersChangedPatch = (100..<200).map { PeerChange(nodeID: $0) } }
    #expect(change.problems.count == NetmapChange.maximumProblems)
    #expect(change.problemsOmitted == 100 - NetmapChange.maximumProblems)
    #expect(change.isEmpty && map.ignoredChanges == 100)
  }

  @Test("Tables do not grow without bound")
  func bounds() {
    var map = network()
    var filters: [String: [FilterRule]?] = [:]
    var messages: [String: DisplayMessage?] = [:]
    for number in 0..<NetworkMap.maximumFilters + 10 { filters["f\(number)"] = [FilterRule]() }
    for number in 0..<NetworkMap.maximumMessages + 10 { messages["m\(number)"] = DisplayMessage() }
    let change = map.apply {
      ($0.packetFilters, $0.displayMessages) = (filters, messages)
      $0.health = Array(repeating: "ill", count: NetworkMap.maximumMessages + 10)
    }
    #expect(map.filters.count == NetworkMap.maximumFilters)
    #expect(map.displayMessages.count == NetworkMap.maximumMessages)
    #expect(map.health.count == NetworkMap.maximumMessages)
    #expect(map.ignoredChanges == 31 && change.problems.count == 31)
  }

  @Test("Thousands of peers come and change one by one")
  func thousands() {
    var map = NetworkMap()
    func peer(_ number: Int) -> Node {
      Node(
        id: Int64(number),
        name: "n\(number).tail.example.",
        addresses: [IPPrefix(host: IPAddress(100, 64, UInt8(number >> 8), UInt8(number & 255)))]
      )
    }
    let first = map.apply {
      $0.node = peer(1)
      $0.peers = (2...5000).map { peer($0) }
    }
    #expect(first.peersChanged.count == 4999 && first.problems == [])
    for number in 2...5000 {
      let id = Int64(number)
      let change = map.apply { $0.peersChangedPatch = [PeerChange(nodeID: id, derpRegion: 2)] }
      #expect(change.peersChanged == [id])
    }
    #expect(map.peers.allSatisfy { $0.homeDERP == 2 })
    #expect(map.node(at: IPAddress(100, 64, 19, 136))?.id == 5000)
  }

  @Test("Damaged maps are read or refused, and what is read is applied without harm")
  func damage() throws {
    let files = ["Corpora/ControlProtocol/mapresponse.json", "Samples/mapresponse-testctl.json"]
    var generator = SplitMix(state: 11)
    for file in files {
      let bytes = try Fixture.bytes(file)
      var map = network()
      var applied = 0
      for _ in 0..<2000 {
        guard let response = try? MapResponse(json: generator.damage(bytes)) else { continue }
        if generator.once(in: 4) { map.beginStream() }
        _ = map.apply(response, at: noon)
        applied += 1
        #expect(map.selfNode.map { map.peersByID[$0.id] == nil } ?? true)
        #expect(map.peersByID.allSatisfy { $0.key == $0.value.id && $0.key > 0 })
        #expect(map.peers.allSatisfy { map.peer(with: $0.key) != nil || $0.key.isZero })
      }
      #expect(applied > 100, "\(file)")
    }
  }
}
