// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import Coordination
import Foundation
import HTTPTransport
import JSON
import Logging
import Testing

@testable import CoordinationServer

@Suite("The administrator's interface", .timeLimit(.minutes(10)))
struct AdminEndpointTests {
  @Test("Nobody but root and the server's own user may use it", arguments: [1, 33, 1000, 65_534])
  func strangers(user: UInt32) async throws {
    try await TestServer.run { server in
      let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
      let door = APIDoor(coordinator: server.coordinator, logger: logger, version: "test")
      let endpoint = AdminEndpoint(
        coordinator: server.coordinator,
        logger: logger,
        door: door,
        backUp: { _ in [] },
        metrics: Metrics(
          coordinator: server.coordinator,
          connections: ConnectionCount(maximum: 1),
          api: door
        ),
        ownUser: 500
      )
      func status(_ credentials: PeerCredentials?) async -> Int {
        await endpoint.answer(
          HTTPRequest(
            method: "POST",
            path: "/api/v1/user",
            body: Array(#"{"name":"mallory"}"#.utf8),
            remote: HTTPRemote(credentials: credentials)
          )
        ).status
      }
      #expect(await status(PeerCredentials(processID: 1, userID: user, groupID: 0)) == 403)
      #expect(await status(nil) == 403)
      #expect(await server.coordinator.read { tailnet, _ in tailnet.users.isEmpty })
      #expect(await status(PeerCredentials(processID: 1, userID: 500, groupID: 1)) == 200)
    }
  }

  @Test("The socket is closed to other users by its mode too")
  func mode() async throws {
    try await TestServer.run { server in
      let facts = try FileManager.default.attributesOfItem(atPath: server.socketPath)
      #expect(facts[.posixPermissions] as? Int == 0o600)
    }
  }

  @Test("Users, keys and nodes in the shapes that clients of headscale know")
  func shapes() async throws {
    try await TestServer.run { server in
      let made = try await server.admin("POST", "user", ["name": "alice"])
      #expect(made.0 == 200 && made.1["user"]?["id"]?.string == "1")
      #expect(try await server.admin("POST", "user", ["name": "alice"]).0 == 409)
      #expect(try await server.admin("POST", "user", ["name": "x\ny"]).0 == 400)
      let key = try await server.admin(
        "POST",
        "preauthkey",
        ["user": "alice", "reusable": true, "aclTags": []]
      )
      let secret = try #require(key.1["preAuthKey"]?["key"]?.string)
      #expect(secret.hasPrefix("martlet-auth-"))
      let keys = try await server.admin("GET", "preauthkey").1
      #expect(keys["preAuthKeys"]?[0]?["key"]?.string?.hasSuffix("-***") == true)
      #expect(!keys.text().contains(secret.suffix(64)))
      let client = try await server.client("web")
      #expect(try await client.register(key: secret).machineAuthorized)
      let node = try #require(try await server.admin("GET", "node/web").1["node"])
      #expect(node["givenName"]?.string == "web" && node["user"]?["name"]?.string == "alice")
      #expect(node["registerMethod"]?.string == "REGISTER_METHOD_AUTH_KEY")
      #expect(node["ipAddresses"]?.array?.count == 2 && node["expiry"]?.isNull == true)
      #expect(!node.text().contains(secret.suffix(64)))
      #expect(
        try await server.admin("POST", "node/1/rename/api").1["node"]?["givenName"]?.string == "api"
      )
      #expect(try await server.admin("POST", "node/api/tags", ["tags": ["tag:a"]]).0 == 200)
      #expect(try await server.admin("POST", "node/api/tags", ["tags": []]).0 == 400)
      #expect(try await server.admin("DELETE", "user/alice").0 == 200)
      let audit = try await server.admin("GET", "audit").1["entries"]?.array ?? []
      #expect(audit.first?["action"]?.string == "user.delete")
      #expect(audit.first?["actor"]?.string?.hasPrefix("uid ") == true)
    }
  }

  @Test(
    "What makes no sense is refused in words",
    arguments: [
      ("POST", "user", #"{"name":7}"#, 400), ("POST", "user", "{}", 400),
      ("POST", "user", "[", 400),
      ("POST", "user", "[]", 400), ("GET", "node/9", "", 404), ("DELETE", "user/9", "", 404),
      ("POST", "preauthkey", "{}", 400), ("POST", "preauthkey", #"{"user":"nobody"}"#, 404),
      ("POST", "preauthkey", #"{"aclTags":["x"]}"#, 400),
      ("POST", "preauthkey", #"{"aclTags":["tag:a"],"expiration":"soon"}"#, 400),
      ("POST", "preauthkey", #"{"aclTags":["tag:a"],"expiration":"2001-01-01T00:00:00Z"}"#, 400),
      ("POST", "preauthkey/expire", #"{"id":"x"}"#, 400), ("DELETE", "preauthkey?id=7", "", 404),
      ("POST", "auth/approve", #"{"authId":"x"}"#, 400), ("PATCH", "node", "", 405),
      ("GET", "nothing", "", 404),
      ("POST", "node", #"{"name":"a","nodeKey":"x"}"#, 400),
    ]
  )
  func refusals(method: String, path: String, body: String, status: Int) async throws {
    try await TestServer.run { server in
      let response = try await HTTPClient().request(
        method,
        to: .unix(path: server.socketPath),
        path: "/api/v1/" + path,
        body: Array(body.utf8)
      )
      let answer = try JSONValue(json: try await response.collect(upTo: 1 << 20))
      #expect(response.status == status)
      #expect(answer["detail"]?.string?.isEmpty == false)
      #expect(response.headers["Content-Type"] == "application/problem+json")
    }
  }
}
