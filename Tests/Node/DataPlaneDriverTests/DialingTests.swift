// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import HTTPTransport
import Testing

@testable import DataPlaneDriver

@Suite("How a relay is reached")
struct DialingTests {
  private func node(_ change: (inout RelayNode) -> Void) -> RelayNode {
    var node = RelayNode(name: "1a", regionID: RegionID(1), hostName: "relay.example")
    change(&node)
    return node
  }

  @Test("Addresses that are told come before the name, and a family may be switched off")
  func hosts() {
    #expect(node { _ in }.dialHosts == ["relay.example"])
    #expect(
      node {
        $0.ipv4 = "192.0.2.1"
        $0.ipv6 = "2001:db8::1"
      }.dialHosts == ["192.0.2.1", "2001:db8::1"]
    )
    #expect(node { $0.ipv4 = "192.0.2.1" }.dialHosts == ["192.0.2.1", "relay.example"])
    #expect(
      node {
        $0.ipv4 = "192.0.2.1"
        $0.ipv6 = "none"
      }.dialHosts == ["192.0.2.1"]
    )
    #expect(
      node {
        $0.ipv4 = "none"
        $0.ipv6 = "none"
      }.dialHosts == []
    )
    #expect(
      node {
        $0.hostName = "192.0.2.1"
        $0.ipv4 = "192.0.2.1"
      }.dialHosts == ["192.0.2.1"]
    )
  }

  @Test("The port is 443 unless told, and stands in the Host field if it is another")
  func port() {
    #expect(node { _ in }.dialPort == 443)
    #expect(node { _ in }.hostField == "relay.example")
    #expect(node { $0.derpPort = 8443 }.dialPort == 8443)
    #expect(node { $0.derpPort = 8443 }.hostField == "relay.example:8443")
    #expect(node { $0.derpPort = 443 }.hostField == "relay.example")
  }

  @Test("The certificate is the system's to judge, pinned, or not looked at in tests")
  func trust() {
    #expect(node { _ in }.tls == .systemRoots(hostname: "relay.example"))
    #expect(node { $0.certName = "other.example" }.tls == .systemRoots(hostname: "other.example"))
    #expect(
      node { $0.certName = "sha256-raw:0102" }.tls
        == .pinned(sha256: [1, 2], hostname: "relay.example")
    )
    // What cannot be read matches nothing.
    #expect(
      node { $0.certName = "sha256-raw:xyz" }.tls == .pinned(sha256: [], hostname: "relay.example")
    )
    #expect(node { $0.insecureForTests = true }.tls == .unverified(hostname: "relay.example"))
  }

  @Test("Names of the host are found, others are not, addresses need no asking")
  func names() async {
    #expect(await NameResolver.addresses(of: "192.0.2.7") == [IPAddress(192, 0, 2, 7)])
    #expect(await NameResolver.addresses(of: "localhost").allSatisfy(\.isLoopback))
    #expect(await NameResolver.addresses(of: "no such name").isEmpty)
  }
}
