// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostSettings
import Testing

@Suite("What the host asks and is asked")
struct HostFactsTests {
  static func address(_ text: String) throws -> IPPrefix { try #require(IPPrefix(text)) }

  @Test("Only addresses that others can use count as reachable")
  func reachable() throws {
    var facts = HostFacts()
    facts.interfaces = [
      NetworkInterface(
        index: 1,
        name: "lo",
        isLoopback: true,
        addresses: [InterfaceAddress(try Self.address("127.0.0.1/8"))]
      ),
      NetworkInterface(
        index: 2,
        name: "eth0",
        addresses: [
          InterfaceAddress(try Self.address("2001:db8::7/64"), isTemporary: true),
          InterfaceAddress(try Self.address("2001:db8::9/64")),
          InterfaceAddress(try Self.address("2001:db8::8/64"), isDeprecated: true),
          InterfaceAddress(try Self.address("2001:db8::6/64"), isTentative: true),
          InterfaceAddress(try Self.address("fe80::1/64")),
          InterfaceAddress(try Self.address("192.0.2.5/24")),
        ]
      ),
      NetworkInterface(
        index: 3,
        name: "eth1",
        isUp: false,
        addresses: [InterfaceAddress(try Self.address("198.51.100.1/24"))]
      ),
      NetworkInterface(
        index: 4,
        name: "martlet0",
        addresses: [InterfaceAddress(try Self.address("100.64.0.1/32"))]
      ),
    ]
    let reachable = facts.reachableAddresses(excluding: ["martlet0"]).map(\.description)
    #expect(reachable == ["192.0.2.5", "2001:db8::9", "2001:db8::7"])
  }

  @Test("Our ground shares no number with that of an installed Tailscale")
  func ownGround() {
    let ground = HostGround()
    #expect(ground.routeTable != 52)
    #expect(!ground.rulePriorities.overlaps(5200...5299))
    #expect(ground.rulePriorities == 5310...5370)
    #expect(ground.bypassMark.mask & 0x00FF_FFFF == 0)
    #expect(RouterSettings().interfaceName != "tailscale0")
  }

  @Test("The preferred default route of each family is told apart")
  func defaultRoutes() {
    var facts = HostFacts()
    facts.defaultRoutes = [
      DefaultRoute(family: .v4, interfaceIndex: 2, metric: 10),
      DefaultRoute(family: .v4, interfaceIndex: 3, metric: 20),
      DefaultRoute(family: .v6, interfaceIndex: 3),
    ]
    #expect(facts.defaultRoute(.v4)?.interfaceIndex == 2)
    #expect(facts.defaultRoute(.v6)?.interfaceIndex == 3)
  }
}
