// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import Foundation
import JSON
import Testing
import Timing

@testable import CoordinationServer

@Suite("Routes and names, as nodes are told them", .timeLimit(.minutes(10)))
struct RoutesTests {
  @Test("Nodes learn at once of routes that are approved, taken over and revoked")
  func routes() async throws {
    try await TestServer.run { server in
      let viewer = try await server.joined("viewer")
      let told = try await viewer.stream()
      _ = try await told.next()
      let prefix = try #require(IPPrefix("10.1.0.0/16"))
      var routers: [TestStream] = []
      for name in ["one", "two"] {
        let router = try await server.client(name)
        _ = try await router.register(key: try await server.key()) {
          $0.hostinfo?.routableIPs = [prefix]
        }
        var hostinfo = router.hostinfo
        hostinfo.routableIPs = [prefix]
        let stream = try await router.stream { [hostinfo] in $0.hostinfo = hostinfo }
        _ = try await stream.next()
        routers.append(stream)
      }
      func approve(_ node: Int, _ body: JSONValue) async throws -> JSONValue {
        let (status, answer) = try await server.admin("POST", "node/\(node)/approve_routes", body)
        #expect(status == 200)
        return answer["node"] ?? .null
      }
      let shown = try await approve(2, ["routes": ["10.1.0.0/16"]])
      #expect(shown["subnetRoutes"]?.array == ["10.1.0.0/16"])
      _ = try await told.next {
        $0.peersChanged.contains { $0.id == 2 && $0.primaryRoutes == [prefix] }
      }
      let second = try await approve(3, ["add": ["10.1.0.0/16"]])
      #expect(second["subnetRoutes"]?.array == [] && second["approvedRoutes"]?.array?.count == 1)
      let own = try await routers[0].next { $0.node?.primaryRoutes == [prefix] }
      #expect(own.node?.allowedIPs?.contains(prefix) == true)
      routers[0].end()
      let taken = try await told.next { $0.peersChanged.contains { $0.primaryRoutes == [prefix] } }
      #expect(taken.peersChanged.first { $0.primaryRoutes == [prefix] }?.id == 3)
      _ = try await approve(3, ["remove": ["10.1.0.0/16"]])
      _ = try await told.next {
        $0.peersChanged.contains { $0.id == 3 && $0.primaryRoutes.isEmpty }
      }
      for wrong in [["routes": ["10.1"]], ["routes": "x"], [:], ["add": [], "remove": []]]
        as [JSONValue]
      {
        #expect(try await server.admin("POST", "node/3/approve_routes", wrong).0 == 400)
      }
    }
  }

  @Test("Nodes learn of names as their file is written, and a wrong file leaves them as they were")
  func names() async throws {
    let path = NSTemporaryDirectory() + "mt-names-" + UUID().uuidString
    defer { try? FileManager.default.removeItem(atPath: path) }
    func write(_ text: String) throws {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
    }
    try write(#"[{"name": "a.example", "type": "A", "value": "100.64.0.9"}]"#)
    try await TestServer.run(records: path) { server in
      let client = try await server.joined("one")
      let stream = try await client.stream()
      let first = try await stream.next()
      if first?.dnsConfig?.extraRecords.isEmpty ?? true {
        _ = try await stream.next { $0.dnsConfig?.extraRecords.map(\.name) == ["a.example"] }
      }
      try write("[{")
      try write(#"[{"name": "b.example", "value": "fd7a::9"}]"#)
      let next = try await stream.next { $0.dnsConfig?.extraRecords.first?.name == "b.example" }
      #expect(next.dnsConfig?.domains == ["lab.example"])
    }
  }
}
