// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import Foundation
import Testing

private func bytes(_ hex: String) throws -> [UInt8] { try #require(Hex.decode(hex)) }

@Suite("Primitives against published vectors")
struct PrimitiveTests {
  @Test("ChaCha20-Poly1305 of RFC 8439 §2.8.2")
  func aead() throws {
    let key = Array(UInt8(0x80)...0x9F)
    let nonce = try bytes("070000004041424344454647")
    let data = try bytes("50515253c0c1c2c3c4c5c6c7")
    let plaintext = Array(
      ("Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, "
        + "sunscreen would be it.").utf8
    )
    let sealed = ChaCha20Poly1305.seal(plaintext, key: key, nonce: nonce, authenticating: data)
    #expect(Hex.encode(sealed.prefix(16)) == "d31a8d34648e60db7b86afbc53ef7ec2")
    #expect(Hex.encode(sealed.suffix(16)) == "1ae10b594f09e26a7e902ecbd0600691")
    #expect(
      ChaCha20Poly1305.open(sealed, key: key, nonce: nonce, authenticating: data) == plaintext
    )
    #expect(ChaCha20Poly1305.open(sealed, key: key, nonce: nonce) == nil)
    #expect(ChaCha20Poly1305.open([1, 2, 3], key: key, nonce: nonce) == nil)
  }

  @Test("HMAC with SHA-256 of RFC 4231 §4.3 and §4.7")
  func hmac() throws {
    let short = HMACSHA256.code(
      of: Array("what do ya want for nothing?".utf8),
      key: Array("Jefe".utf8)
    )
    #expect(
      Hex.encode(short) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    )
    let long = HMACSHA256.code(
      of: Array("Test Using Larger Than Block-Size Key - Hash Key First".utf8),
      key: [UInt8](repeating: 0xAA, count: 131)
    )
    #expect(
      Hex.encode(long) == "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
    )
  }

  @Test("XChaCha20-Poly1305 opens only what was sealed with the same nonce, key and data")
  func extended() {
    let key = [UInt8](repeating: 7, count: 32)
    let nonce = [UInt8](repeating: 9, count: 24)
    let sealed = XChaCha20Poly1305.seal([1, 2, 3], key: key, nonce: nonce, authenticating: [4])
    #expect(
      XChaCha20Poly1305.open(sealed, key: key, nonce: nonce, authenticating: [4]) == [1, 2, 3]
    )
    #expect(XChaCha20Poly1305.open(sealed, key: key, nonce: nonce, authenticating: [5]) == nil)
  }

  @Test("The packet cipher agrees with the one-shot one and refuses any changed bit")
  func packets() {
    let key = Array(UInt8(0)..<32)
    let cipher = PacketCipher(key: key)
    let plaintext = (0..<1420).map { UInt8(truncatingIfNeeded: $0) }
    var buffer = plaintext + [UInt8](repeating: 0, count: 16)
    unsafe buffer.withUnsafeMutableBytes { raw in
      guard let base = raw.baseAddress else { return }
      unsafe cipher.seal(base, count: plaintext.count, counter: 0x0102_0304_0506_0708)
    }
    let nonce: [UInt8] = [0, 0, 0, 0, 8, 7, 6, 5, 4, 3, 2, 1]
    #expect(buffer == ChaCha20Poly1305.seal(plaintext, key: key, nonce: nonce))
    func opens(_ input: [UInt8], counter: UInt64) -> Bool {
      var input = input
      let count = input.count
      return unsafe input.withUnsafeMutableBytes { raw in
        guard let base = raw.baseAddress else { return false }
        return unsafe cipher.open(base, count: count, counter: counter)
      }
    }
    #expect(opens(buffer, counter: 0x0102_0304_0506_0708))
    #expect(!opens(buffer, counter: 1))
    for index in stride(from: 0, to: buffer.count, by: 97) {
      var changed = buffer
      changed[index] ^= 1
      #expect(!opens(changed, counter: 0x0102_0304_0506_0708))
    }
    #expect(!opens([1, 2, 3], counter: 0))
  }

  @Test("BLAKE2s of RFC 7693 and its keyed and derived forms")
  func hashes() {
    #expect(
      Hex.encode(BLAKE2s.hash(Array("abc".utf8)))
        == "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982"
    )
    #expect(BLAKE2s.hash([1], [2, 3], []) == BLAKE2s.hash([1, 2, 3]))
    #expect(BLAKE2s.mac(key: [1], [2]).count == 16)
    #expect(
      Hex.encode(SHA256.hash(Array("abc".utf8)))
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
  }

  @Test("Both sides of X25519 agree, and nothing is shared with a key of small order")
  func agreement() {
    var entropy = Entropy(seed: 3)
    let one = X25519.generate(using: &entropy)
    let other = X25519.generate(using: &entropy)
    let agreed = X25519.sharedSecret(private: one, public: X25519.publicKey(of: other))
    #expect(agreed != nil)
    #expect(agreed == X25519.sharedSecret(private: other, public: X25519.publicKey(of: one)))
    #expect(X25519.sharedSecret(private: one, public: [UInt8](repeating: 0, count: 32)) == nil)
    #expect(X25519.sharedSecret(private: one, public: [1]) == nil)
  }

  @Test("Ed25519 of RFC 8032 §7.1, test 1")
  func signatures() throws {
    let seed = try bytes("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    let publicKey = try bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
    let signature = try bytes(
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46b"
        + "d25bf5f0595bbe24655141438e7a100b"
    )
    #expect(Ed25519.sign([], privateKey: seed + publicKey) == signature)
    #expect(Ed25519.verify(signature, of: [], publicKey: publicKey))
    #expect(!Ed25519.verify(signature, of: [0], publicKey: publicKey))
    #expect(!Ed25519.verify([1], of: [], publicKey: publicKey))
  }

  @Test("A wiped secret is gone, and what was copied from it stays")
  func wiping() {
    var secret = [UInt8](repeating: 7, count: 32)
    let copy = secret
    wipe(&secret)
    #expect(secret.isEmpty)
    #expect(copy == [UInt8](repeating: 7, count: 32))
    var state = NoiseSymmetricState(protocolName: "Noise_IK_25519_ChaChaPoly_BLAKE2s")
    state.mixKey(Bytes32())
    let before = state
    state.wipeSecrets()
    #expect(state.chainingKey == Bytes32() && before.chainingKey != Bytes32())
  }

  @Test("A seed repeats its run, and the system does not")
  func entropy() {
    var one = Entropy(seed: 5)
    var other = Entropy(seed: 5)
    #expect(one.bytes(33) == other.bytes(33))
    var system = Entropy.system
    #expect(system.bytes(32) != system.bytes(32))
  }
}

@Suite("The NaCl box against vectors")
struct NaClBoxTests {
  struct File: Decodable {
    struct Message: Decodable {
      let plaintext: String
      let nonce: String
      let box: String
    }

    let senderPrivate: String
    let senderPublic: String
    let recipientPrivate: String
    let recipientPublic: String
    let messages: [Message]
  }

  @Test("Boxes are those of the reference, in both directions, and none opens when changed")
  func vectors() throws {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../../Fixtures/Vectors/disco.json")
    let file = try JSONDecoder().decode(File.self, from: Data(contentsOf: url))
    let sender = NaClBox(
      privateKey: try bytes(file.senderPrivate),
      publicKey: try bytes(file.recipientPublic)
    )
    let recipient = NaClBox(
      privateKey: try bytes(file.recipientPrivate),
      publicKey: try bytes(file.senderPublic)
    )
    for message in file.messages {
      let nonce = try bytes(message.nonce)
      let plaintext = try bytes(message.plaintext)
      let sealed = sender.seal(plaintext, nonce: nonce)
      #expect(Hex.encode(sealed.dropFirst(24)) == message.box)
      #expect(recipient.open(sealed) == plaintext)
      var changed = sealed
      changed[sealed.count - 1] ^= 1
      #expect(recipient.open(changed) == nil)
      #expect(recipient.open(Array(sealed.prefix(39))) == nil)
    }
    #expect(!file.messages.isEmpty)
    let weak = NaClBox(
      privateKey: try bytes(file.senderPrivate),
      publicKey: [UInt8](repeating: 0, count: 32)
    )
    #expect(weak.open([UInt8](repeating: 1, count: 60)) == nil)
  }
}
