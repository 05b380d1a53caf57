// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import Coordination
import JSON
import Keys
import Testing

@testable import CoordinationServer

@Suite("Smaller requests of nodes", .timeLimit(.minutes(10)))
struct NodeRequestsTests {
  private static func body(_ client: TestClient, _ more: JSONObject = [:]) -> [UInt8] {
    var request = more
    request["NodeKey"] = .string(client.nodeKey.description)
    return JSONValue.object(request).json
  }

  @Test("A machine is told as whom it is known")
  func whoAmI() async throws {
    try await TestServer.run { server in
      let client = try await server.joined("laptop")
      let (status, body) = try await client.call("/machine/whoami", method: "GET")
      let answer = try JSONValue(json: body)
      #expect(status == 200)
      #expect(answer["MachineKey"]?.string == client.machineKey.publicKey.description)
      #expect(answer["Nodes"]?.array?.first?["Name"]?.string == "laptop.lab.example")
      let stranger = try await server.client("stranger")
      let (_, nothing) = try await stranger.call("/machine/whoami", method: "GET")
      #expect(try JSONValue(json: nothing)["Nodes"]?.array?.isEmpty == true)
    }
  }

  @Test("What a node reports stands in the audit, and nobody reports for another's node")
  func reports() async throws {
    try await TestServer.run { server in
      let client = try await server.joined("laptop")
      let other = try await server.joined("other")
      let report: JSONObject = ["Action": "DISCONNECT_NODE", "Details": "lunch\u{1B}[2J"]
      #expect(try await client.call("/machine/audit-log", Self.body(client, report)).0 == 200)
      #expect(try await other.call("/machine/audit-log", Self.body(client, report)).0 == 404)
      let strange: JSONObject = ["Action": "no word"]
      #expect(try await client.call("/machine/audit-log", Self.body(client, strange)).0 == 400)
      #expect(try await client.call("/machine/audit-log", Array("{}".utf8)).0 == 400)
      #expect(try await client.call("/machine/audit-log", method: "GET").0 == 405)
      let rows = try await server.coordinator.audit(limit: 100).filter {
        $0.action == "node.report"
      }
      #expect(rows.count == 1 && rows.first?.details.hasPrefix("DISCONNECT_NODE lunch") == true)
      #expect(rows.allSatisfy { !$0.details.contains("\u{1B}") })
    }
  }

  @Test("A feature that a node asks for is an administrator's to give")
  func features() async throws {
    try await TestServer.run { server in
      let client = try await server.joined("laptop")
      let ask: JSONObject = ["Feature": "funnel"]
      let (status, body) = try await client.call("/machine/feature/query", Self.body(client, ask))
      let answer = try JSONValue(json: body)
      #expect(status == 200 && answer["Complete"]?.bool == false)
      #expect(answer["Text"]?.string?.contains("funnel") == true)
      let other = try await server.joined("other")
      #expect(try await other.call("/machine/feature/query", Self.body(client, ask)).0 == 404)
    }
  }
}
