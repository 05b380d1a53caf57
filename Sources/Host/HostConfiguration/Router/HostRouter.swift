// SPDX-License-Identifier: Apache-2.0

import Addressing
import CHost
package import HostIO
package import HostSettings

/// Makes the host's addresses, routes and routing rules say what a network needs, and no more.
///
/// It changes what carries our mark (`HostGround`) and our own interface; everything else on the
/// host is left as it is. Calls wait for the kernel, which answers within microseconds each.
package struct HostRouter: ~Copyable, Sendable {
  /// What came of an attempt.
  package struct Report: Sendable {
    /// How many changes the kernel made.
    package var changes = 0
    /// What the kernel refused; the rest was done all the same.
    package var problems: [HostError] = []
    /// Why IPv6 was left out, in words; nil when it was not.
    package var ipv6Unavailable: String?
  }

  private var socket: NetlinkSocket
  /// The addresses that were asked for since we began.
  private var given: Set<IPPrefix> = []

  /// A conversation with the kernel of the calling thread's network namespace.
  package init() throws(HostError) { socket = try NetlinkSocket() }

  /// Makes `settings` true by difference: what is right already is not touched.
  ///
  /// Safe to repeat at any time, as after others removed our rules (systemd-networkd does when it
  /// restarts).
  ///
  /// - Throws: `HostError` when the interface does not exist, or the tables cannot be read.
  package mutating func apply(_ settings: RouterSettings) throws(HostError) -> Report {
    var report = Report()
    report.ipv6Unavailable = IPv6Support.obstacle(on: settings.interfaceName)
    var families: Set<IPAddress.Family> =
      report.ipv6Unavailable == nil ? [.v4, .v6] : [.v4]
    let link = try link(named: settings.interfaceName)
    if families.contains(.v6), settings.mtu < IPv6Support.minimumMTU {
      report.ipv6Unavailable =
        "an interface with an MTU below \(IPv6Support.minimumMTU) carries no IPv6"
      families.remove(.v6)
    }
    var current = RouterPlan.Current(link: link)
    for family in families.sorted(by: { $0.rawValue < $1.rawValue }) {
      current.rules += try rules(family)
      current.routes += try routes(family, settings.ground)
    }
    current.addresses = try addresses()
    given.formUnion(settings.addresses)
    let plan = RouterPlan(settings, current: current, families: families, given: given)
    perform(plan.additions, into: &report)
    perform(plan.removals, into: &report)
    return report
  }

  /// Takes back everything that `apply` asked, and switches the interface off; it stays.
  package mutating func withdraw(_ settings: RouterSettings) throws(HostError) -> Report {
    var report = Report()
    try removeMarked(settings.ground, into: &report)
    guard let link = try? link(named: settings.interfaceName) else {
      // The interface has gone, and its addresses with it.
      return report
    }
    let present = RouterPlan.ours(
      try addresses().filter { $0.index == link.index },
      settings.ground,
      given
    )
    var steps = present.map {
      AddressRecord.remove($0.prefix, from: link.index, name: link.name)
    }
    if link.flags & LinkRecord.flagUp != 0 {
      steps.append(LinkRecord.setUp(false, index: link.index, name: link.name))
    }
    perform(steps, into: &report)
    return report
  }

  /// Removes what a daemon left behind that could not clean up: routes, rules, TUN interfaces.
  ///
  /// Only what carries the marks of `ground`. Nobody may be running on that ground: the caller
  /// holds the `InstanceLock`. Repeating it does nothing.
  package mutating func cleanUp(_ ground: HostGround = HostGround()) throws(HostError) -> Report {
    var report = Report()
    try removeMarked(ground, into: &report)
    let links = try links().filter { $0.kind == "tun" && $0.alias == ground.interfaceAlias }
    perform(links.map { LinkRecord.remove(index: $0.index, name: $0.name) }, into: &report)
    return report
  }

  /// Removes what a daemon left behind, in the calling thread's network namespace.
  package static func cleanUp(_ ground: HostGround = HostGround()) throws(HostError) -> Report {
    var router = try HostRouter()
    return try router.cleanUp(ground)
  }

  private mutating func removeMarked(
    _ ground: HostGround,
    into report: inout Report
  ) throws(HostError) {
    for family in IPAddress.Family.allCases {
      if family == .v6, IPv6Support.isMissing { continue }
      let rules = RouterPlan.ours(try rules(family), ground).map { $0.remove() }
      let routes = RouterPlan.ours(try routes(family, ground), ground).map { $0.remove() }
      perform(rules + routes, into: &report)
    }
  }

  private mutating func perform(_ steps: [NetlinkRequest], into report: inout Report) {
    for step in steps {
      do throws(HostError) {
        try socket.perform(step)
        report.changes += 1
      } catch {
        // Somebody was faster: it is there already, or gone already.
        guard ![EEXIST, ESRCH, ENOENT, EADDRNOTAVAIL].contains(error.code) else { continue }
        report.problems.append(error)
      }
    }
  }

  private mutating func link(named name: String) throws(HostError) -> LinkRecord {
    guard let link = try links().first(where: { $0.name == name }) else {
      throw HostError("configure the interface \(name)", code: ENODEV)
    }
    return link
  }

  private mutating func links() throws(HostError) -> [LinkRecord] {
    try socket.records(LinkRecord.list()) { message throws(NetlinkError) in
      try LinkRecord(message)
    }
  }

  private mutating func addresses() throws(HostError) -> [AddressRecord] {
    try socket.records(AddressRecord.list()) { message throws(NetlinkError) in
      try AddressRecord(message)
    }
  }

  private mutating func rules(_ family: IPAddress.Family) throws(HostError) -> [RuleRecord] {
    try socket.records(RuleRecord.list(family)) { message throws(NetlinkError) in
      try RuleRecord(message)
    }
  }

  private mutating func routes(
    _ family: IPAddress.Family,
    _ ground: HostGround
  ) throws(HostError) -> [RouteRecord] {
    do throws(HostError) {
      let request = RouteRecord.list(family, table: ground.routeTable, origin: ground.routeOrigin)
      return try socket.records(request) { message throws(NetlinkError) in
        try RouteRecord(message)
      }
    } catch {
      // A table that nothing was ever put into does not exist.
      guard error.code == ENOENT else { throw error }
      return []
    }
  }
}

extension NetlinkSocket {
  /// The records of a listing; messages of other kinds are passed over.
  mutating func records<Record>(
    _ request: NetlinkRequest,
    _ read: (NetlinkMessage) throws(NetlinkError) -> Record?
  ) throws(HostError) -> [Record] {
    var records: [Record] = []
    for message in try dump(request) {
      do throws(NetlinkError) {
        if let record = try read(message) { records.append(record) }
      } catch {
        throw HostError(
          request.operation,
          code: EBADMSG,
          hint: "The kernel's answer is malformed: \(error)"
        )
      }
    }
    return records
  }
}
