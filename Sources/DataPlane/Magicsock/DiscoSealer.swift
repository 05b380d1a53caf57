// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Disco
import Keys

/// Speaks discovery in the name of this node: seals, opens, keeps the shared keys, and counts.
struct DiscoSealer: Sendable {
  var counters = PathCounters()
  var nodeKey: NodeKey
  private(set) var privateKey: DiscoPrivateKey
  var entropy: Entropy
  /// The largest datagram that the tunnel sends; 0 where nobody asks what passes.
  var largest = 0
  private var boxes: [DiscoKey: NaClBox] = [:]
  private var order: [DiscoKey] = []
  /// The key before this one: peers that have not heard of the new one go by it.
  private var former: DiscoPrivateKey?
  /// Who spoke to that key last, and what is shared with them.
  private var formerBoxes: [DiscoKey: NaClBox] = [:]

  init(nodeKey: NodeKey, privateKey: DiscoPrivateKey, entropy: Entropy) {
    (self.nodeKey, self.privateKey, self.entropy) = (nodeKey, privateKey, entropy)
  }

  /// The public half of our key.
  var publicKey: DiscoKey { privateKey.publicKey }

  /// Takes another key; the old one is kept for those who have not heard of it.
  mutating func use(_ key: DiscoPrivateKey) {
    guard key != privateKey else { return }
    former = privateKey
    privateKey = key
    (boxes, order, formerBoxes) = ([:], [], [:])
  }

  /// How many shared keys are kept.
  var boxCount: Int { boxes.count }

  /// A datagram with `message` that only the holder of `recipient` can open.
  mutating func seal(_ message: Message, to recipient: DiscoKey) -> [UInt8] {
    if let former, let box = formerBoxes[recipient] {
      return Envelope.seal(message, from: former.publicKey, with: box, using: &entropy)
    }
    return Envelope.seal(message, from: publicKey, with: box(with: recipient), using: &entropy)
  }

  /// A ping whose datagram has `size` bytes, or as few as it takes.
  mutating func sealPing(_ id: PingID, size: Int, to recipient: DiscoKey) -> [UInt8] {
    let padding = max(0, size - Envelope.overhead - 2 - PingID.byteCount - 32)
    return seal(.ping(Ping(id: id, nodeKey: nodeKey, padding: padding)), to: recipient)
  }

  /// The plaintext of a datagram that names `sender`; nil when it is not authentic.
  mutating func open(_ datagram: [UInt8], from sender: DiscoKey) -> [UInt8]? {
    if let plaintext = Envelope.open(datagram, with: box(with: sender)) {
      formerBoxes[sender] = nil
      return plaintext
    }
    guard let former else { return nil }
    let box =
      formerBoxes[sender] ?? NaClBox(privateKey: former.bytes, publicKey: sender.bytes)
    guard let plaintext = Envelope.open(datagram, with: box) else { return nil }
    if formerBoxes.count < PathLimits.boxes { formerBoxes[sender] = box }
    return plaintext
  }

  /// Forgets the shared key with a peer.
  mutating func forget(_ key: DiscoKey) {
    formerBoxes[key] = nil
    guard boxes.removeValue(forKey: key) != nil else { return }
    order.removeAll { $0 == key }
  }

  private mutating func box(with key: DiscoKey) -> NaClBox {
    if let box = boxes[key] { return box }
    if order.count >= PathLimits.boxes { boxes[order.removeFirst()] = nil }
    let box = NaClBox(privateKey: privateKey.bytes, publicKey: key.bytes)
    boxes[key] = box
    order.append(key)
    return box
  }
}
