// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import Cryptography
import Keys
import Testing
import Timing

@testable import CoordinationServer

@Suite("Whole maps of shared parts", .timeLimit(.minutes(10)))
struct WholeMapTests {
  private static let count = 3 * 64 + 20

  /// A network of many plain peers, some of which serve a subnet, under a policy.
  private struct Network {
    var tailnet: Tailnet
    var entropy = Entropy(seed: 7)
    var now = Moment(instant: .origin, time: Timestamp(seconds: 1_790_000_000))
    var cache = PeerRunCache()

    init(policy: String?) throws {
      tailnet = Tailnet(
        options: TailnetOptions(url: "http://10.99.0.3:8080", domain: "lab.example"),
        at: now
      )
      var effects = Effects()
      let users = try ["alice", "bob"].map {
        try tailnet.createUser(name: $0, by: "test", at: now, into: &effects)
      }
      for number in 0..<WholeMapTests.count {
        _ = try tailnet.addWireGuardPeer(
          name: "node\(number)",
          key: NodePrivateKey.generate(using: &entropy).publicKey,
          endpoints: [Endpoint(IPAddress(192, 0, 2, 1), port: UInt16(1000 + number))],
          user: number % 10 == 3 ? nil : users[number % 2].id,
          tags: number % 10 == 3 ? ["tag:web"] : [],
          by: "test",
          at: now,
          using: &entropy,
          into: &effects
        )
      }
      if let policy { _ = try tailnet.setPolicy(policy, by: "test", at: now, into: &effects) }
    }

    /// What a node is told in parts, put together as a client does.
    mutating func told(_ node: NodeID, compressed: Bool) async throws -> MapResponse {
      cache.follow(tailnet.changes)
      let known = cache.map(for: node, from: MapBuilder(tailnet), compressed: compressed, at: now)
      let map = try #require(known)
      var decoder = MapFrameDecoder(compressed: compressed)
      for piece in await map.encoded() { decoder.receive(piece) }
      return try #require(try decoder.next())
    }
  }

  @Test(
    "What is put together of shared parts is what would be said at once",
    arguments: [
      nil, #"{"acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}"#,
      """
      {"tagOwners": {"tag:web": ["alice@"]}, "acls": [
        {"action": "accept", "src": ["alice@"], "dst": ["alice@:22", "tag:web:80"]},
        {"action": "accept", "src": ["bob@"], "dst": ["tag:web:443"]}]}
      """,
    ],
    [true, false]
  )
  func equal(policy: String?, compressed: Bool) async throws {
    var network = try Network(policy: policy)
    let ids = network.tailnet.order
    for id in [ids[0], ids[1], ids[3], ids[64], ids[100], ids[ids.count - 1]] {
      let whole = MapBuilder(network.tailnet).full(for: id, at: network.now)
      #expect(try await network.told(id, compressed: compressed) == whole)
    }
  }

  @Test("Parts are encoded once, and again only where something has changed")
  func shared() async throws {
    var network = try Network(policy: nil)
    let ids = network.tailnet.order
    _ = try await network.told(ids[5], compressed: true)
    let first = network.cache.encoded
    _ = try await network.told(ids[6], compressed: true)
    #expect(network.cache.encoded == first, "its own run is never shared")
    var effects = Effects()
    _ = try network.tailnet.renameNode(
      ids[130],
      to: "other",
      by: "test",
      at: network.now,
      into: &effects
    )
    let whole = MapBuilder(network.tailnet).full(for: ids[6], at: network.now)
    #expect(try await network.told(ids[6], compressed: true) == whole)
    #expect(network.cache.encoded == first + 1)
    try network.tailnet.deleteNode(ids[131], by: "test", at: network.now, into: &effects)
    let less = MapBuilder(network.tailnet).full(for: ids[6], at: network.now)
    #expect(try await network.told(ids[6], compressed: true) == less)
    #expect(network.cache.encoded == first + 2)
  }

  @Test("A network that has changed more than the log remembers is encoded anew")
  func forgotten() async throws {
    var network = try Network(policy: nil)
    let ids = network.tailnet.order
    _ = try await network.told(ids[5], compressed: true)
    var effects = Effects()
    for round in 0..<ChangeLog.maximumCount + 1 {
      _ = try network.tailnet.renameNode(
        ids[130],
        to: "other\(round)",
        by: "test",
        at: network.now,
        into: &effects
      )
    }
    let whole = MapBuilder(network.tailnet).full(for: ids[6], at: network.now)
    #expect(try await network.told(ids[6], compressed: true) == whole)
  }

  @Test("Pieces are handed on together up to a bound, and none is lost")
  func batches() async throws {
    let pieces = (0..<40).map { [UInt8](repeating: UInt8($0), count: 5000 * ($0 % 5)) }
    var written: [[UInt8]] = []
    try await WholeMap.write(pieces) { written.append($0) }
    #expect(Array(written.joined()) == Array(pieces.joined()))
    #expect(written.count < pieces.count / 2)
    #expect(written.allSatisfy { $0.count <= WholeMap.pieceBytes })
  }
}
