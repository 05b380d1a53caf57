// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import Keys
import Synchronization
import Timing

/// One relay: the real switchboard, and the connections that its driver would have.
final class VirtualRelay {
  /// A connection from its side.
  final class Client {
    var decoder = FrameDecoder(for: .strangersRelay)
    /// Its session, once it is admitted.
    var session: RelaySession?
  }

  /// What the switchboard told of connections, in that order, until the world looks.
  final class Told: Sendable {
    let ready = Mutex<[ConnectionID]>([])
    let ended = Mutex<[ConnectionID]>([])
  }

  /// A connection as the switchboard knows it.
  final class Link: RelayConnection {
    private let id: ConnectionID
    private let told: Told

    init(_ id: ConnectionID, _ told: Told) { (self.id, self.told) = (id, told) }

    func outputWaits() { told.ready.withLock { $0.append(id) } }
    func end(because reason: RelayClosing) { told.ended.withLock { $0.append(id) } }
  }

  static let stunPort: UInt16 = 3478

  let region: RegionID
  let host: HostID
  let handshake: RelayHandshake
  let told = Told()
  var entropy: Entropy
  var switchboard: Switchboard
  var effects = RelayEffects()
  var clients: [ConnectionID: Client] = [:]

  init(region: RegionID, host: HostID, seed: UInt64) {
    var entropy = Entropy(seed: seed)
    (self.region, self.host) = (region, host)
    handshake = RelayHandshake(privateKey: NodePrivateKey.generate(using: &entropy))
    switchboard = Switchboard(entropy: Entropy(seed: entropy.next()))
    self.entropy = entropy
  }

  /// Forgets everybody, as when it was restarted.
  func restart() {
    clients = [:]
    switchboard = Switchboard(entropy: Entropy(seed: entropy.next()))
  }
}
