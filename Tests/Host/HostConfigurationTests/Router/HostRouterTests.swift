// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import HostSettings
import TestSupport
import Testing

@testable import HostConfiguration

/// What the tests of the router begin with.
enum RouterWorld {
  static func settings(
    addresses: [String] = ["100.64.0.1/32", "fd7a:115c:a1e0::1/128"],
    routes: [String] = ["100.64.0.2/32", "fd7a:115c:a1e0::/48"],
    mtu: Int = 1280
  ) throws -> RouterSettings {
    var settings = RouterSettings()
    settings.addresses = try addresses.map { try #require(IPPrefix($0)) }
    settings.routes = try routes.map { try #require(IPPrefix($0)) }
    settings.mtu = mtu
    return settings
  }

  /// Runs `body` on a network of its own that has our interface.
  static func run(_ body: (borrowing TUNDevice, inout HostRouter) throws -> Void) throws {
    try OwnNetwork.run {
      let tun = try TUNDevice.open(name: RouterSettings.defaultInterfaceName)
      var router = try HostRouter()
      try body(tun, &router)
    }
  }

  static func routes() throws -> [String] {
    try lines("ip route show table 53 2>&-; ip -6 route show table 53 2>&- || true")
  }

  static func rules() throws -> [String] {
    try lines("ip rule show; ip -6 rule show").filter { $0.hasPrefix("53") }
  }

  static func lines(_ command: String) throws -> [String] {
    try OwnNetwork.shell(command).split(separator: "\n").map { line in
      line.split(whereSeparator: { $0 == " " || $0 == "\t" }).joined(separator: " ")
    }
  }

  /// Returns once the kernel has put the addresses of our interface to use, which it does at its
  /// leisure.
  static func settle() throws {
    try OwnNetwork.shell(
      "while ip -6 addr show dev martlet0 tentative 2>&- | grep -q inet6; do :; done"
    )
  }

  /// Everything that a host's tables say, for comparison: without what the kernel itself works out
  /// a while after a link came up.
  static func everything() throws -> String {
    try settle()
    return try OwnNetwork.shell(
      """
      { ip -d link; ip addr; ip rule; ip -6 rule; ip route show table all; \
      ip -6 route show table all; nft list ruleset || true; } | \
      sed -E 's/ state [A-Z]+//; s/,?LOWER_UP//; /ff00::|fe80::/d; /valid_lft/d'
      """
    )
  }
}

@Suite(
  "The host's addresses, routes and rules",
  .enabled(if: OwnNetwork.isAvailable, OwnNetwork.reason)
)
struct HostRouterTests {
  @Test("Addresses, MTU, routes and rules of both families are as asked")
  func applied() throws {
    try RouterWorld.run { _, router in
      let report = try router.apply(try RouterWorld.settings())
      #expect(report.problems.isEmpty)
      #expect(report.ipv6Unavailable == nil)
      // The interface, two addresses, two routes, four rules of each family.
      #expect(report.changes == 1 + 2 + 2 + 8)
      let link = try OwnNetwork.ip("link", "show", "martlet0")
      #expect(link.contains("mtu 1280"))
      #expect(link.contains("UP"))
      #expect(link.contains("alias martlet"))
      try RouterWorld.settle()
      let addresses = try OwnNetwork.ip("addr", "show", "martlet0")
      #expect(addresses.contains("inet 100.64.0.1/32"))
      #expect(addresses.contains("inet6 fd7a:115c:a1e0::1/128"))
      let routes = try RouterWorld.routes()
      #expect(
        routes == [
          "100.64.0.2 dev martlet0 proto 53 scope link",
          "fd7a:115c:a1e0::/48 dev martlet0 proto 53 metric 1024 pref medium",
        ]
      )
      let rules = try RouterWorld.rules()
      let family = [
        "5310: from all fwmark 0x53000000/0xff000000 lookup main proto 53",
        "5330: from all fwmark 0x53000000/0xff000000 lookup default proto 53",
        "5350: from all fwmark 0x53000000/0xff000000 unreachable proto 53",
        "5370: from all lookup 53 proto 53",
      ]
      #expect(rules == family + family)
    }
  }

  @Test("Applying again changes nothing, and a difference changes only itself")
  func difference() throws {
    try RouterWorld.run { _, router in
      _ = try router.apply(try RouterWorld.settings())
      let before = try RouterWorld.everything()
      let again = try router.apply(try RouterWorld.settings())
      #expect(again.changes == 0)
      #expect(again.problems.isEmpty)
      #expect(try RouterWorld.everything() == before)

      let routes = ["100.64.0.3/32", "100.64.0.2/32", "10.7.1.9/16", "::/0"]
      let more = try router.apply(
        try RouterWorld.settings(addresses: ["100.64.0.9/32"], routes: routes)
      )
      // One address and three routes more; two addresses and one route less.
      #expect(more.changes == 4 + 3)
      #expect(more.problems.isEmpty)
      #expect(
        try RouterWorld.routes() == [
          "10.7.0.0/16 dev martlet0 proto 53 scope link",
          "100.64.0.2 dev martlet0 proto 53 scope link",
          "100.64.0.3 dev martlet0 proto 53 scope link",
          "default dev martlet0 proto 53 metric 1024 pref medium",
        ]
      )
      let addresses = try OwnNetwork.ip("-4", "addr", "show", "martlet0")
      #expect(addresses.contains("inet 100.64.0.9/32"))
      #expect(!addresses.contains("100.64.0.1/32"))

      let mtu = try router.apply(
        try RouterWorld.settings(addresses: ["100.64.0.9/32"], routes: routes, mtu: 1400)
      )
      #expect(mtu.changes == 1)
      #expect(try OwnNetwork.ip("link", "show", "martlet0").contains("mtu 1400"))
    }
  }

  @Test("Withdrawing takes back everything, and again does nothing")
  func withdrawn() throws {
    try RouterWorld.run { _, router in
      let before = try RouterWorld.lines("ip rule; ip -6 rule")
      let settings = try RouterWorld.settings()
      _ = try router.apply(settings)
      let report = try router.withdraw(settings)
      #expect(report.problems.isEmpty)
      #expect(try RouterWorld.rules().isEmpty)
      #expect(try RouterWorld.lines("ip rule; ip -6 rule") == before)
      #expect(try RouterWorld.routes().isEmpty)
      let link = try OwnNetwork.ip("addr", "show", "martlet0")
      #expect(!link.contains("inet"))
      #expect(!link.contains(",UP"))
      let again = try router.withdraw(settings)
      #expect(again.changes == 0)
      // And it comes back as it was.
      _ = try router.apply(settings)
      #expect(try RouterWorld.rules().count == 8)
    }
  }

  @Test("What others removed is put back")
  func repaired() throws {
    try RouterWorld.run { _, router in
      let settings = try RouterWorld.settings()
      _ = try router.apply(settings)
      let before = try RouterWorld.everything()
      try OwnNetwork.shell(
        """
        ip rule del priority 5330; ip -6 rule del priority 5370; \
        ip route flush table 53; ip addr del 100.64.0.1/32 dev martlet0
        """
      )
      let report = try router.apply(settings)
      #expect(report.changes == 4)
      #expect(try RouterWorld.everything() == before)
      try OwnNetwork.ip("link", "set", "martlet0", "down")
      _ = try router.apply(settings)
      #expect(try RouterWorld.routes().count == 2)
      #expect(try RouterWorld.rules().count == 8)
    }
  }

  @Test("An interface that was taken away is an error that names it, and the rest can be withdrawn")
  func interfaceGone() throws {
    try RouterWorld.run { _, router in
      let settings = try RouterWorld.settings()
      _ = try router.apply(settings)
      try OwnNetwork.ip("link", "del", "martlet0")
      do throws(HostError) {
        _ = try router.apply(settings)
        Issue.record("an interface that is not there was configured")
      } catch {
        #expect(error.description.hasPrefix("cannot configure the interface martlet0: no such dev"))
      }
      let report = try router.withdraw(settings)
      #expect(report.problems.isEmpty)
      #expect(try RouterWorld.rules().isEmpty)
      // Another interface takes its place.
      let tun = try TUNDevice.open(name: "martlet0")
      _ = try router.apply(settings)
      #expect(try RouterWorld.routes().count == 2)
      let name = tun.name
      #expect(name == "martlet0")
    }
  }

  @Test("The kernel's refusal of one change is told, and the others are made")
  func refusal() throws {
    try RouterWorld.run { _, router in
      try OwnNetwork.ip("link", "set", "martlet0", "up")
      var settings = try RouterWorld.settings()
      settings.ground.interfaceAlias = String(repeating: "a", count: 300)
      let report = try router.apply(settings)
      #expect(report.problems.count == 1)
      let text = report.problems.first?.description ?? ""
      #expect(text.hasPrefix("cannot bring up the interface martlet0: "))
      #expect(try RouterWorld.routes().count == 2)
      #expect(try OwnNetwork.ip("addr").contains("100.64.0.1/32"))
    }
  }

  @Test("Two networks on one host keep apart")
  func twoGrounds() throws {
    try RouterWorld.run { _, router in
      _ = try router.apply(try RouterWorld.settings())
      let first = try RouterWorld.everything()
      let other = try TUNDevice.open(name: "martlet1")
      var settings = try RouterWorld.settings(addresses: ["100.65.0.1/32"])
      settings.interfaceName = other.name
      settings.ground.routeTable = 1054
      settings.ground.ruleBase = 5400
      settings.ground.routeOrigin = 54
      settings.ground.interfaceAlias = "martlet other"
      settings.ground.bypassMark = PacketMark(value: 0x5400_0000, mask: 0xFF00_0000)
      _ = try router.apply(settings)
      #expect(try RouterWorld.lines("ip route show table 1054").count == 1)
      #expect(try RouterWorld.lines("ip rule").contains { $0.hasPrefix("5470:") })
      _ = try router.withdraw(settings)
      #expect(try RouterWorld.lines("ip route show table 1054 || true").count <= 1)
      #expect(try !RouterWorld.lines("ip rule").contains { $0.hasPrefix("54") })
      let report = try router.cleanUp(settings.ground)
      #expect(report.changes == 1, "the second network's interface")
      #expect(try RouterWorld.everything() == first)
    }
  }
}
