// SPDX-License-Identifier: Apache-2.0

import Addressing

/// A rule that concerns a family, and who are its sources by a capability.
struct FamilyRule {
  var rule: Rule
  var capableSources: [IPAddress]
}

extension FamilyRules {
  /// What is known while rules are compiled.
  struct Draft {
    /// One destination of one rule.
    private struct Target {
      var rule: Int
      var ports: NumberSpan<UInt16>
    }

    let sources: AddressClasses
    let destinations: AddressClasses
    /// Items: twice the number of the rule, and one for sources by capability.
    private(set) var sourceLists: [[UInt32]] = []
    private var destinationLists: [[UInt32]] = []
    private var targets: [Target] = []
    /// By the source list above and the destination list below.
    private(set) var pairs: [UInt64: Permission] = [:]
    private(set) var broad: [UInt32: [BroadRule]] = [:]

    init(_ rules: [FamilyRule], to local: AddressSet, _ family: IPAddress.Family) {
      var from: [AddressClasses.Mention] = []
      var to: [AddressClasses.Mention] = []
      for (number, familyRule) in rules.enumerated() {
        let item = UInt32(2 * number)
        from += familyRule.rule.sources.prefixes(of: family).map { .init(prefix: $0, item: item) }
        from += familyRule.capableSources.map { .init(prefix: IPPrefix(host: $0), item: item + 1) }
        for destination in familyRule.rule.destinations {
          let ports = NumberSpan<UInt16>(first: destination.firstPort, last: destination.lastPort)
          // What is not addressed to this node is refused before any rule is asked.
          for prefix in destination.addresses.prefixes(of: family) where local.overlaps(prefix) {
            to.append(.init(prefix: prefix, item: UInt32(targets.count)))
          }
          targets.append(Target(rule: number, ports: ports))
        }
      }
      sources = AddressClasses(from, lists: &sourceLists)
      destinations = AddressClasses(to, lists: &destinationLists)
    }

    /// Works out what each pair of lists lets in, rules with few pairs first.
    mutating func pairUp(_ rules: [FamilyRule], maximum: Int) {
      var from = [[(list: UInt32, byCapability: Bool)]](repeating: [], count: rules.count)
      for (list, items) in sourceLists.enumerated() {
        for item in items { from[Int(item >> 1)].append((UInt32(list), item & 1 == 1)) }
      }
      var to = [[(list: UInt32, ports: NumberSpan<UInt16>)]](repeating: [], count: rules.count)
      for (list, items) in destinationLists.enumerated() {
        for item in items {
          let target = targets[Int(item)]
          to[target.rule].append((UInt32(list), target.ports))
        }
      }
      let costs = rules.indices.map { from[$0].count * to[$0].count }
      var left = maximum
      for rule in rules.indices.sorted(by: { costs[$0] < costs[$1] }) {
        guard costs[rule] <= left else {
          for source in from[rule] {
            broad[source.list, default: []].append(
              BroadRule(rule: rules[rule].rule, isByCapability: source.byCapability)
            )
          }
          continue
        }
        left -= costs[rule]
        for source in from[rule] {
          for target in to[rule] {
            let key = UInt64(source.list) << 32 | UInt64(target.list)
            pairs[key, default: Permission()].add(
              rules[rule].rule.protocols,
              target.ports,
              byCapability: source.byCapability
            )
          }
        }
      }
    }
  }
}
