// SPDX-License-Identifier: Apache-2.0

import HostIO
import TestSupport
import Testing

@Suite("Offloads of interfaces")
struct InterfaceOffloadsTests {
  @Test("Those of an interface are read by name", .enabled(if: OwnNetwork.isAvailable))
  func read() throws {
    try OwnNetwork.run {
      let tun = try TUNDevice.open(name: "mtoffload")
      let offloads = try InterfaceOffloads(ofInterface: "mtoffload")
      #expect(offloads.states.count > 20)
      #expect(offloads.states["tx-tcp-segmentation"] == tun.features.contains(.tcp4))
      #expect(
        offloads.states["tx-udp-segmentation"].map { $0 == tun.features.contains(.udp4) } != false
      )
      #expect(offloads.states["rx-gro-list"] != true)
    }
  }

  @Test("An interface that is not there is refused with its name")
  func missing() {
    let error = #expect(throws: HostError.self) {
      _ = try InterfaceOffloads(ofInterface: "mtnosuchthing")
    }
    #expect(error?.description.contains("mtnosuchthing") == true)
    #expect(throws: HostError.self) { _ = try InterfaceOffloads(ofInterface: "") }
  }

  @Test("What keeps trains apart is told with the command that changes it, and only then")
  func hints() {
    func hint(_ states: [String: Bool]) -> String? {
      InterfaceOffloads(states: states).hint(forInterface: "eth7")
    }
    let command = "ethtool -K eth7 rx-udp-gro-forwarding on rx-gro-list off"
    #expect(hint(["rx-udp-gro-forwarding": false, "rx-gro-list": false]) == command)
    #expect(hint(["rx-udp-gro-forwarding": true, "rx-gro-list": true]) == command)
    #expect(hint(["rx-udp-gro-forwarding": false]) == command)
    #expect(hint(["rx-udp-gro-forwarding": true, "rx-gro-list": false]) == nil)
    #expect(hint(["rx-udp-gro-forwarding": true]) == nil)
    // A kernel that cannot is not to be told.
    #expect(hint([:]) == nil)
    #expect(hint(["rx-gro-list": true]) == nil)
  }
}
