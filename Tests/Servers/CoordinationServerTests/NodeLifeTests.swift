// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import Cryptography
import JSON
import Keys
import Testing
import Timing

@testable import CoordinationServer

@Suite("The life of nodes", .timeLimit(.minutes(10)))
struct NodeLifeTests {
  private static let oneHour: @Sendable (inout TailnetOptions) -> Void = {
    $0.keyLifetime = .seconds(3600)
  }

  @Test("One machine may have several nodes, each with addresses and streams of its own")
  func severalNodes() async throws {
    try await TestServer.run { server in
      let one = try await server.joined("laptop")
      var entropy = Entropy.system
      let second = NodePrivateKey.generate(using: &entropy).publicKey
      let bob = try await server.user("bob")
      let key = try await server.key(user: bob)
      let joined = try await one.register(key: key) { $0.nodeKey = second }
      #expect(joined.machineAuthorized && joined.login.loginName == "bob")
      let nodes = await server.coordinator.read { tailnet, _ in
        tailnet.nodes.values.sorted { $0.id < $1.id }
      }
      #expect(nodes.map(\.name) == ["laptop", "laptop-1"])
      #expect(Set(nodes.flatMap(\.addresses)).count == 4)
      let streams = (try await one.stream(), try await one.stream { $0.nodeKey = second })
      let first = try #require(try await streams.0.next())
      let other = try #require(try await streams.1.next())
      #expect(first.node?.key == one.nodeKey && other.node?.key == second)
      #expect(other.peers.map(\.key) == [one.nodeKey])
    }
  }

  @Test("An ephemeral node is gone, and others told, when it has been away or logs out")
  func ephemeral() async throws {
    try await TestServer.run { server in
      let watcher = try await server.joined("watcher")
      let stream = try await watcher.stream()
      _ = try await stream.next()
      let key = try await server.key(ephemeral: true)
      let (away, leaving) = (try await server.client("away"), try await server.client("leaving"))
      for client in [away, leaving] { #expect(try await client.register(key: key).error == "") }
      let ids = await server.coordinator.read { tailnet, _ in
        [away, leaving].compactMap { tailnet.node(with: $0.nodeKey)?.id.rawValue }
      }
      let out = try await leaving.register(key: key) { $0.expiry = Timestamp(seconds: 123) }
      #expect(out.nodeKeyExpired && !out.machineAuthorized)
      _ = try await stream.next { $0.peersRemoved.contains(ids[1]) }
      await server.push(by: .seconds(31 * 60))
      _ = try await stream.next { $0.peersRemoved.contains(ids[0]) }
      #expect(try await away.update() == 404)
      #expect(try await watcher.update() == 200)
    }
  }

  @Test("A node that logs out is expired at once, and comes back only with a new key")
  func logout() async throws {
    try await TestServer.run { server in
      let (one, watcher) = (try await server.joined("one"), try await server.joined("watcher"))
      let stream = try await watcher.stream()
      _ = try await stream.next()
      let out = try await one.register { $0.expiry = Timestamp(seconds: 123) }
      #expect(out.nodeKeyExpired)
      let told = try await stream.next { !$0.peersChanged.isEmpty }
      #expect(told.peersChanged[0].expired && told.peersChanged[0].key == one.nodeKey)
      #expect(try await one.register().nodeKeyExpired)
      let back = try await TestClient("one", of: server, machineKey: one.machineKey)
      #expect(try await back.register(key: try await server.key()).machineAuthorized)
      let renewed = try await stream.next { $0.peersChanged.first?.key == back.nodeKey }
      #expect(renewed.peersChanged[0].id == told.peersChanged[0].id)
    }
  }

  @Test("A key that ends by itself locks its node out without anybody asking")
  func lifetime() async throws {
    try await TestServer.run(Self.oneHour) { server in
      let (one, two) = (try await server.joined("one"), try await server.joined("two"))
      let streams = (try await one.stream(), try await two.stream())
      #expect(try await streams.0.next()?.node?.keyExpiry != nil)
      _ = try await streams.1.next()
      await server.push(by: .seconds(3601))
      _ = try await streams.0.next { $0.node?.machineAuthorized == false }
      _ = try await streams.1.next { $0.node?.machineAuthorized == false }
    }
  }

  @Test("The relay is told whose keys have lost access: ended, replaced, logged out, deleted")
  func lostKeys() async throws {
    try await TestServer.run { server in
      var clients: [TestClient] = []
      for name in ["expired", "replaced", "out", "deleted", "stays"] {
        clients.append(try await server.joined(name))
      }
      #expect(try await server.admin("POST", "node/expired/expire").0 == 200)
      let renewed = try await TestClient("replaced", of: server, machineKey: clients[1].machineKey)
      #expect(try await renewed.register(key: try await server.key()).machineAuthorized)
      #expect(try await clients[2].register { $0.expiry = Timestamp(seconds: 123) }.nodeKeyExpired)
      #expect(try await server.admin("DELETE", "node/deleted").0 == 200)
      var lost: [NodeKey] = []
      for await key in server.coordinator.lostKeys {
        lost.append(key)
        if lost.count == 4 { break }
      }
      #expect(lost == clients[..<4].map(\.nodeKey))
      for (client, isMember) in zip(clients, [false, false, false, false, true]) {
        #expect(await server.coordinator.isMember(client.nodeKey) == isMember)
      }
    }
  }

  @Test("A tagged key makes nodes without a user that never end")
  func tagged() async throws {
    try await TestServer.run(Self.oneHour) { server in
      let made = try await server.admin("POST", "preauthkey", ["aclTags": ["tag:web", "tag:db"]])
      let key = try #require(made.1["preAuthKey"]?["key"]?.string)
      let client = try await server.client("web")
      let joined = try await client.register(key: key)
      #expect(joined.login.loginName == "tagged-devices")
      let first = try #require(try await client.stream().next())
      #expect(first.node?.tags == ["tag:db", "tag:web"] && first.node?.keyExpiry == nil)
    }
  }

  @Test("A plain WireGuard peer stands in every map with its key, addresses and endpoint")
  func wireGuardPeer() async throws {
    try await TestServer.run { server in
      _ = try await server.user()
      let watcher = try await server.joined("watcher")
      let stream = try await watcher.stream()
      _ = try await stream.next()
      let wish: JSONValue = [
        "name": "router", "user": "alice", "endpoints": ["192.0.2.7:51820"],
        "nodeKey": "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
      ]
      let (status, added) = try await server.admin("POST", "node", wish)
      #expect(status == 200 && added["node"]?["isWireGuardOnly"]?.bool == true)
      let told = try await stream.next { !$0.peersChanged.isEmpty }
      let peer = try #require(told.peersChanged.first)
      #expect(peer.isWireGuardOnly && peer.discoKey.isZero && peer.machineAuthorized)
      #expect(peer.key.bytes == Array(1...32))
      #expect(peer.endpoints == [Endpoint("192.0.2.7:51820")])
      #expect(peer.addresses.count == 2 && peer.allowedIPs == peer.addresses)
      #expect(
        added["node"]?["ipAddresses"]?.array?.compactMap(\.string)
          == peer.addresses.map(\.address.description)
      )
      #expect(try await server.admin("POST", "node", wish).0 == 409)
      let whole = try #require(try await watcher.stream().next())
      #expect(whole.peers.first?.isWireGuardOnly == true)
      #expect(try await server.admin("DELETE", "node/router").0 == 200)
      _ = try await stream.next { $0.peersRemoved == [peer.id] }
    }
  }

  @Test("A new host name changes the name, unless an administrator chose one")
  func names() async throws {
    try await TestServer.run { server in
      let (one, two) = (try await server.joined("same"), try await server.joined("same"))
      let stream = try await one.stream()
      let first = try #require(try await stream.next())
      #expect(first.peers.map(\.name) == ["same-1.lab.example."])
      #expect(try await two.update { $0.hostinfo?.hostname = "Other Host" } == 200)
      _ = try await stream.next { $0.peersChanged.first?.name == "other-host.lab.example." }
      #expect(try await server.admin("POST", "node/other-host/rename/chosen").0 == 200)
      _ = try await stream.next { $0.peersChanged.first?.name == "chosen.lab.example." }
      #expect(try await two.update { $0.hostinfo?.hostname = "third" } == 200)
      #expect(try await server.admin("GET", "node/chosen").0 == 200)
    }
  }
}
