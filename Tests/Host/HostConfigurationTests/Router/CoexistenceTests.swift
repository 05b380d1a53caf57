// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import HostSettings
import TestSupport
import Testing

@testable import HostConfiguration

@Suite(
  "What belongs to others on the host",
  .enabled(if: OwnNetwork.isAvailable, OwnNetwork.reason)
)
struct CoexistenceTests {
  /// An installed daemon of the original, made by hand: interface, table, rules, firewall chains.
  static let original = """
    set -e; \
    ip tuntap add mode tun name tailscale0; \
    ip link set tailscale0 addrgenmode none mtu 1280 up; \
    ip addr add 100.100.1.1/32 dev tailscale0; \
    ip addr add fd7a:115c:a1e0::99/128 dev tailscale0 nodad; \
    ip route add 100.100.100.100 dev tailscale0 table 52; \
    ip route add 100.64.0.2 dev tailscale0 table 52; \
    ip -6 route add fd7a:115c:a1e0::/48 dev tailscale0 table 52; \
    for family in -4 -6; do \
    ip $family rule add priority 5210 fwmark 0x80000/0xff0000 lookup main; \
    ip $family rule add priority 5230 fwmark 0x80000/0xff0000 lookup default; \
    ip $family rule add priority 5250 fwmark 0x80000/0xff0000 unreachable; \
    ip $family rule add priority 5270 lookup 52; \
    done
    """

  /// The chains of the original, where the host has nftables.
  static let chains = """
    nft add table ip filter && nft add chain ip filter ts-input && nft add chain ip filter \
    ts-forward && nft add rule ip filter ts-input iifname tailscale0 accept && nft add table ip \
    nat && nft add chain ip nat ts-postrouting || true
    """

  @Test("An installed daemon of the original is untouched by start, stop, cleanup and a kill")
  func originalUntouched() throws {
    try OwnNetwork.run {
      try OwnNetwork.shell(Self.original)
      try OwnNetwork.shell(Self.chains)
      let before = try RouterWorld.everything()
      #expect(before.contains("5270"))
      #expect(before.contains("tailscale0"))
      let settings = try RouterWorld.settings()
      var router = try HostRouter()
      // Start and stop.
      try Self.withInterface {
        _ = try router.apply(settings)
        #expect(try Self.footprint() == Self.footprint(in: before))
        _ = try router.withdraw(settings)
      }
      #expect(try RouterWorld.everything() == before)
      // The kernel closes what a killed daemon had open; its rules stay.
      try Self.withInterface { _ = try router.apply(settings) }
      #expect(try RouterWorld.rules().count == 8)
      let report = try HostRouter.cleanUp()
      #expect(report.changes == 8)
      #expect(try RouterWorld.everything() == before)
      let again = try HostRouter.cleanUp()
      #expect(again.changes == 0)
      #expect(try RouterWorld.everything() == before)
    }
  }

  @Test("Routes and rules of others on our numbers stay, however like ours they are")
  func foreignOnOurGround() throws {
    try RouterWorld.run { _, router in
      try OwnNetwork.shell(
        """
        set -e; ip link set martlet0 up; ip route add 100.64.0.2 dev lo table 53; \
        ip route add 10.0.0.0/8 dev martlet0 table 53 proto static; \
        ip -6 route add fd00:1::/64 dev martlet0 table 53 proto static; \
        ip rule add priority 5310 from 192.0.2.1 lookup main; \
        ip rule add priority 5320 lookup 53 proto static; \
        ip -6 rule add priority 5371 lookup 53 proto 53; \
        ip route add 203.0.113.0/24 dev lo table 54 proto 53; ip link set martlet0 alias martlet
        """
      )
      let before = try Self.sorted(RouterWorld.everything())
      let settings = try RouterWorld.settings(routes: ["100.64.0.2/32", "10.0.0.0/8"])
      let report = try router.apply(settings)
      #expect(report.problems.isEmpty)
      let during = try Self.sorted(RouterWorld.everything())
      let foreign = before.filter { $0.contains("proto static") || $0.contains(" table 54 ") }
      #expect(foreign.count >= 4)
      for line in foreign { #expect(during.contains(line)) }
      #expect(try RouterWorld.routes().contains("100.64.0.2 dev martlet0 proto 53 scope link"))
      #expect(try RouterWorld.routes().contains("100.64.0.2 dev lo scope link"))
      _ = try router.apply(try RouterWorld.settings(routes: []))
      for line in foreign {
        #expect(try Self.sorted(RouterWorld.everything()).contains(line))
      }
    }
  }

  @Test("What the interface and the host had besides is left as it was")
  func cleanupKeepsOthers() throws {
    try OwnNetwork.run {
      try OwnNetwork.shell(
        """
        set -e; ip tuntap add mode tun name theirs0; ip link set theirs0 addrgenmode none up; \
        ip link add martlet1 type veth peer name far; ip link set martlet1 alias martlet; \
        ip addr add 192.0.2.1/24 dev theirs0; ip rule add priority 5315 lookup main; \
        ip route add 100.64.0.9 dev theirs0 table 53; ip rule add priority 99 lookup 53 proto 53
        """
      )
      let before = try RouterWorld.everything()
      let report = try HostRouter.cleanUp()
      #expect(report.changes == 0)
      #expect(try RouterWorld.everything() == before)
    }
  }

  @Test("An address that somebody else gave our interface stays")
  func foreignAddress() throws {
    try RouterWorld.run { _, router in
      _ = try router.apply(try RouterWorld.settings())
      try OwnNetwork.shell(
        "ip addr add 192.0.2.9/32 dev martlet0; ip addr add 2001:db8::9/128 dev martlet0 nodad"
      )
      let settings = try RouterWorld.settings(addresses: ["100.64.0.9/32"])
      _ = try router.apply(settings)
      let addresses = try OwnNetwork.ip("addr", "show", "martlet0")
      #expect(!addresses.contains("100.64.0.1/32"))
      #expect(!addresses.contains("fd7a:"))
      #expect(addresses.contains("192.0.2.9/32"))
      #expect(addresses.contains("2001:db8::9/128"))
      _ = try router.withdraw(settings)
      let after = try OwnNetwork.ip("addr", "show", "martlet0")
      #expect(!after.contains("100.64"))
      #expect(after.contains("192.0.2.9/32"))
    }
  }

  @Test("Where the kernel keeps no mark on addresses, those that we gave are known")
  func unmarkedAddresses() throws {
    let message = try #require(try NetlinkCorpus.messages("link-tun").first)
    let link = try #require(try LinkRecord(message))
    let mine = try #require(IPPrefix("100.64.0.1/32"))
    let theirs = try #require(IPPrefix("192.0.2.9/32"))
    let addresses = [mine, theirs].map { AddressRecord(index: link.index, prefix: $0, flags: 0) }
    let plan = RouterPlan(
      RouterSettings(),
      current: RouterPlan.Current(link: link, addresses: addresses),
      families: [.v4],
      given: [mine]
    )
    #expect(plan.removals.map(\.operation) == ["remove the address 100.64.0.1/32 from martlet0"])
  }

  @Test("A TUN interface that carries our alias and outlived its daemon is removed")
  func abandonedInterface() throws {
    try OwnNetwork.run {
      try OwnNetwork.shell(
        "ip tuntap add mode tun name martlet0; ip link set martlet0 alias martlet"
      )
      let report = try HostRouter.cleanUp()
      #expect(report.changes == 1)
      #expect(try !OwnNetwork.ip("link").contains("martlet0"))
    }
  }

  @Test("Marked packets go by the host's tables or nowhere, others through the tunnel")
  func bypass() throws {
    try RouterWorld.run { _, router in
      try OwnNetwork.shell(
        "ip link add eth0 type veth peer name far; ip link set eth0 up; ip link set far up; "
          + "ip addr add 192.0.2.1/24 dev eth0; ip addr add 2001:db8::1/64 dev eth0 nodad"
      )
      _ = try router.apply(
        try RouterWorld.settings(routes: ["0.0.0.0/0", "::/0", "100.64.0.0/10"])
      )
      func way(_ to: String, marked: Bool) throws -> String {
        let mark = marked ? "mark 0x53000000" : ""
        return try OwnNetwork.shell("ip route get \(to) \(mark) || true")
      }
      #expect(try way("198.51.100.1", marked: false).contains("dev martlet0"))
      #expect(try way("2001:db8:9::1", marked: false).contains("dev martlet0"))
      #expect(try way("192.0.2.7", marked: true).contains("dev eth0"))
      #expect(try way("2001:db8::7", marked: true).contains("dev eth0"))
      // Without a default route of the host's own a marked packet must not turn into the tunnel.
      #expect(try way("198.51.100.1", marked: true).contains("unreachable"))
      #expect(try way("2001:db8:9::1", marked: true).contains("unreachable"))
      try OwnNetwork.shell("ip route add default via 192.0.2.254 dev eth0")
      #expect(try way("198.51.100.1", marked: true).contains("via 192.0.2.254 dev eth0"))
      #expect(try way("198.51.100.1", marked: false).contains("dev martlet0"))
    }
  }

  /// Runs `body` while our interface exists.
  static func withInterface(_ body: () throws -> Void) throws {
    let tun = try TUNDevice.open(name: RouterSettings.defaultInterfaceName)
    try body()
    withExtendedLifetime(tun.features) {}
    _ = consume tun
  }

  /// What shows the original among everything that the host's tables say.
  static func footprint(in text: String? = nil) throws -> [String] {
    try sorted(text ?? RouterWorld.everything()).filter {
      $0.contains("tailscale0") && !$0.contains("mtu") || $0.hasPrefix("52") || $0.contains("ts-")
    }
  }

  static func sorted(_ text: String) -> [String] {
    text.split(separator: "\n").map(String.init).sorted()
  }
}
