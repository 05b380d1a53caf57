// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import Coordination
import JSON
import Testing
import Timing

@testable import CoordinationServer

@Suite("Checks before sessions of SSH", .timeLimit(.minutes(10)))
struct SessionChecksTests {
  private static let policy = """
    {
      "grants": [{"src": ["*"], "dst": ["*"], "ip": ["*"]}],
      "ssh": [
        {"action": "check", "src": ["autogroup:member"], "dst": ["autogroup:self"],
         "users": ["autogroup:nonroot"], "checkPeriod": "1h"},
      ],
    }
    """

  private func ask(
    _ client: TestClient,
    _ path: String
  ) async throws -> (status: Int, action: JSONValue) {
    let (status, body) = try await client.call(path, method: "GET")
    // What is no JSON is an error's text.
    return (status, (try? JSONValue(json: body)) ?? .null)
  }

  /// Where an action sends the client on, with its login filled in, and the check's name.
  private func delegate(_ action: JSONValue) throws -> (path: String, id: String) {
    let url = try #require(action["holdAndDelegate"]?.string)
    let path = url.replacing("https://unused", with: "").replacing("$LOCAL_USER", with: "ann")
    let id = try #require(path.split(separator: "auth_id=").last?.prefix(32))
    return (path, String(id))
  }

  @Test("A session waits for its user's word, which counts as long as the policy says")
  func check() async throws {
    try await TestServer.run { server in
      let (source, target) = (try await server.joined("one"), try await server.joined("two"))
      let set = try await server.admin("PUT", "policy", ["policy": .string(Self.policy)])
      #expect(set.0 == 200)
      let path = "/machine/ssh/action/1/to/2?local_user=ann"
      let first = try await ask(target, path)
      let (next, id) = try delegate(first.action)
      #expect(first.action["message"]?.string?.contains("/auth/\(id)") == true)
      #expect(try await server.get("/auth/\(id)").2.contains("martlet-control auth approve \(id)"))
      async let waiting = ask(target, next)
      let listed = try await server.admin("GET", "auth").1["sshChecks"]?.array
      #expect(listed?.map { $0["id"]?.string } == [id] && listed?[0]["source"]?.string == "one")
      #expect(try await server.admin("POST", "auth/approve", ["authId": .string(id)]).0 == 200)
      #expect(try await waiting.action["accept"]?.bool == true)
      #expect(try await ask(target, path).action["accept"]?.bool == true)
      // It was said once, and for one pair of machines.
      #expect(try await server.admin("POST", "auth/approve", ["authId": .string(id)]).0 == 404)
      #expect(
        try await ask(source, "/machine/ssh/action/2/to/1?local_user=ann").action["accept"] == nil
      )
      await server.push(by: .seconds(3601))
      let late = try delegate(try await ask(target, path).action)
      #expect(late.id != id)
      #expect(try await server.admin("POST", "auth/reject", ["authId": .string(late.id)]).0 == 200)
      #expect(try await ask(target, late.path).action["reject"]?.bool == true)
      let acts = try await server.admin("GET", "audit").1["entries"]?.array ?? []
      #expect(acts.prefix(2).map { $0["action"]?.string } == ["ssh.reject", "ssh.approve"])
    }
  }

  @Test("Only the machine that a session leads to may ask about it, and about no other's check")
  func foreign() async throws {
    try await TestServer.run { server in
      let (source, target) = (try await server.joined("one"), try await server.joined("two"))
      let third = try await server.joined("three")
      _ = try await server.admin("PUT", "policy", ["policy": .string(Self.policy)])
      let path = "/machine/ssh/action/1/to/2?local_user=ann"
      #expect(try await ask(source, path).status == 401)
      let (next, id) = try delegate(try await ask(target, path).action)
      #expect(try await ask(third, next).status == 401)
      let moved = next.replacing("1/to/2", with: "1/to/3")
      #expect(try await ask(third, moved).status == 401)
      let another = next.replacing("=ann", with: "=bob")
      #expect(try await ask(target, another).status == 401)
      for wrong in ["1/to/9", "9/to/2", "1/to", "x/to/2", "1/to/2?local_user=root"] {
        #expect(try await ask(target, "/machine/ssh/action/\(wrong)").status == 404, "\(wrong)")
      }
      #expect(try await server.get("/auth/\(String(id.reversed()))").0 == 404)
      #expect(try await server.get("/auth/x").0 == 400)
    }
  }

  @Test("Another policy asks again")
  func policy() async throws {
    try await TestServer.run { server in
      _ = try await server.joined("one")
      let target = try await server.joined("two")
      _ = try await server.admin("PUT", "policy", ["policy": .string(Self.policy)])
      let path = "/machine/ssh/action/1/to/2?local_user=ann"
      let (_, id) = try delegate(try await ask(target, path).action)
      _ = try await server.admin("POST", "auth/approve", ["authId": .string(id)])
      #expect(try await ask(target, path).action["accept"]?.bool == true)
      _ = try await server.admin("PUT", "policy", ["policy": .string(Self.policy + "\n")])
      #expect(try await ask(target, path).action["accept"] == nil)
      _ = try await server.admin("PUT", "policy", ["policy": #"{"acls": []}"#])
      #expect(try await ask(target, path).status == 404)
    }
  }
}
