// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import Keys
import Timing

/// One relay: the real switch, and the connections that its driver would have.
final class VirtualRelay {
  /// A connection from its side.
  struct Client {
    var decoder = FrameDecoder(for: .strangersRelay)
    /// Who it is, once admitted.
    var id: RelaySwitch.ClientID?
  }

  static let stunPort: UInt16 = 3478

  let region: RegionID
  let host: HostID
  let handshake: RelayHandshake
  var entropy: Entropy
  var relay: RelaySwitch
  var clients: [ConnectionID: Client] = [:]
  var connections: [RelaySwitch.ClientID: ConnectionID] = [:]

  init(region: RegionID, host: HostID, seed: UInt64) {
    var entropy = Entropy(seed: seed)
    (self.region, self.host) = (region, host)
    handshake = RelayHandshake(privateKey: NodePrivateKey.generate(using: &entropy))
    relay = RelaySwitch(entropy: Entropy(seed: entropy.next()))
    self.entropy = entropy
  }

  /// Forgets everybody, as when it was restarted.
  func restart() {
    clients = [:]
    connections = [:]
    relay = RelaySwitch(entropy: Entropy(seed: entropy.next()))
  }
}
