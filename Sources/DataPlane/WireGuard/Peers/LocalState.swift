// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Timing

/// What a peer shares with all others: our identity, indices, random numbers.
struct LocalState: Sendable {
  var identity: Identity
  var gate: HandshakeGate
  var receivers: ReceiverTable
  var stamps = StampClock()
  var entropy: Entropy
  let mtu: Int

  init(privateKey: NodePrivateKey, mtu: Int, entropy: Entropy, shard: Shard = .only) {
    receivers = ReceiverTable(of: shard)
    identity = Identity(privateKey)
    gate = HandshakeGate(publicKey: identity.publicKey)
    (self.mtu, self.entropy) = (mtu, entropy)
  }
}

/// A moment on both clocks.
struct Moment: Sendable {
  let now: Instant
  let wall: Timestamp
}
