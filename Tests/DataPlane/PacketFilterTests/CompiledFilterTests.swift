// SPDX-License-Identifier: Apache-2.0

import Addressing
import Packets
import TestSupport
import Testing

@testable import PacketFilter

@Suite("Compiled packet filter")
struct CompiledFilterTests {
  @Test("Random policies are judged like the obvious evaluator judges them", arguments: 0..<60)
  func agreesWithTheObvious(_ seed: Int) throws {
    var world = PolicyWorld(seed: UInt64(seed))
    let policy = try world.policy(rules: seed % 6 == 5 ? 60 : 1 + seed % 12)
    let filter = Filter(
      localNetworks: policy.localNetworks.prefixes,
      rules: policy.rules,
      capabilityHolders: policy.capabilityHolders
    )
    var (flows, obviousFlows) = (FlowTable(), FlowTable())
    for round in 0..<400 {
      let view = Sample.view(world.packet())
      let verdict = filter.inbound(view, flows: &flows)
      let obvious = policy.accepts(view, flows: &obviousFlows)
      #expect((verdict == .accept) == obvious, "seed \(seed), round \(round): \(view)")
    }
  }

  @Test("Rules too broad to be paired are judged alike", arguments: 0..<20)
  func broadRules(_ seed: Int) throws {
    var world = PolicyWorld(seed: UInt64(1000 + seed))
    let policy = try world.policy(rules: 20)
    let holders = policy.capabilityHolders
    let rules = policy.rules.map { rule in
      FamilyRule(
        rule: rule,
        capableSources: rule.sourceCapabilities.flatMap { holders[$0] ?? [] }.filter(\.isV4)
      )
    }.filter { one in
      (one.rule.sources.hasAny(of: .v4) || !one.rule.sourceCapabilities.isEmpty)
        && one.rule.destinations.contains { $0.addresses.hasAny(of: .v4) }
    }
    let whole = FamilyRules(rules, to: policy.localNetworks, .v4)
    let broad = FamilyRules(rules, to: policy.localNetworks, .v4, pairsMaximum: 0)
    #expect(broad.size.pairs == 0)
    for _ in 0..<400 {
      let view = Sample.view(world.packet())
      guard view.source.isV4, policy.localNetworks.contains(view.destination) else { continue }
      func judge(_ rules: FamilyRules) -> Bool {
        switch view.kind {
        case .tcp, .udp, .sctp: rules.letsPort(view)
        case .icmp: rules.letsICMP(view)
        default: rules.letsOther(view)
        }
      }
      #expect(judge(whole) == judge(broad), "seed \(seed): \(view)")
    }
  }

  @Test("Ten thousand rules become as many pairs as there are different lists, none asked singly")
  func tenThousandRules() throws {
    let here = IPAddress(100, 64, 0, 1)
    let own = AddressSet([IPPrefix(host: here)])
    let rules: [Rule] = (0..<10_000).map { (number: Int) -> Rule in
      let host = IPPrefix(host: IPAddress(v4: 0x6440_0100 + UInt32(number)))
      let port = UInt16(2 * number)
      return Rule(
        sources: number % 2 == 0 ? .everything : AddressSet([host]),
        destinations: [.init(own, firstPort: port, lastPort: port)]
      )
    }
    let filter = Filter(localNetworks: [IPPrefix(host: here)], rules: rules)
    #expect(filter.size.pairs == 5001)
    #expect(filter.size.broad == 0)
    var flows = FlowTable()
    let obvious = ObviousFilter(localNetworks: own, rules: rules)
    for number in stride(from: 0, to: 10_000, by: 997) {
      for port in [2 * number, 2 * number + 1, 0, 4] {
        let source = IPAddress(v4: 0x6440_0100 + UInt32(number))
        let view = Sample.view(Sample.packet(6, source, here, port: UInt16(port)))
        let verdict = filter.inbound(view, flows: &flows)
        #expect((verdict == .accept) == obvious.accepts(view, flows: &flows))
      }
    }
  }

  @Test("Rules beyond the bound allow nothing and are counted")
  func bound() {
    let here = IPPrefix(host: IPAddress(100, 64, 0, 1))
    let rule = Rule(sources: AddressSet([here]), destinations: [.init(AddressSet([here]))])
    let many = [Rule](repeating: rule, count: Filter.rulesMaximum) + [.allowAll]
    let filter = Filter(localNetworks: [here], rules: many)
    #expect(filter.rulesLeftOut == 1)
    var flows = FlowTable()
    let packet = Sample.packet(6, IPAddress(100, 64, 0, 9), here.address, port: 22)
    let verdict = filter.inbound(Sample.view(packet), flows: &flows)
    #expect(verdict == .drop(.rules))
  }
}

/// Makes policies and packets that often meet: few addresses, nested and adjoining prefixes.
struct PolicyWorld {
  var random: SeededGenerator

  init(seed: UInt64) { random = SeededGenerator(state: seed) }

  mutating func policy(rules count: Int) throws -> ObviousFilter {
    let local = (0..<Int.random(in: 1...3, using: &random)).map { _ in prefix() }
    let holders = Dictionary(
      uniqueKeysWithValues: ["a", "b"].map { name in
        (name, Set((0..<3).map { _ in address() }))
      }
    )
    return ObviousFilter(
      localNetworks: AddressSet(local),
      rules: (0..<count).map { _ in rule() },
      capabilityHolders: holders
    )
  }

  mutating func packet() -> [UInt8] {
    let source = address()
    var destination = address()
    while destination.family != source.family { destination = address() }
    let icmp: UInt8 = source.isV4 ? 1 : 58
    let protos: [UInt8] = [6, 6, 17, 132, icmp, 47, 99, 1, 58]
    let proto = protos.randomElement(using: &random) ?? 6
    return Sample.packet(
      proto,
      source,
      destination,
      port: UInt16.random(in: 0...12, using: &random),
      syn: random.next() % 4 != 0,
      icmp: random.next() % 4 == 0 ? "echo-reply" : "echo-request"
    )
  }

  private mutating func rule() -> Rule {
    Rule(
      sources: set(),
      sourceCapabilities: ["a", "b", "c"].filter { _ in random.once(in: 6) },
      destinations: (0..<Int.random(in: 0...3, using: &random)).map { _ in
        let first = UInt16.random(in: 0...10, using: &random)
        let isAll = random.once(in: 3)
        let last = UInt16(clamping: Int(first) + Int.random(in: -1...4, using: &random))
        return .init(set(), firstPort: isAll ? 0 : first, lastPort: isAll ? .max : last)
      },
      protocols: random.once(in: 2)
        ? .usual : ProtocolSet([6, 17, 1, 58, 132, 47].filter { _ in random.once(in: 2) })
    )
  }

  private mutating func set() -> AddressSet {
    if random.once(in: 8) { return .everything }
    var set = AddressSet((0..<Int.random(in: 0...4, using: &random)).map { _ in prefix() })
    if random.once(in: 3) { set.formUnion(AddressSet(from: address(), through: address())) }
    return set
  }

  private mutating func prefix() -> IPPrefix {
    let address = address()
    let width = address.family.bitWidth
    let length = random.once(in: 2) ? width : width - Int.random(in: 0...8, using: &random)
    return IPPrefix(address, length: random.once(in: 12) ? 0 : length) ?? IPPrefix(host: address)
  }

  private mutating func address() -> IPAddress {
    let low = UInt64.random(in: 0...40, using: &random)
    return random.once(in: 3)
      ? IPAddress(high: 0xFD7A_115C_A1E0_0000, low: low)
      : IPAddress(v4: 0x6440_0000 | UInt32(low) | (random.once(in: 20) ? 0x100 : 0))
  }
}
