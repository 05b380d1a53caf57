// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import HostSettings
import TestSupport
import Testing

@testable import HostConfiguration

@Suite("A host without IPv6", .enabled(if: OwnNetwork.isAvailable, OwnNetwork.reason))
struct IPv6SupportTests {
  static func set(_ name: String, _ value: String) throws {
    try OwnNetwork.shell("echo \(value) > /proc/sys/net/ipv6/conf/\(name)/disable_ipv6")
  }

  @Test("Where IPv6 is switched off, IPv4 works and the reason is told")
  func switchedOff() throws {
    try RouterWorld.run { _, router in
      #expect(IPv6Support.obstacle() == nil)
      try Self.set("all", "1")
      let report = try router.apply(try RouterWorld.settings())
      #expect(
        report.ipv6Unavailable
          == "IPv6 is switched off on this host (net.ipv6.conf.all.disable_ipv6)"
      )
      #expect(report.problems.isEmpty)
      #expect(try RouterWorld.routes() == ["100.64.0.2 dev martlet0 proto 53 scope link"])
      #expect(try RouterWorld.rules().count == 4)
      try Self.set("all", "0")
      let later = try router.apply(try RouterWorld.settings())
      #expect(later.ipv6Unavailable == nil)
      #expect(later.problems.isEmpty)
      #expect(try RouterWorld.rules().count == 8)
    }
  }

  @Test("Switched off for new interfaces, it is off for ours; switched on for ours, it is on")
  func interface() throws {
    try OwnNetwork.run {
      try Self.set("default", "1")
      #expect(IPv6Support.obstacle()?.contains("net.ipv6.conf.default.disable_ipv6") == true)
      let tun = try TUNDevice.open(name: "martlet0")
      var router = try HostRouter()
      let report = try router.apply(try RouterWorld.settings())
      #expect(report.ipv6Unavailable?.contains("net.ipv6.conf.martlet0.disable_ipv6") == true)
      #expect(report.problems.isEmpty)
      try Self.set(tun.name, "0")
      let later = try router.apply(try RouterWorld.settings())
      #expect(later.ipv6Unavailable == nil)
      #expect(try OwnNetwork.ip("addr").contains("fd7a:115c:a1e0::1/128"))
    }
  }

  @Test("An MTU below that of IPv6 leaves IPv6 out until it grows")
  func smallMTU() throws {
    try RouterWorld.run { _, router in
      let report = try router.apply(try RouterWorld.settings(mtu: 1200))
      #expect(report.ipv6Unavailable?.contains("1280") == true)
      #expect(report.problems.isEmpty)
      #expect(try OwnNetwork.ip("link", "show", "martlet0").contains("mtu 1200"))
      let later = try router.apply(try RouterWorld.settings())
      #expect(later.ipv6Unavailable == nil)
      #expect(later.problems.isEmpty)
      #expect(try RouterWorld.routes().count == 2)
    }
  }
}

@Suite("Privileges that a tunnel needs")
struct TunnelPrivilegesTests {
  @Test("The capabilities of a process are read from what the kernel tells")
  func capabilities() {
    let text =
      "Name:\tmartletd\nCapInh:\t0000000000000000\nCapEff:\t0000000000001000\nSeccomp:\t0\n"
    #expect(TunnelPrivileges.effectiveCapabilities(Array(text.utf8)) == 1 << 12)
    #expect(TunnelPrivileges.effectiveCapabilities(Array("CapEff:\tzz\n".utf8)) == nil)
    #expect(TunnelPrivileges.effectiveCapabilities([]) == nil)
  }

  @Test("A missing device is told with what to do")
  func missingDevice() {
    let error = TunnelPrivileges.deviceObstacle("/nonexistent/tun")
    #expect(
      error?.description
        == "cannot open /nonexistent/tun: no such file or directory. The kernel's TUN driver is "
        + "missing: load it with modprobe tun; in a container, pass the device in"
    )
  }

  @Test(
    "Root with the device has what it takes",
    .enabled(if: OwnNetwork.isAvailable, OwnNetwork.reason)
  )
  func present() { #expect(TunnelPrivileges.obstacle() == nil) }
}
