// SPDX-License-Identifier: Apache-2.0

import Addressing
import Packets
import Tables

/// The rules of one family, compiled: who may send what to whom, by the classes of both addresses.
///
/// A judgement is two look-ups of classes and one probe for each pair of their lists, mostly one or
/// two; how many rules there are does not matter. Rules with so many different sources and destinations
/// that their pairs would not fit are asked one by one, by those senders only whom they are about.
final class FamilyRules: Sendable {
  /// How many pairs of lists are worked out beforehand, counted anew for each rule.
  static let pairsMaximum = 1 << 20

  /// A rule that is asked itself.
  struct BroadRule: Sendable {
    var rule: Rule
    var isByCapability: Bool
  }

  private let sources: AddressClasses
  private let destinations: AddressClasses
  private let hash = SlotHash()
  private let pairs: SlotIndex
  private let pairKeys: [UInt64]
  private let pairPermissions: [UInt32]
  private let permissions: [Permission]
  /// By source list: whether a capability in it lets ICMP in to anywhere.
  private let letsICMPAnywhere: [Bool]
  private let broad: [UInt32: [BroadRule]]

  /// Compiles rules.
  init(
    _ rules: [FamilyRule],
    to local: AddressSet,
    _ family: IPAddress.Family,
    pairsMaximum: Int = pairsMaximum
  ) {
    var draft = Draft(rules, to: local, family)
    (sources, destinations) = (draft.sources, draft.destinations)
    letsICMPAnywhere = draft.sourceLists.map { $0.contains { $0 & 1 == 1 } }
    draft.pairUp(rules, maximum: pairsMaximum)
    broad = draft.broad
    var (index, keys, numbers) = (SlotIndex(), [UInt64](), [UInt32]())
    var (known, list) = ([Permission: UInt32](), [Permission]())
    index.reserve(draft.pairs.count)
    for (key, permission) in draft.pairs {
      var permission = permission
      permission.finish()
      let number = known[permission] ?? UInt32(list.count)
      if number == list.count {
        known[permission] = number
        list.append(permission)
      }
      index.insert(keys.count, tag: hash.tag(key, 0))
      keys.append(key)
      numbers.append(number)
    }
    (pairs, pairKeys, pairPermissions, permissions) = (index, keys, numbers, list)
  }

  /// How many pairs of lists were worked out, and how many rules are asked one by one.
  var size: (pairs: Int, broad: Int) { (pairKeys.count, broad.values.reduce(0) { $0 + $1.count }) }

  /// Whether a packet with ports may come.
  func letsPort(_ view: PacketView) -> Bool {
    any(view) { permission in
      permission.lets(view.kind, to: view.destinationPort)
    } orBroad: { rule, _ in
      rule.protocols.contains(view.proto)
        && rule.destinations.contains {
          $0.contains(view.destinationPort) && $0.addresses.contains(view.destination)
        }
    }
  }

  /// Whether ICMP may come: ports and protocols do not matter, and to capable senders not even where to.
  func letsICMP(_ view: PacketView) -> Bool {
    var number = sources.class(of: view.source)
    while number != 0 {
      let source = sources.classes[number]
      if letsICMPAnywhere[Int(source.list)] { return true }
      number = Int(source.parent)
    }
    return any(view) { permission in
      permission.letsICMP
    } orBroad: { rule, byCapability in
      byCapability || rule.destinations.contains { $0.addresses.contains(view.destination) }
    }
  }

  /// Whether another protocol may come: it must be named, and all ports.
  func letsOther(_ view: PacketView) -> Bool {
    any(view) { permission in
      permission.portless.contains(view.proto)
    } orBroad: { rule, byCapability in
      !byCapability && rule.protocols.contains(view.proto)
        && rule.destinations.contains {
          $0.hasEveryPort && $0.addresses.contains(view.destination)
        }
    }
  }

  /// Whether anything between the lists of both addresses satisfies.
  private func any(
    _ view: PacketView,
    _ satisfies: (borrowing Permission) -> Bool,
    orBroad broadSatisfies: (Rule, Bool) -> Bool
  ) -> Bool {
    let destination = destinations.class(of: view.destination)
    var number = sources.class(of: view.source)
    while number != 0 {
      let source = sources.classes[number]
      var other = destination
      while other != 0 {
        let target = destinations.classes[other]
        let key = UInt64(source.list) << 32 | UInt64(target.list)
        if let slot = pairs.slot(of: hash.tag(key, 0), where: { pairKeys[$0] == key }),
          satisfies(permissions[Int(pairPermissions[slot])])
        {
          return true
        }
        other = Int(target.parent)
      }
      if !broad.isEmpty, let rules = broad[source.list],
        rules.contains(where: { broadSatisfies($0.rule, $0.isByCapability) })
      {
        return true
      }
      number = Int(source.parent)
    }
    return false
  }
}
