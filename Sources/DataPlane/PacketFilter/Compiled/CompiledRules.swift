// SPDX-License-Identifier: Apache-2.0

import Addressing
import Packets

/// What a filter looks at: one object, so that handing a filter over costs one reference.
final class CompiledRules: Sendable {
  let localNetworks: AddressSet
  let isShieldsUp: Bool
  let rulesLeftOut: Int
  private let v4: FamilyRules
  private let v6: FamilyRules
  private let allowsAllV4: Bool
  private let allowsAllV6: Bool

  init(
    localNetworks: AddressSet,
    rules: [Rule],
    capabilityHolders: [String: Set<IPAddress>],
    isShieldsUp: Bool
  ) {
    (self.localNetworks, self.isShieldsUp) = (localNetworks, isShieldsUp)
    let kept = Self.fitting(isShieldsUp ? [] : rules)
    rulesLeftOut = isShieldsUp ? 0 : rules.count - kept.count
    func concerning(_ family: IPAddress.Family) -> [FamilyRule] {
      kept.filter { Self.concerns($0, family) }.map { rule in
        let holders = rule.sourceCapabilities.reduce(into: Set<IPAddress>()) { holders, name in
          holders.formUnion(capabilityHolders[name] ?? [])
        }
        return FamilyRule(rule: rule, capableSources: holders.filter { $0.family == family })
      }
    }
    let (rulesV4, rulesV6) = (concerning(.v4), concerning(.v6))
    v4 = FamilyRules(rulesV4, to: localNetworks, .v4)
    v6 = FamilyRules(rulesV6, to: localNetworks, .v6)
    allowsAllV4 = rulesV4.contains { Self.allowsAll($0.rule, .v4) }
    allowsAllV6 = rulesV6.contains { Self.allowsAll($0.rule, .v6) }
  }

  var size: (pairs: Int, broad: Int) {
    (v4.size.pairs + v6.size.pairs, v4.size.broad + v6.size.broad)
  }

  /// The rules of the family of a packet.
  func rules(_ view: PacketView) -> FamilyRules { view.source.isV4 ? v4 : v6 }

  /// Whether a packet with ports may come.
  func letsPort(_ view: PacketView) -> Bool {
    if view.source.isV4 ? allowsAllV4 : allowsAllV6, view.kind != .sctp { return true }
    return rules(view).letsPort(view)
  }

  /// The rules from the first on that do not name too much.
  private static func fitting(_ rules: [Rule]) -> ArraySlice<Rule> {
    var left = Filter.prefixesMaximum
    return rules.prefix(Filter.rulesMaximum).prefix { rule in
      left -= rule.sources.spanCount + rule.destinations.reduce(0) { $0 + $1.addresses.spanCount }
      return left >= 0
    }
  }

  private static func concerns(_ rule: Rule, _ family: IPAddress.Family) -> Bool {
    (rule.sources.hasAny(of: family) || !rule.sourceCapabilities.isEmpty)
      && rule.destinations.contains { $0.addresses.hasAny(of: family) }
  }

  private static func allowsAll(_ rule: Rule, _ family: IPAddress.Family) -> Bool {
    rule.sources.hasAll(of: family) && rule.protocols.isSuperset(of: .usual)
      && rule.destinations.contains { $0.hasEveryPort && $0.addresses.hasAll(of: family) }
  }
}
