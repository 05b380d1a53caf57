// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import Testing

@Suite("What nodes are told about names")
struct NameServiceTests {
  @Test("They answer for the domain and for every reverse zone of the prefixes")
  func zones() throws {
    let world = World()
    let config = world.tailnet.dnsConfig
    #expect(config.domains == ["lab.example"] && config.proxied)
    let zones = config.routes.keys.sorted()
    #expect(zones.count == 65)
    #expect(zones.contains("64.100.in-addr.arpa") && zones.contains("127.100.in-addr.arpa"))
    #expect(zones.contains("0.e.1.a.c.5.1.1.a.7.d.f.ip6.arpa"))
    #expect(config.routes.values.allSatisfy { $0.isEmpty })
  }

  @Test("A prefix that ends at a label has one zone")
  func aligned() throws {
    let prefix = try #require(IPPrefix("10.20.30.0/24"))
    let world = World { $0.ipv4Prefix = prefix }
    #expect(world.tailnet.dnsConfig.routes.keys.contains("30.20.10.in-addr.arpa"))
  }
}
