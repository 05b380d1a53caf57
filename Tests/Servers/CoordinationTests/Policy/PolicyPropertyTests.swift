// SPDX-License-Identifier: Apache-2.0

import Addressing
import Coordination
import Cryptography
import Testing

@Suite("Policies at random")
struct PolicyPropertyTests {
  @Test(
    "What clients let in by the compiled rules is what the policy says, packet by packet",
    arguments: 1...25
  )
  func filters(seed: UInt64) throws {
    var entropy = Entropy(seed: seed)
    for _ in 0..<15 {
      let world = RandomPolicy.world(using: &entropy)
      let text = RandomPolicy.text(using: &entropy)
      let policy = try Policy(Array(text.utf8), for: world)
      let compiled = policy.compiled(for: world)
      let slow = try SlowEvaluator(text, world)
      for device in world.devices {
        let rules = compiled.filter(of: device.id)
        for packet in packets(to: device, in: world, using: &entropy) {
          let wanted = slow.lets(packet, in: device)
          let got = clientLets(packet, by: rules)
          #expect(got == wanted, "\(packet) at \(device.name) by \(text)")
          if got != wanted { return }
        }
      }
    }
  }

  @Test("Nodes see each other when one may send something to the other", arguments: 1...10)
  func visibility(seed: UInt64) throws {
    var entropy = Entropy(seed: seed + 1000)
    for _ in 0..<3 {
      let world = RandomPolicy.world(using: &entropy)
      let text = RandomPolicy.text(using: &entropy)
      let compiled = try Policy(Array(text.utf8), for: world).compiled(for: world)
      let slow = try SlowEvaluator(text, world)
      for left in world.devices {
        for right in world.devices where left.id < right.id {
          let wanted = sends(left, right, slow) || sends(right, left, slow)
          #expect(compiled.sees(left.id, right.id) == wanted, "\(left.name) \(right.name) \(text)")
          #expect(compiled.sees(right.id, left.id) == wanted)
          if compiled.sees(left.id, right.id) != wanted { return }
        }
      }
    }
  }

  @Test("What has not changed is not looked at, and what has is found", arguments: 1...25)
  func changes(seed: UInt64) throws {
    var entropy = Entropy(seed: seed + 2000)
    for _ in 0..<10 {
      let world = RandomPolicy.world(using: &entropy)
      let first = try Policy(Array(RandomPolicy.text(using: &entropy).utf8), for: world)
      let second = try Policy(Array(RandomPolicy.text(using: &entropy).utf8), for: world)
      let before = first.compiled(for: world)
      let after = second.compiled(for: world, after: before)
      let told = after.changed(since: before)
      for device in world.devices where !told.contains(device.id) {
        #expect(after.filter(of: device.id) == before.filter(of: device.id))
        #expect(after.sshRules(of: device.id) == before.sshRules(of: device.id))
      }
      let same = second.compiled(for: world, after: after)
      #expect(same.changed(since: after).isEmpty)
      for device in world.devices {
        #expect(same.audience(of: device.id) == after.audience(of: device.id))
      }
    }
  }

  private func sends(
    _ source: PolicyWorld.Device,
    _ target: PolicyWorld.Device,
    _ slow: SlowEvaluator
  ) -> Bool {
    let places = RandomPolicy.prefixes.map(\.address) + [IPAddress(10, 33, 1, 0)]
    let sources =
      source.addresses + places.filter { place in source.routes.contains { $0.contains(place) } }
    let targets =
      target.addresses + places.filter { place in target.routes.contains { $0.contains(place) } }
    return sources.contains { from in
      targets.contains { to in
        RandomPolicy.protocols.contains { proto in
          RandomPolicy.edges.contains { port in
            slow.lets(.init(source: from, target: to, proto: proto, port: port), in: target)
          }
        }
      }
    }
  }

  private func packets(
    to device: PolicyWorld.Device,
    in world: PolicyWorld,
    using entropy: inout Entropy
  ) -> [SlowEvaluator.Packet] {
    var sources = world.devices.flatMap(\.addresses)
    sources += RandomPolicy.prefixes.map(\.lastAddress)
    sources += [IPAddress(192, 0, 2, 1), IPAddress(100, 115, 92, 7), IPAddress(100, 64, 99, 99)]
    let targets = device.addresses + device.routes.map(\.lastAddress)
    return (0..<40).compactMap { _ in
      guard let source = sources.randomElement(using: &entropy),
        let target = targets.randomElement(using: &entropy),
        let proto = RandomPolicy.protocols.randomElement(using: &entropy),
        let port = RandomPolicy.edges.randomElement(using: &entropy)
      else { return nil }
      return SlowEvaluator.Packet(source: source, target: target, proto: proto, port: port)
    }
  }
}

/// Policies and worlds made of a few names, so that they meet.
enum RandomPolicy {
  static let protocols = [1, 6, 17, 132]
  /// Ports at the edges of what policies here open.
  static let edges: [UInt16] = [21, 22, 80, 81, 443, 444, 8000, 8100]
  static let prefixes = ["10.33.0.0/16", "10.0.0.0/8", "192.168.1.0/24", "100.64.0.0/29"]
    .compactMap { IPPrefix($0) }
  private static let users = ["ann@a.example", "bob@a.example", "eve@b.example"]
  private static let tags = ["tag:web", "tag:db", "tag:router"]
  private static let words =
    users + tags + ["group:ops", "group:none", "autogroup:member", "autogroup:tagged", "*"]
    + ["inside", "box", "100.64.0.2", "10.33.1.0/24", "100.64.0.0/29"]

  static func world(using entropy: inout Entropy) -> PolicyWorld {
    let people = users.enumerated().map { index, email in
      PolicyWorld.Person(
        id: UserID(Int64(index + 1)),
        name: String(email.prefix(3)),
        email: email
      )
    }
    let devices = (1...Int.random(in: 3...9, using: &entropy)).map { number in
      let isTagged = Bool.random(using: &entropy)
      let routes = prefixes.prefix(3).filter { _ in Int.random(in: 0..<5, using: &entropy) == 0 }
      return PolicyWorld.Device(
        id: NodeID(Int64(number)),
        name: "n\(number)",
        addresses: [
          IPAddress(100, 64, 0, UInt8(number)),
          IPAddress(high: 0xFD7A_115C_A1E0_0000, low: UInt64(number)),
        ],
        user: isTagged ? nil : people.randomElement(using: &entropy)?.id,
        tags: isTagged
          ? Array(tags.shuffled(using: &entropy).prefix(Int.random(in: 1...2, using: &entropy)))
          : [],
        announced: Array(routes),
        approved: Array(routes)
      )
    }
    return PolicyWorld(people: people, devices: devices.choosingPrimaries)
  }

  static func text(using entropy: inout Entropy) -> String {
    var sections = [
      "\"groups\": {\"group:ops\": [\"ann@a.example\", \"eve@b.example\"], \"group:none\": []}",
      "\"hosts\": {\"inside\": \"10.0.0.0/8\", \"box\": \"100.64.0.3\"}",
      "\"tagOwners\": {\"tag:web\": [], \"tag:db\": [], \"tag:router\": []}",
    ]
    if Bool.random(using: &entropy) {
      let acls = (0..<Int.random(in: 0...3, using: &entropy)).map { _ in acl(using: &entropy) }
      sections.append("\"acls\": [\(acls.joined(separator: ", "))]")
    }
    if Bool.random(using: &entropy) {
      let grants = (0..<Int.random(in: 0...3, using: &entropy)).map { _ in grant(using: &entropy) }
      sections.append("\"grants\": [\(grants.joined(separator: ", "))]")
    }
    return "{\(sections.joined(separator: ", "))}"
  }

  private static func list(_ words: [String]) -> String {
    "[" + words.map { "\"\($0)\"" }.joined(separator: ", ") + "]"
  }

  private static func some(_ words: [String], using entropy: inout Entropy) -> [String] {
    Array(words.shuffled(using: &entropy).prefix(Int.random(in: 1...3, using: &entropy)))
  }

  private static func ports(using entropy: inout Entropy) -> String {
    ["*", "22", "80,443", "8000-8100", "80-443"].randomElement(using: &entropy) ?? "*"
  }

  private static func acl(using entropy: inout Entropy) -> String {
    let proto = ["", "tcp", "udp", "icmp", "132"].randomElement(using: &entropy) ?? ""
    let isOwn = Int.random(in: 0..<4, using: &entropy) == 0
    let sources = isOwn ? [users[0], "group:ops", "*", "autogroup:member"] : words
    var targets = some(words, using: &entropy).map { word in
      word + ":" + (proto == "icmp" ? "*" : ports(using: &entropy))
    }
    if isOwn { targets.append("autogroup:self:" + (proto == "icmp" ? "*" : "22")) }
    return "{\"action\": \"accept\", \"proto\": \"\(proto)\", "
      + "\"src\": \(list(some(sources, using: &entropy))), \"dst\": \(list(targets))}"
  }

  private static func grant(using entropy: inout Entropy) -> String {
    let flows = some(
      ["*", "22", "tcp:80-443", "udp:*", "icmp:*", "sctp:8000-8100"],
      using: &entropy
    )
    let isVia = Int.random(in: 0..<4, using: &entropy) == 0
    let targets = some(
      isVia ? ["inside", "10.33.1.0/24", "192.168.1.0/24"] : words,
      using: &entropy
    )
    return "{\"src\": \(list(some(words, using: &entropy))), \"dst\": \(list(targets)), "
      + "\"ip\": \(list(flows))" + (isVia ? ", \"via\": [\"tag:router\"]" : "") + "}"
  }
}
