// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Disco
import Keys

/// Seals discovery messages in the name of a key.
struct Speaker {
  let key: DiscoPrivateKey
  var entropy: Entropy

  init(_ key: DiscoPrivateKey, seed: UInt64) {
    self.key = key
    entropy = Entropy(seed: seed)
  }

  mutating func seal(_ message: Message, to recipient: DiscoKey) -> [UInt8] {
    let box = NaClBox(privateKey: key.bytes, publicKey: recipient.bytes)
    return Envelope.seal(message, from: key.publicKey, with: box, using: &entropy)
  }
}
