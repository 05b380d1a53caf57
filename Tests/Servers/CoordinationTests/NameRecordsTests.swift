// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import Coordination
import Testing

@Suite("Names that the operator adds")
struct NameRecordsTests {
  @Test("Resolvers, split domains, search domains and records are told to nodes")
  func told() {
    var names = NameOptions(
      resolvers: ["192.0.2.53"],
      split: ["corp.example": ["10.0.0.53", "https://dns.example/dns-query"]],
      searchDomains: ["corp.example"],
      records: [DNSRecord(name: "a.lab.example", type: "A", value: "100.64.0.9")]
    )
    let config = World { $0.names = names }.tailnet.dnsConfig
    #expect(config.resolvers.map(\.addr) == ["192.0.2.53"] && config.fallbackResolvers.isEmpty)
    #expect(config.routes["corp.example"]?.map(\.addr) == names.split["corp.example"])
    #expect(config.domains == ["lab.example", "corp.example"])
    #expect(config.extraRecords == names.records && config.proxied)
    names.overridesLocal = false
    names.answersNames = false
    let other = World { $0.names = names }.tailnet.dnsConfig
    #expect(other.resolvers.isEmpty && other.fallbackResolvers.map(\.addr) == ["192.0.2.53"])
    #expect(!other.proxied && other.routes.keys.sorted() == ["corp.example"])
  }

  @Test("Other records are told once, to everybody")
  func changed() throws {
    var world = World()
    let user = try world.user()
    let node = try world.joined(world.machine(), of: user)
    let before = world.tailnet.changes.head
    let records = [DNSRecord(name: "a.lab.example", type: "A", value: "100.64.0.9")]
    world.act { $0.apply(records: records, at: $1, into: &$3) }
    world.act { $0.apply(records: records, at: $1, into: &$3) }
    #expect(world.tailnet.changes.head == before + 1)
    let changes = try #require(
      world.tailnet.changes.changes(after: before, through: before + 1)
    )
    let delta = MapBuilder(world.tailnet).delta(ChangeSummary(changes), for: node.id, at: world.now)
    guard case .shared(let response) = delta else {
      Issue.record("it is the same for all")
      return
    }
    #expect(response.dnsConfig?.extraRecords == records)
  }

  @Test(
    "A file's records are read, and one that cannot be refuses all",
    arguments: [
      "", "{}", "[1]", #"[{"name": "*.lab.example", "value": "100.64.0.9"}]"#,
      #"[{"name": "a b", "value": "100.64.0.9"}]"#, #"[{"name": "a", "value": "b"}]"#,
      #"[{"name": "a", "type": "AAAA", "value": "100.64.0.9"}]"#,
      #"[{"name": "a", "type": "TXT", "value": "100.64.0.9"}]"#,
      #"[{"name": "a", "value": "100.64.0.9"}, {"name": "b"}]"#,
    ]
  )
  func refused(text: String) throws {
    #expect(throws: Refusal.self) { try NameRecords.read(Array(text.utf8)) }
    let good =
      #"[{"name": "A.Lab.example.", "type": "A", "value": "100.64.0.9"}, {"name": "b", "value": "fd7a::1"}]"#
    let records = try NameRecords.read(Array(good.utf8))
    #expect(records.map(\.name) == ["a.lab.example", "b"] && records[1].value == "fd7a::1")
  }

  @Test(
    "Resolvers are addresses, with port or without, or resolvers over HTTPS",
    arguments: [
      ("192.0.2.53", true), ("192.0.2.53:5353", true), ("fd00::53", true), ("[fd00::53]:53", true),
      ("https://dns.example/dns-query", true), ("dns.example", false), ("https://", false),
      ("http://dns.example", false), ("https://a b", false),
    ]
  )
  func resolvers(text: String, isOne: Bool) { #expect(NameOptions.isResolver(text) == isOne) }

  @Test(
    "What an administrator says of names counts instead of the file's, and comes back from where it is kept"
  )
  func settings() throws {
    var world = World { $0.names.resolvers = ["192.0.2.1"] }
    let records = [DNSRecord(name: "a.example", type: "A", value: "100.64.0.9")]
    world.act { $0.apply(records: records, at: $1, into: &$3) }
    var names = world.tailnet.nameOptions
    names.resolvers = ["192.0.2.2"]
    names.split = ["Corp.Example.": ["10.0.0.1"]]
    names.overridesLocal = false
    try world.act { [names] in try $0.setNames(names, by: "test", at: $1, into: &$3) }
    #expect(world.tailnet.dnsConfig.fallbackResolvers.map(\.addr) == ["192.0.2.2"])
    #expect(world.tailnet.dnsConfig.routes["corp.example"]?.map(\.addr) == ["10.0.0.1"])
    #expect(world.tailnet.dnsConfig.extraRecords == records)
    let kept = try #require(NameOptions(kept: world.tailnet.nameOptions.kept))
    #expect(kept.split == ["corp.example": ["10.0.0.1"]] && !kept.overridesLocal)
    for damaged in ["", "{}", "[]", "{\"answersNames\": 1}"] {
      #expect(NameOptions(kept: damaged) == nil)
    }
    for wrong in [["x"], Array(repeating: "10.0.0.1", count: 17)] {
      names.resolvers = wrong
      #expect(throws: Refusal.self) {
        try world.act { [names] in try $0.setNames(names, by: "test", at: $1, into: &$3) }
      }
    }
    try world.act { try $0.setNames(nil, by: "test", at: $1, into: &$3) }
    #expect(world.tailnet.dnsConfig.resolvers.map(\.addr) == ["192.0.2.1"])
  }
}
