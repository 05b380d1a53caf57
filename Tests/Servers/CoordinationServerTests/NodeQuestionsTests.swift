// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import ControlProtocol
import Coordination
import Cryptography
import HTTPTransport
import JSON
import Keys
import Testing
import Timing

@testable import CoordinationServer

@Suite("Questions to nodes", .timeLimit(.minutes(10)))
struct NodeQuestionsTests {
  private static func path(_ ping: PingRequest) -> String {
    ping.url.replacing("https://unused", with: "")
  }

  @Test(
    "A node answers an administrator's request over its own connection, and nobody in its place"
  )
  func request() async throws {
    try await TestServer.run { server in
      let (node, other) = (try await server.joined("one"), try await server.joined("two"))
      #expect(try await server.admin("POST", "node/1/ask", ["path": "/echo"]).0 == 409)
      let stream = try await node.stream()
      _ = try await stream.next()
      async let asked = server.admin("POST", "node/1/ask", ["path": "/echo?a=b", "body": "hello"])
      let ping = try #require(try await stream.next { $0.pingRequest != nil }.pingRequest)
      #expect(ping.types == "c2n" && ping.urlIsNoise)
      #expect(
        String(decoding: ping.payload, as: UTF8.self)
          == "GET /echo?a=b HTTP/1.1\r\nHost: node\r\nContent-Length: 5\r\n\r\nhello"
      )
      let answer = Array("HTTP/1.1 200 OK\r\nContent-type: text/plain\r\n\r\nhello\u{1B}".utf8)
      #expect(try await other.call(Self.path(ping), answer).0 == 404)
      #expect(try await node.call(Self.path(ping), answer).0 == 204)
      let (status, told) = try await asked
      #expect(status == 200 && told["status"]?.double == 200 && told["body"] == "hello\u{1B}")
      #expect(told["contentType"]?.string == "text/plain")
      // It is asked once and answered once.
      #expect(try await node.call(Self.path(ping), answer).0 == 404)
      let rows = try await server.coordinator.audit(limit: 1)
      #expect(rows.first?.action == "node.ask" && rows.first?.details == "GET /echo?a=b HTTP/1.1")
      for wrong in [
        ["path": "echo"], ["path": "/a\r\nX: y"], ["path": "/", "method": "get me"], [:],
      ] as [JSONValue] {
        #expect(try await server.admin("POST", "node/1/ask", wrong).0 == 400)
      }
      #expect(try await server.admin("POST", "node/9/ask", ["path": "/echo"]).0 == 404)
    }
  }

  @Test(
    "A question without an answer ends after a minute, and one that cannot be read is no answer"
  )
  func silence() async throws {
    try await TestServer.run { server in
      let node = try await server.joined("one")
      let stream = try await node.stream()
      _ = try await stream.next()
      async let late = server.admin("POST", "node/1/ask", ["path": "/echo"])
      _ = try await stream.next { $0.pingRequest != nil }
      await server.push(by: .seconds(61))
      await server.coordinator.tick()
      #expect(try await late.0 == 409)
      async let strange = server.admin("POST", "node/1/ask", ["path": "/echo"])
      let ping = try #require(try await stream.next { $0.pingRequest != nil }.pingRequest)
      #expect(try await node.call(Self.path(ping), Array("SSH-2.0".utf8)).0 == 204)
      #expect(try await strange.0 == 409)
    }
  }

  @Test(
    "Of two routers of a subnet the one that falls silent is replaced, though it stays connected"
  )
  func routers() async throws {
    try await TestServer.run { server in
      let viewer = try await server.joined("viewer")
      let told = try await viewer.stream()
      let prefix = try #require(IPPrefix("10.1.0.0/16"))
      var routers: [(client: TestClient, stream: TestStream)] = []
      for (index, name) in ["one", "two"].enumerated() {
        let router = try await server.client(name)
        var hostinfo = router.hostinfo
        hostinfo.routableIPs = [prefix]
        _ = try await router.register(key: try await server.key()) { [hostinfo] in
          $0.hostinfo = hostinfo
        }
        let stream = try await router.stream { [hostinfo] in $0.hostinfo = hostinfo }
        _ = try await stream.next()
        routers.append((router, stream))
        let path = "node/\(index + 2)/approve_routes"
        #expect(try await server.admin("POST", path, ["routes": ["10.1.0.0/16"]]).0 == 200)
      }
      func probe(answering: Set<Int>) async throws {
        await server.push(by: .seconds(11))
        await server.coordinator.tick()
        for (index, router) in routers.enumerated() {
          let ping = try #require(
            try await router.stream.next { $0.pingRequest != nil }.pingRequest
          )
          #expect(ping.types == "" && ping.urlIsNoise)
          guard answering.contains(index) else { continue }
          let path = Self.path(ping)
          #expect(try await routers[1 - index].client.call(path, method: "HEAD").0 == 404)
          #expect(try await router.client.call(path, method: "HEAD").0 == 200)
        }
        await server.push(by: .seconds(6))
        await server.coordinator.tick()
      }
      func primary() async -> NodeID? {
        await server.coordinator.read { tailnet, _ in
          tailnet.nodes.keys.first {
            tailnet.nodes[$0].map { !tailnet.activeRoutes(of: $0).isEmpty } ?? false
          }
        }
      }
      // Who has never answered such a question is not thought dead for it.
      try await probe(answering: [1])
      #expect(await primary() == NodeID(2))
      try await probe(answering: [0, 1])
      #expect(await primary() == NodeID(2))
      try await probe(answering: [1])
      _ = try await told.next {
        $0.peersChanged.contains { $0.id == 3 && $0.primaryRoutes == [prefix] }
      }
      try await probe(answering: [0, 1])
      #expect(await primary() == NodeID(3))
      // When none answers, the fault is rather ours.
      try await probe(answering: [])
      #expect(await primary() == NodeID(3))
    }
  }

  @Test("Routers are not asked where nobody could take their place, or where the operator says so")
  func quiet() async throws {
    try await TestServer.run {
      $0.routerProbe = .zero
    } _: { server in
      _ = try await server.joined("one").stream().next()
      await server.push(by: .seconds(60))
      await server.coordinator.tick()
      #expect(await server.coordinator.questions.count == 0)
    }
  }
}

@Suite("Proofs of who a node is", .timeLimit(.minutes(10)))
struct TokenIssuerTests {
  private static func body(_ client: TestClient, _ audience: JSONValue) -> [UInt8] {
    (["NodeKey": .string(client.nodeKey.description), "Audience": audience] as JSONValue).json
  }

  @Test("A token is signed by the key that the server publishes, and says whose and for whom it is")
  func token() async throws {
    try await TestServer.run { server in
      let client = try await server.joined("laptop")
      let (status, body) = try await client.call(
        "/machine/id-token",
        Self.body(client, "sts.example")
      )
      #expect(status == 200)
      let text = try #require(try JSONValue(json: body)["id_token"]?.string)
      let parts = text.split(separator: ".").map(String.init)
      let claims = try JSONValue(json: try #require(decoded(parts[1])))
      #expect(
        claims["sub"]?.string == "laptop.lab.example" && claims["aud"]?.string == "sts.example"
      )
      #expect(claims["iss"]?.string == "http://127.0.0.1:1" && claims["user"]?.string == "alice")
      #expect(
        try #require(claims["exp"]?.double) - #require(claims["iat"]?.double)
          == Double(TokenIssuer.lifetimeSeconds)
      )
      let keys = try JSONValue(json: Array(try await server.get("/.well-known/jwks.json").2.utf8))
      let key = try #require(keys["keys"]?.array?.first)
      let header = try JSONValue(json: try #require(decoded(parts[0])))
      #expect(header["kid"] == key["kid"] && key["d"] == nil)
      let signature = try #require(decoded(parts[2]))
      let (x, y) = try (
        #require(key["x"]?.string.flatMap(decoded)), #require(key["y"]?.string.flatMap(decoded))
      )
      let signed = Array("\(parts[0]).\(parts[1])".utf8)
      #expect(P256Signature.verify(signature, of: signed, x: x, y: y))
      let (_, _, found) = try await server.get("/.well-known/openid-configuration")
      let configuration = try JSONValue(json: Array(found.utf8))
      #expect(configuration["issuer"] == claims["iss"])
    }
  }

  private func decoded(_ text: String) -> [UInt8]? {
    let standard = text.replacing("-", with: "+").replacing("_", with: "/")
    return Base64.decode(
      standard + String(repeating: "=", count: (4 - standard.utf8.count % 4) % 4)
    )
  }

  @Test("Nobody gets a token for another's node, for nobody to read, or after its key has ended")
  func refused() async throws {
    try await TestServer.run { server in
      let (client, other) = (try await server.joined("one"), try await server.joined("two"))
      let path = "/machine/id-token"
      #expect(try await other.call(path, Self.body(client, "x")).0 == 404)
      for audience in ["", .null, "a\nb", .string(String(repeating: "a", count: 256))]
        as [JSONValue]
      {
        #expect(try await client.call(path, Self.body(client, audience)).0 == 400)
      }
      #expect(try await client.call(path, method: "GET").0 == 405)
      #expect(try await server.admin("POST", "node/1/expire").0 == 200)
      #expect(try await client.call(path, Self.body(client, "x")).0 == 404)
    }
  }
}

@Suite("Sessions of a node's web interface", .timeLimit(.minutes(10)))
struct WebSessionTests {
  @Test(
    "The machine that serves the interface waits for its visitor's word, and nobody else learns of it"
  )
  func session() async throws {
    try await TestServer.run { server in
      _ = try await server.joined("visitor")
      let (target, third) = (try await server.joined("served"), try await server.joined("third"))
      let (status, body) = try await target.call("/machine/webclient/init/1/to/2")
      let begun = try JSONValue(json: body)
      let id = try #require(begun["ID"]?.string)
      #expect(status == 200 && begun["Complete"]?.bool == false)
      #expect(begun["URL"]?.string == "http://127.0.0.1:1/auth/\(id)")
      #expect(try await server.get("/auth/\(id)").2.contains("martlet-control auth approve \(id)"))
      let wait = "/machine/webclient/wait/1/to/2/\(id)"
      #expect(try await third.call(wait).0 == 404)
      async let waiting = target.call(wait)
      let listed = try await server.admin("GET", "auth").1["sshChecks"]?.array
      #expect(listed?.map { $0["id"]?.string } == [id])
      #expect(try await server.admin("POST", "auth/approve", ["authId": .string(id)]).0 == 200)
      #expect(try JSONValue(json: try await waiting.1)["Complete"]?.bool == true)
      #expect(try await third.call(wait).0 == 404)
      let again = try JSONValue(json: try await target.call("/machine/webclient/init/1/to/2").1)
      let second = try #require(again["ID"]?.string)
      #expect(try await server.admin("POST", "auth/reject", ["authId": .string(second)]).0 == 200)
      #expect(try await target.call("/machine/webclient/wait/1/to/2/\(second)").0 == 403)
      for wrong in ["init/1/to/3", "init/9/to/2", "init/1/2", "wait/1/to/2/x", "x/1/to/2"] {
        #expect(try await target.call("/machine/webclient/\(wrong)").0 == 404, "\(wrong)")
      }
      let acts = try await server.coordinator.audit(limit: 2)
      #expect(acts.map(\.action) == ["web.reject", "web.approve"])
    }
  }
}
