// SPDX-License-Identifier: Apache-2.0

import Coordination
import JSON
import Testing

@Suite("What a policy comes to")
struct PolicyMeaningTests {
  private static let topology: JSONValue = [
    "users": [
      ["id": 1, "name": "ann", "email": "ann@a.example", "role": "owner"],
      ["id": 2, "name": "bob", "email": "bob@a.example", "role": "it-admin", "groups": ["ops"]],
      ["id": 3, "name": "eve", "email": "eve@b.example", "role": "member"],
    ],
    "nodes": [
      "ann1": [
        "user": "ann", "ipv4": "100.64.0.1", "ipv6": "fd7a:115c:a1e0::1",
        "attributes": ["node:os": "linux", "node:tsVersion": "1.60.1"],
      ],
      "ann2": [
        "user": "ann", "ipv4": "100.64.0.2", "ipv6": "fd7a:115c:a1e0::2",
        "attributes": ["node:os": "windows", "node:tsVersion": "1.9.0"],
      ],
      "bob": ["user": "bob", "ipv4": "100.64.0.3", "ipv6": "fd7a:115c:a1e0::3"],
      "eve": ["user": "eve", "ipv4": "100.64.0.4", "ipv6": "fd7a:115c:a1e0::4"],
      "web": ["tags": ["tag:web"], "ipv4": "100.64.0.5", "ipv6": "fd7a:115c:a1e0::5"],
      "gate": [
        "tags": ["tag:gate"], "ipv4": "100.64.0.6", "ipv6": "fd7a:115c:a1e0::6",
        "routable_ips": ["10.1.0.0/16", "0.0.0.0/0", "::/0"], "approved_routes": [],
      ],
    ],
  ]

  private func evaluate(_ policy: String) throws -> JSONValue {
    let owners = "\"tagOwners\": {\"tag:web\": [\"ann@\"], \"tag:gate\": [\"ann@\"]}, "
    let text = "{" + owners + policy.dropFirst()
    let result = try PolicyEvaluation.evaluate(
      policy: Array(text.utf8),
      topology: Self.topology
    )
    try #require(result.isValid, "\(result.report["error"]?.string ?? "")")
    return try #require(result.report["nodes"])
  }

  private func sources(_ nodes: JSONValue, _ name: String, rule: Int = 0) -> Set<String> {
    Set((nodes[name]?["packet_filter_rules"]?[rule]?["SrcIPs"]?.array ?? []).compactMap(\.string))
  }

  private func peers(_ nodes: JSONValue, _ name: String) -> [String] {
    (nodes[name]?["peers"]?.array ?? []).compactMap(\.string)
  }

  @Test("Without rules all may talk; with an empty list nobody may, and nobody is seen")
  func emptiness() throws {
    #expect(try peers(evaluate("{}"), "eve").count == 5)
    for empty in ["{\"acls\": []}", "{\"grants\": []}"] {
      let nodes = try evaluate(empty)
      #expect(peers(nodes, "eve").isEmpty)
      #expect(nodes["eve"]?["packet_filter_rules"]?.array?.isEmpty == true)
    }
  }

  @Test("A user's devices reach each other by autogroup:self, and nobody else's")
  func own() throws {
    let nodes = try evaluate(
      "{\"grants\": [{\"src\": [\"autogroup:member\"], \"dst\": [\"autogroup:self\"], \"ip\": [\"*\"]}]}"
    )
    #expect(peers(nodes, "ann1") == ["ann2"])
    #expect(peers(nodes, "bob").isEmpty)
    #expect(sources(nodes, "ann2").contains("100.64.0.1"))
  }

  @Test("Roles, and groups that an identity provider tells of, mean their users' devices")
  func rolesAndGroups() throws {
    func seen(_ source: String) throws -> [String] {
      try peers(
        evaluate(
          "{\"grants\": [{\"src\": [\"\(source)\"], \"dst\": [\"tag:web\"], \"ip\": [\"22\"]}]}"
        ),
        "web"
      )
    }
    #expect(try seen("autogroup:owner") == ["ann1", "ann2"])
    #expect(try seen("autogroup:admin") == ["ann1", "ann2"])
    #expect(try seen("autogroup:it-admin") == ["bob"])
    #expect(try seen("group:ops") == ["bob"])
    #expect(try seen("user:*@a.example") == ["ann1", "ann2", "bob"])
    #expect(try seen("eve@") == ["eve"])
  }

  @Test("A posture narrows the sources to devices that meet all of one of its lists")
  func postures() throws {
    let nodes = try evaluate(
      """
      {"postures": {"posture:new": ["node:os == 'linux'", "node:tsVersion >= '1.10'"]},
       "grants": [{"src": ["ann@a.example"], "dst": ["tag:web"], "ip": ["*"], "srcPosture": ["posture:new"]}]}
      """
    )
    #expect(sources(nodes, "web") == ["100.64.0.1", "fd7a:115c:a1e0::1"])
    let all = try evaluate(
      """
      {"postures": {"posture:new": ["node:tsVersion >= '1.10'"]}, "defaultSrcPosture": ["posture:new"],
       "acls": [{"action": "accept", "src": ["*"], "dst": ["tag:web:*"]}]}
      """
    )
    #expect(sources(all, "web") == ["100.64.0.1", "fd7a:115c:a1e0::1"])
  }

  @Test("An address set is added to and taken from in its order")
  func sets() throws {
    let nodes = try evaluate(
      """
      {"ipsets": {"ipset:a": ["100.64.0.0/29", "remove 100.64.0.2", "ipset:b"], "ipset:b": ["192.0.2.7"]},
       "grants": [{"src": ["ipset:a"], "dst": ["tag:web"], "ip": ["*"]}]}
      """
    )
    #expect(sources(nodes, "web").contains("192.0.2.7"))
    #expect(peers(nodes, "web") == ["ann1", "bob", "eve", "gate"])
  }

  @Test(
    "An exit node lets the internet through where it is approved, and is offered to who may use it"
  )
  func exits() throws {
    let nodes = try evaluate(
      """
      {"autoApprovers": {"exitNode": ["tag:gate"], "routes": {"0.0.0.0/0": ["tag:gate"]}},
       "grants": [{"src": ["eve@"], "dst": ["autogroup:internet"], "ip": ["tcp:443"]}]}
      """
    )
    #expect(peers(nodes, "eve") == ["gate"])
    let allowed = (nodes["eve"]?["allowed_ips"]?["gate"]?.array ?? []).compactMap(\.string)
    #expect(allowed.contains("0.0.0.0/0") && allowed.contains("::/0"))
    #expect(!allowed.contains("10.1.0.0/16"))
    let targets = (nodes["gate"]?["packet_filter_rules"]?[0]?["DstPorts"]?.array ?? [])
      .compactMap { $0["IP"]?.string }
    #expect(targets.contains("11.0.0.0-100.63.255.255"))
    #expect(!targets.contains { $0.hasPrefix("10.") || $0.hasPrefix("192.168.") })
  }

  @Test("A subnet is approved by an entry for a larger one, but an exit node by exitNode alone")
  func approvers() throws {
    let nodes = try evaluate(
      """
      {"autoApprovers": {"routes": {"0.0.0.0/0": ["tag:gate"]}},
       "acls": [{"action": "accept", "src": ["eve@"], "dst": ["*:*"]}]}
      """
    )
    let allowed = (nodes["eve"]?["allowed_ips"]?["gate"]?.array ?? []).compactMap(\.string)
    #expect(allowed == ["100.64.0.6/32", "fd7a:115c:a1e0::6/128", "10.1.0.0/16"])
  }

  @Test("Sessions are recorded where the policy says, and end when they must be and cannot")
  func recorders() throws {
    let nodes = try evaluate(
      """
      {"ssh": [{"action": "check", "src": ["ann@"], "dst": ["tag:web"], "users": ["root"],
        "recorder": ["tag:gate"], "enforceRecorder": true}]}
      """
    )
    let action = nodes["web"]?["ssh_rules"]?[0]?["action"]
    let recorders = (action?["recorders"]?.array ?? []).compactMap(\.string)
    #expect(recorders == ["100.64.0.6:80", "[fd7a:115c:a1e0::6]:80"])
    #expect(action?["onRecordingFailure"]?["RejectSessionWithMessage"] != nil)
  }

  @Test("Options of the whole network come to attributes of every node")
  func options() throws {
    let nodes = try evaluate("{\"randomizeClientPort\": true, \"disableIPv4\": true}")
    #expect(nodes["eve"]?["cap_map"]?.object?.names == ["disable-ipv4", "randomize-client-port"])
  }

  @Test("Tests are about who asks, though it have no device, and each that fails is named")
  func tests() throws {
    let text = """
      {"groups": {"group:new": ["zoe@a.example"]}, "tagOwners": {"tag:later": []},
       "grants": [{"src": ["group:new"], "dst": ["tag:later"], "ip": ["tcp:22"]}],
       "tests": [
         {"src": "zoe@a.example", "accept": ["tag:later:22"], "deny": ["tag:later:23"]},
         {"src": "zoe@a.example", "proto": "udp", "accept": ["tag:later:22"]}]}
      """
    let result = try PolicyEvaluation.evaluate(
      policy: Array(text.utf8),
      topology: Self.topology
    )
    let error = try #require(result.report["error"]?.string)
    #expect(error == "5:4: test(s) failed: zoe@a.example cannot reach tag:later:22")
  }
}
