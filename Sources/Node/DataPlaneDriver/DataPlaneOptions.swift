// SPDX-License-Identifier: Apache-2.0

package import Keys

/// What a data plane is started with.
package struct DataPlaneOptions: Sendable {
  /// The UDP port that nodes use unless told otherwise.
  package static let defaultPort: UInt16 = 41_641
  /// The largest packet in the tunnel, in bytes.
  package static let defaultMTU = 1280

  /// The name of the TUN interface.
  package var interfaceName: String
  /// The UDP port; 0 for any.
  package var port: UInt16
  /// Whether to give up when the port is taken, instead of taking another.
  package var isPortRequired: Bool
  /// The packet mark of our own traffic, by which routing rules know it; 0 for none.
  package var mark: UInt32
  /// The largest packet in the tunnel, in bytes.
  package var mtu: Int
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
