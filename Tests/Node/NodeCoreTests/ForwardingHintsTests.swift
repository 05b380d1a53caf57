// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import HostSettings
import Testing

@testable import NodeCore

@Suite("Hints for hosts that forward")
struct ForwardingHintsTests {
  private static let apart = InterfaceOffloads(
    states: ["rx-udp-gro-forwarding": false, "rx-gro-list": false]
  )

  /// A host with two uplinks and a tunnel that is a default route as well.
  private static let facts = {
    var facts = HostFacts()
    for (index, name) in ["eth0", "eth1", "martlet0"].enumerated() {
      var link = NetworkInterface(index: index + 1, name: name)
      link.isUp = true
      facts.interfaces.append(link)
      facts.defaultRoutes.append(
        DefaultRoute(family: .v4, interfaceIndex: index + 1, metric: index)
      )
    }
    return facts
  }()

  @Test("Only a host that forwards is told, of each uplink once and of the tunnel never")
  func told() {
    let hints = ForwardingHints(Self.facts, except: "martlet0", isForwarding: true) { name in
      name == "eth1" ? nil : Self.apart
    }
    #expect(hints.commands.keys.sorted() == ["eth0"])
    #expect(hints.commands["eth0"]?.contains("ethtool -K eth0 ") == true)
    let quiet = ForwardingHints(Self.facts, except: "martlet0", isForwarding: false) { _ in
      Self.apart
    }
    #expect(quiet.commands.isEmpty)
  }
}
