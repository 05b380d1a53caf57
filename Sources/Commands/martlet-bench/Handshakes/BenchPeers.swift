// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Keys
import Timing
import WireGuard

/// Peers that exist to begin handshakes; everyone who is told their number knows their keys.
struct BenchPeers {
  /// The private keys, the same in every run.
  let keys: [NodePrivateKey]

  init(count: Int) {
    keys = (0..<count).map { number in
      var entropy = Entropy(seed: 0x6D61_7274_6C65_7400 &+ UInt64(number))
      return NodePrivateKey.generate(using: &entropy)
    }
  }

  /// One initiation and the index that its response must name.
  struct Initiation {
    var bytes: [UInt8]
    var index: UInt32

    init(_ bytes: [UInt8]) {
      self.bytes = bytes
      index = word(bytes, at: 4)
    }
  }

  /// The initiations of `rounds` handshakes with the owner of `responder` by every peer, round by round.
  ///
  /// The peers' clock jumps: WireGuard begins a handshake every five seconds at most, and asks only that
  /// stamps grow.
  func initiations(to responder: NodeKey, rounds: Int, from wall: Timestamp) -> [Initiation] {
    let id = PeerID(1)
    let anywhere = IPAddress(100, 64, 0, 1)
    var byPeer: [[Initiation]] = []
    for key in keys {
      var tunnel = Tunnel(privateKey: key, mtu: 1280, entropy: .system)
      var effects = Effects()
      var now = Instant(nanoseconds: 1_000_000_000)
      var stamp = wall
      let peer = PeerConfiguration(publicKey: responder, allowedIPs: [IPPrefix(host: anywhere)])
      tunnel.setPeer(id, peer, at: now, into: &effects)
      var made: [Initiation] = []
      for _ in 0..<rounds {
        now = now + .seconds(6)
        stamp = stamp + .milliseconds(20)
        _ = tunnel.beginSealing(id, packets: 1, at: now, timestamp: stamp, into: &effects)
        made += effects.sends.map { Initiation($0.bytes) }
        effects.removeAll()
      }
      byPeer.append(made)
    }
    return (0..<rounds).flatMap { round in byPeer.compactMap { $0.dropFirst(round).first } }
  }
}

/// Four bytes, little-endian, of a message that is known to be long enough.
func word(_ message: some Collection<UInt8>, at offset: Int) -> UInt32 {
  message.dropFirst(offset).prefix(4).reversed().reduce(0) { $0 << 8 | UInt32($1) }
}
