// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostSettings

/// What must change so that the kernel's tables say what `RouterSettings` asks.
///
/// Pure: compares the two and touches nothing. Only records that carry our origin, or sit on our
/// own interface, are ever in `removals`.
struct RouterPlan {
  /// What the kernel has now.
  struct Current {
    var link: LinkRecord
    var addresses: [AddressRecord] = []
    var routes: [RouteRecord] = []
    var rules: [RuleRecord] = []
  }

  private(set) var additions: [NetlinkRequest] = []
  private(set) var removals: [NetlinkRequest] = []

  /// The steps from `current` to `settings`, in the families that the host speaks.
  init(
    _ settings: RouterSettings,
    current: Current,
    families: Set<IPAddress.Family>,
    given: Set<IPPrefix> = []
  ) {
    let index = current.link.index
    configure(current.link, settings)
    change(settings, current.addresses.filter { $0.index == index }, index, families, given)
    change(settings.ground, current.rules, families)
    change(settings, current.routes, index, families)
  }

  private mutating func configure(_ link: LinkRecord, _ settings: RouterSettings) {
    let ground = settings.ground
    guard
      link.flags & LinkRecord.flagUp == 0 || link.mtu != UInt32(clamping: settings.mtu)
        || link.alias != ground.interfaceAlias
    else { return }
    additions.append(
      LinkRecord.configure(
        index: link.index,
        name: link.name,
        mtu: settings.mtu,
        alias: ground.interfaceAlias
      )
    )
  }

  private mutating func change(
    _ settings: RouterSettings,
    _ existing: [AddressRecord],
    _ index: UInt32,
    _ families: Set<IPAddress.Family>,
    _ given: Set<IPPrefix>
  ) {
    let wanted = settings.addresses.filter { families.contains($0.address.family) }
    let present = Set(existing.map(\.prefix))
    for prefix in wanted where !present.contains(prefix) {
      additions.append(
        AddressRecord.add(
          prefix,
          to: index,
          name: settings.interfaceName,
          origin: settings.ground.routeOrigin
        )
      )
    }
    for record in Self.ours(existing, settings.ground, given) where !wanted.contains(record.prefix)
    {
      removals.append(
        AddressRecord.remove(record.prefix, from: index, name: settings.interfaceName)
      )
    }
  }

  private mutating func change(
    _ ground: HostGround,
    _ existing: [RuleRecord],
    _ families: Set<IPAddress.Family>
  ) {
    let wanted = families.sorted { $0.rawValue < $1.rawValue }.flatMap {
      Self.rules($0, ground)
    }
    let ours = Self.ours(existing, ground)
    additions += wanted.filter { !ours.contains($0) }.map { $0.add() }
    removals += ours.filter { !wanted.contains($0) }.map { $0.remove() }
  }

  private mutating func change(
    _ settings: RouterSettings,
    _ existing: [RouteRecord],
    _ index: UInt32,
    _ families: Set<IPAddress.Family>
  ) {
    let ground = settings.ground
    let wanted = Set(settings.routes.map(\.masked).filter { families.contains($0.address.family) })
    let ours = Self.ours(existing, ground)
    let present = Set(
      ours.filter { $0.interfaceIndex == index && $0.type == RouteRecord.typeUnicast }
        .map(\.destination)
    )
    additions += wanted.subtracting(present).sorted().map {
      RouteRecord.add($0, to: index, table: ground.routeTable, origin: ground.routeOrigin)
    }
    removals += ours.filter {
      !wanted.contains($0.destination) || $0.interfaceIndex != index
        || $0.type != RouteRecord.typeUnicast
    }.map { $0.remove() }
  }

  /// The routing rules of a family.
  ///
  /// What our own sockets send is marked and goes by the host's ordinary tables, or nowhere: never
  /// into the tunnel, where it would go round in circles. Everything else asks our table.
  static func rules(_ family: IPAddress.Family, _ ground: HostGround) -> [RuleRecord] {
    let (base, origin) = (ground.ruleBase, ground.routeOrigin)
    let (mark, mask) = (ground.bypassMark.value, ground.bypassMark.mask)
    func marked(_ offset: UInt32, _ action: RuleRecord.Action, _ table: UInt32) -> RuleRecord {
      RuleRecord(
        family,
        priority: base + offset,
        action,
        table: table,
        mark: mark,
        mask: mask,
        origin: origin
      )
    }
    return [
      marked(10, .lookUp, 254),
      marked(30, .lookUp, 253),
      marked(50, .unreachable, 0),
      RuleRecord(family, priority: base + 70, .lookUp, table: ground.routeTable, origin: origin),
    ]
  }

  /// Those of the rules that carry our mark.
  static func ours(_ rules: [RuleRecord], _ ground: HostGround) -> [RuleRecord] {
    rules.filter {
      $0.origin == ground.routeOrigin && ground.rulePriorities.contains($0.priority)
    }
  }

  /// Those of our interface's addresses that carry our mark, or that were given by us on a kernel
  /// that keeps no mark.
  static func ours(
    _ addresses: [AddressRecord],
    _ ground: HostGround,
    _ given: Set<IPPrefix>
  ) -> [AddressRecord] {
    addresses.filter { record in
      record.origin.map { $0 == ground.routeOrigin } ?? given.contains(record.prefix)
    }
  }

  /// Those of the routes that carry our mark.
  static func ours(_ routes: [RouteRecord], _ ground: HostGround) -> [RouteRecord] {
    routes.filter { $0.origin == ground.routeOrigin && $0.table == ground.routeTable }
  }
}
