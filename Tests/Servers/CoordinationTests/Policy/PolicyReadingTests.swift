// SPDX-License-Identifier: Apache-2.0

import Coordination
import Testing

@Suite("What a policy may say")
struct PolicyReadingTests {
  private static let world = PolicyWorld(
    people: [
      PolicyWorld.Person(id: UserID(1), name: "ann", email: "ann@a.example"),
      PolicyWorld.Person(id: UserID(2), name: "bob", email: "bob@a.example"),
    ],
    devices: []
  )

  /// What a policy is refused with; nil when it is taken.
  private func refusal(_ text: String) -> String? {
    do throws(PolicyError) {
      _ = try Policy(Array(text.utf8), for: Self.world)
      return nil
    } catch {
      return error.description
    }
  }

  @Test("Comments, commas at ends and a mark of the byte order are read over")
  func humanText() {
    let text = """
      \u{FEFF}// Who may reach whom.
      {
        /* nobody
           yet */ "acls": [ // an empty list
        ],
        "groups": {"group:a": ["ann@a.example",],},
      }
      """
    #expect(refusal(text) == nil)
  }

  @Test(
    "Every fault is told with its line and column",
    arguments: [
      (
        "{\n  \"acls\": [\n    {\"action\": \"deny\"}\n  ]\n}", "3:16: action \"deny\" is not valid"
      ),
      ("{\"nonsense\": 1}", "1:2: unknown field \"nonsense\" in the policy"),
      ("{\"acls\": null}", "1:10: acls must be a list, not null"),
      ("{\"acls\": [], \"ACLs\": []}", "1:14: duplicate field \"ACLs\" in the policy"),
      (
        "{\"hosts\": {\"a\": \"1.2.3.4\", \"a\": \"1.2.3.5\"}}",
        "1:28: duplicate name \"a\" in hosts"
      ),
      (
        "{\"hosts\": {\"a\": \"1.2.3\"}}",
        "host \"a\": \"1.2.3\" is neither an address nor a prefix"
      ),
      ("{\"acls\": [,]}", "1:11: unexpected byte 44"),
      ("{\"acls\": []", "1:12: the text ends too early"),
      ("{\"é\": /* no end", "1:7: this comment does not end"),
      (
        "{\"groups\": {\"group:a\": [\"group:b\"], \"group:b\": [\"group:a\"]}}",
        "1:25: a group cannot"
      ),
      ("{\"tagOwners\": {\"tag:a\": [\"tag:b\"], \"tag:b\": [\"tag:a\"]}}", "leads back to itself"),
      (
        "{\"ipsets\": {\"ipset:a\": [\"ipset:b\"], \"ipset:b\": [\"ipset:a\"]}}",
        "leads back to itself"
      ),
      ("{\"tagOwners\": {\"tag:0\": []}}", "1:16: \"tag:0\" is no name"),
      (
        "{\"acls\": [{\"action\": \"accept\", \"src\": [\"tag:x\"], \"dst\": [\"*:*\"]}]}",
        "tag not found"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"src\": [\"box\"], \"dst\": [\"*:*\"]}]}",
        "host not found"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"src\": [\"group:x\"], \"dst\": [\"*:*\"]}]}",
        "group not found"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"*\"]}]}",
        "a colon and ports"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"*:0\"]}]}",
        "first port must be >0"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"*:9-7\"]}]}",
        "less than or equal"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"*:70000\"]}]}",
        "not a port"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"src\": [\"autogroup:odd\"], \"dst\": [\"*:*\"]}]}",
        "unknown autogroup"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"src\": [\"autogroup:internet\"], \"dst\": [\"*:*\"]}]}",
        "cannot be used in src"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"0.0.0.0/0:*\"]}]}",
        "use autogroup:internet"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"proto\": \"icmp\", \"src\": [\"*\"], \"dst\": [\"*:22\"]}]}",
        "has no ports"
      ),
      (
        "{\"acls\": [{\"action\": \"accept\", \"proto\": \"odd\", \"src\": [\"*\"], \"dst\": [\"*:*\"]}]}",
        "unknown protocol"
      ),
      (
        "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"]}]}", "at least one of \"ip\" and \"app\""
      ),
      (
        "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"app\": {\"tailscale.com/cap/odd\": []}}]}",
        "cannot be granted"
      ),
      (
        "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"app\": {\"a.example/x\": [1]}}]}",
        "must be an object"
      ),
      (
        "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"autogroup:internet\"], \"app\": {\"a.example/x\": [{}]}}]}",
        "cannot be used with"
      ),
      (
        "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"ip\": [\"*\"], \"via\": [\"*\"]}]}",
        "via can only have tags"
      ),
      (
        "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"ip\": [\"*\"], \"srcPosture\": [\"posture:x\"]}]}",
        "posture not found"
      ),
      ("{\"postures\": {\"posture:x\": [\"node:os is fine\"]}}", "is no condition of a posture"),
      (
        "{\"ssh\": [{\"action\": \"accept\", \"src\": [\"*\"], \"dst\": [\"autogroup:member\"], \"users\": [\"root\"]}]}",
        "cannot be used in src of ssh"
      ),
      (
        "{\"ssh\": [{\"action\": \"accept\", \"src\": [\"ann@\"], \"dst\": [\"bob@\"], \"users\": [\"root\"]}]}",
        "from the same user"
      ),
      (
        "{\"ssh\": [{\"action\": \"accept\", \"src\": [\"ann@\"], \"dst\": [\"*\"], \"users\": [\"root\"]}]}",
        "cannot be used in dst of ssh"
      ),
      (
        "{\"ssh\": [{\"action\": \"accept\", \"src\": [\"ann@\"], \"dst\": [\"ann@\"], \"users\": []}]}",
        "users must be specified"
      ),
      (
        "{\"ssh\": [{\"action\": \"check\", \"checkPeriod\": \"200h\", \"src\": [\"ann@\"], \"dst\": [\"ann@\"], \"users\": [\"a\"]}]}",
        "at most 168h0m0s"
      ),
      (
        "{\"ssh\": [{\"action\": \"accept\", \"checkPeriod\": \"1h\", \"src\": [\"ann@\"], \"dst\": [\"ann@\"], \"users\": [\"a\"]}]}",
        "only valid with action"
      ),
      ("{\"nodeAttrs\": [{\"target\": [\"*\"], \"ipPool\": [\"10.0.0.0/24\"]}]}", "network not in"),
      (
        "{\"autoApprovers\": {\"routes\": {\"10.0.0.0/8\": [\"1.2.3.4\"]}}}",
        "cannot be used in autoApprovers"
      ),
      ("{\"autoApprovers\": {\"routes\": {\"10/8\": []}}}", "is no prefix of a route"),
      ("{\"tests\": [{\"src\": \"ann@\"}]}", "must have an \"accept\" or a \"deny\""),
    ]
  )
  func faults(text: String, wanted: String) throws {
    let words = try #require(refusal(text), "it was taken")
    #expect(words.contains(wanted), "\(words)")
    let place = words.prefix { $0 != " " }.split(separator: ":").compactMap { Int($0) }
    #expect(place.count == 2)
  }

  @Test("What is too long, too deep or too much is refused before it is understood")
  func bounds() throws {
    let long = "{\"acls\": [" + String(repeating: " ", count: 1 << 20) + "]}"
    #expect(try #require(refusal(long)).contains("longer than 1048576 bytes"))
    let deep = String(repeating: "[", count: 5000) + String(repeating: "]", count: 5000)
    #expect(try #require(refusal("{\"tests\": \(deep)}")).contains("nested deeper"))
    let many = "{\"acls\": [" + String(repeating: "0,", count: 210_000) + "0]}"
    #expect(try #require(refusal(many)).contains("too many values"))
    let chain = (0..<20_000).map { "\"ipset:\($0)\": [\"ipset:\(($0 + 1) % 20_000)\"]" }
    #expect(
      try #require(refusal("{\"ipsets\": {\(chain.joined(separator: ", "))}}"))
        .contains("leads back to itself")
    )
  }

  @Test("Hostile names are shown without what would disturb a terminal")
  func hostileNames() throws {
    let words = try #require(refusal("{\"a\\u001b[31m\\nb\": 1}"))
    #expect(!words.unicodeScalars.contains { $0.value < 0x20 })
  }

  @Test("A policy cut short anywhere is refused, and no byte changed in one ends the program")
  func damage() {
    let text = Array(
      """
      {"groups": {"group:a": ["ann@a.example"]}, "tagOwners": {"tag:t": ["group:a"]},
       "hosts": {"h": "10.0.0.0/8"}, "ipsets": {"ipset:s": ["add 10.0.0.0/8", "remove 10.1.0.0/16"]},
       "postures": {"posture:p": ["node:os IN ['linux', 'macos']", "node:tsVersion >= '1.40'"]},
       "acls": [{"action": "accept", "src": ["*"], "dst": ["tag:t:22,80-90", "[fd00::1]:443"]}],
       "grants": [{"src": ["ipset:s"], "dst": ["h"], "ip": ["tcp:443"], "srcPosture": ["posture:p"]}],
       "ssh": [{"action": "check", "src": ["group:a"], "dst": ["tag:t"], "users": ["root"],
        "checkPeriod": "1h30m"}], "nodeAttrs": [{"target": ["*"], "attr": ["a"]}],
       "tests": [{"src": "ann@a.example", "accept": ["tag:t:22"], "deny": ["tag:t:23"]}]}
      """.utf8
    )
    #expect(refusal(String(decoding: text, as: UTF8.self)) == nil)
    for end in 0..<text.count {
      #expect(refusal(String(decoding: text[..<end], as: UTF8.self)) != nil, "cut at \(end)")
    }
    var state: UInt64 = 7
    for _ in 0..<3000 {
      var mutated = text
      for _ in 0..<3 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        mutated[Int(state >> 33) % mutated.count] = UInt8(truncatingIfNeeded: state >> 25)
      }
      if let policy = try? Policy(mutated, for: Self.world) {
        // A mutation that is a policy still has to compile.
        #expect(policy.compiled(for: Self.world).world == Self.world)
      }
    }
  }
}
