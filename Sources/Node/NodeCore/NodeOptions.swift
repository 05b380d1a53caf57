// SPDX-License-Identifier: Apache-2.0

package import Cryptography
package import HTTPTransport
package import HostSettings
package import PortMapping

/// Where one network of this machine lives: every name and number that two networks must not share.
package struct NodeOptions: Hashable, Sendable {
  /// The directory of keys and state, mode 0700.
  package var stateDirectory = "/var/lib/martlet"
  /// The name of the TUN interface.
  package var interfaceName = RouterSettings.defaultInterfaceName
  /// The UDP port to bind; 0 lets the kernel choose.
  package var port: UInt16 = 41_641
  /// Whether to give up when the port is taken, instead of taking another.
  package var isPortRequired = false
  /// The size of the largest packet inside the tunnel, in bytes.
  package var mtu = RouterSettings.defaultMTU
  /// What packets are sealed with; nil for the fastest that this machine has.
  package var cipher: PacketBackend.Name?
  /// How many threads share the data path; nil for as many as suit the machine.
  package var shards: Int?
  /// Through which proxies the coordination server and relays are reached.
  package var proxies = ProxySettings()
  /// How many threads help each of them; nil for as many as suit the machine.
  package var helpers: Int?
  /// By which services the gateway is asked to forward the port; none to leave it alone.
  package var portMapping = Set(MappingService.allCases)
  /// The numbers that routes, rules and packet marks carry.
  package var ground = HostGround()
  /// What this program calls itself: version and commit.
  package var version: String

  /// The defaults of the first network.
  package init(version: String) { self.version = version }
}
