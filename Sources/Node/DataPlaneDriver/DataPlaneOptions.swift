// SPDX-License-Identifier: Apache-2.0

package import Cryptography
package import HTTPTransport
package import Keys
import WireGuard

/// What a data plane is started with.
package struct DataPlaneOptions: Sendable {
  /// The UDP port that nodes use unless told otherwise.
  package static let defaultPort: UInt16 = 41_641
  /// The largest packet in the tunnel, in bytes.
  package static let defaultMTU = 1280

  /// The most shards.
  package static let maximumShards = Shard.maximumCount

  /// How many shards suit a machine: one up to four cores, for a shard does the work of a whole
  /// connection, then half of the cores.
  package static func defaultShards(cores: Int) -> Int {
    cores <= 4 ? 1 : min(cores / 2, maximumShards)
  }

  /// The most helpers of a shard.
  package static let maximumHelpers = 4

  /// How many threads help each shard: one, unless two cores or fewer have a shard and everything else
  /// to do already.
  package static func defaultHelpers(cores: Int) -> Int { cores <= 2 ? 0 : 1 }

  /// The name of the TUN interface.
  package var interfaceName: String
  /// The UDP port; 0 for any.
  package var port: UInt16
  /// Whether to give up when the port is taken, instead of taking another.
  package var isPortRequired: Bool
  /// The packet mark of our own traffic, by which routing rules know it; 0 for none.
  package var mark: UInt32
  /// Through which proxies relays are reached.
  package var proxies = ProxySettings()
  /// The largest packet in the tunnel, in bytes.
  package var mtu: Int
  /// How many threads share the work, each with peers of its own; 1 to `maximumShards`.
  package var shards = 1
  /// How many threads help each of them to seal and open long trains; up to `maximumHelpers`.
  package var helpers = 0
  /// Whether the kernel is asked to bring packets to the shard that they are for.
  ///
  /// Otherwise each goes through the hands of another. For tests of hosts that refuse.
  package var isSteeringWanted = true
  /// What packets are sealed and opened with.
  package var backend = PacketBackend.boringSSL
  /// This node's key at the start.
  package var nodeKey: NodePrivateKey
  /// This run's discovery key.
  package var discoKey: DiscoPrivateKey

  /// Options; only names and keys have no default.
  package init(
    interfaceName: String,
    port: UInt16 = defaultPort,
    isPortRequired: Bool = true,
    mark: UInt32 = 0,
    mtu: Int = defaultMTU,
    nodeKey: NodePrivateKey,
    discoKey: DiscoPrivateKey
  ) {
    (self.interfaceName, self.port, self.isPortRequired) = (interfaceName, port, isPortRequired)
    (self.mark, self.mtu, self.nodeKey, self.discoKey) = (mark, mtu, nodeKey, discoKey)
  }
}
