// SPDX-License-Identifier: Apache-2.0

import Coordination
import Testing

@Suite("Names")
struct NamesTests {
  @Test(
    "A host name becomes a label of letters, digits and hyphens",
    arguments: [
      ("laptop", "laptop"), ("Anna's MacBook.local", "annas-macbook"), ("a.b_c@d e", "a-b-c-d-e"),
      ("", "node"), ("-._", "node"), ("ünïcode", "ncode"), ("日本", "node"),
      ("host\nHost *\n ProxyCommand x", "hosthost--proxycommand-x"),
      ("\"; rm -rf /", "rm--rf"), ("x.lan", "x"), ("-lead", "lead"),
      (String(repeating: "a", count: 100), String(repeating: "a", count: 63)),
    ]
  )
  func sanitized(given: String, label: String) {
    #expect(NodeName.sanitized(given) == label)
    #expect(NodeName.isLabel(NodeName.sanitized(given)))
  }

  @Test("A name that is taken gets the first free number, and still fits")
  func unique() {
    var taken: Set<String> = ["web", "web-1"]
    #expect(NodeName.unique("web") { !taken.contains($0) } == "web-2")
    let long = String(repeating: "x", count: 63)
    taken.insert(long)
    let name = NodeName.unique(long) { !taken.contains($0) }
    #expect(name.utf8.count == 63 && name.hasSuffix("-1"))
  }

  @Test(
    "An administrator cannot choose what is no label",
    arguments: [
      "", "-a", "a-", "a.b", "a b", "a\n", "a\"", "../a", String(repeating: "a", count: 64),
    ]
  )
  func refused(text: String) {
    #expect(throws: Refusal.self) { try NodeName.chosen(text) }
  }

  @Test(
    "What is no tag is refused",
    arguments: ["x", "tag:", "tag:1a", "tag:A", "tag:a b", "tag:a;b", "tag:a\n"]
  )
  func tags(text: String) {
    #expect(throws: Refusal.self) { try Tag.valid([text]) }
  }

  @Test("Tags are sorted and each stands once")
  func sortedTags() throws {
    #expect(try Tag.valid(["tag:b", "tag:a-1", "tag:b"]) == ["tag:a-1", "tag:b"])
  }

  @Test(
    "What is no user name is refused",
    arguments: ["", "a", "1ab", "a b", "a<b", "a@b@c", "ab\u{1B}[0m", "é1"]
  )
  func users(text: String) {
    #expect(throws: Refusal.self) { try User.validName(text) }
  }
}
