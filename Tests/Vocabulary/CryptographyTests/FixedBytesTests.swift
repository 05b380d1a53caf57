// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import Testing

@Suite("Keys and hashes in place")
struct FixedBytesTests {
  private let counted = (0..<64).map { UInt8($0) }

  @Test("Bytes are read at an offset, and come back in their order")
  func loading() {
    let key = Bytes32(loading: counted.span, at: 7)
    #expect(key.bytes == Array(counted[7..<39]))
    #expect(Bytes32(key.bytes) == key)
    #expect(Bytes32(bigEndian: key.bigEndian) == key)
    #expect(key.bigEndian.0 == 0x0708_090A_0B0C_0D0E && key.bigEndian.3 == 0x1F20_2122_2324_2526)
    #expect(Bytes32(Array(counted.prefix(31))) == nil && Bytes32(Array(counted.prefix(33))) == nil)
    #expect(Bytes16(loading: counted.span, at: 48).bytes == Array(counted[48...]))
    var message: [UInt8] = [9]
    key.append(to: &message)
    #expect(message == [9] + key.bytes)
  }

  @Test("One bit anywhere makes them different")
  func comparing() throws {
    let key = Bytes32(loading: counted.span)
    let mac = Bytes16(loading: counted.span)
    for index in 0..<32 {
      var changed = Array(counted.prefix(32))
      changed[index] ^= 0x80
      #expect(try #require(Bytes32(changed)) != key)
      #expect((Bytes16(loading: changed.span) == mac) == (index >= 16))
    }
  }

  @Test("A wiped key is zero, and its copy stays")
  func wiping() {
    var key = Bytes32(loading: counted.span)
    let copy = key
    key.wipe()
    #expect(key == Bytes32())
    #expect(copy.bytes == Array(counted.prefix(32)))
  }

  @Test("A seed gives the same key in place and as an array")
  func entropy() {
    var one = Entropy(seed: 11)
    var other = Entropy(seed: 11)
    for _ in 0..<3 { #expect(one.bytes32().bytes == other.bytes(32)) }
    var system = Entropy.system
    #expect(system.bytes32() != system.bytes32())
  }

  @Test("X25519 in place is that of RFC 7748 §6.1")
  func agreement() throws {
    func key(_ hex: String) throws -> Bytes32 {
      try #require(Hex.decode(hex).flatMap { Bytes32($0) })
    }
    let alice = try key("77076d0a7318a57d3c16c17251b26645df4c3ef1f9a1d2b5b0f6a3b0a1b3b0a0")
    #expect(X25519.clamp(alice).bytes == X25519.clamp(alice.bytes))
    #expect(X25519.publicKey(of: alice).bytes == X25519.publicKey(of: alice.bytes))
    let scalar = try key("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    let point = try key("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    let shared = try key("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
    #expect(X25519.sharedSecret(private: scalar, public: point) == shared)
    #expect(X25519.sharedSecret(private: scalar, public: Bytes32()) == nil)
  }

  @Test("HMAC and HKDF are what their definitions say")
  func derivation() {
    let key = Bytes32(loading: counted.span, at: 3)
    for count in [0, 1, 31, 32, 33, 63, 64, 65, 200] {
      let message = (0..<count).map { UInt8($0 * 7 & 255) }
      #expect(BLAKE2s.hmac(key: key, message.span).bytes == hmac(key.bytes, message))
      let secret = hmac(key.bytes, message)
      let first = hmac(secret, [1])
      let second = hmac(secret, first + [2])
      let third = hmac(secret, second + [3])
      for outputs in 1...3 {
        let keys = BLAKE2s.hkdf(chainingKey: key, input: message.span, count: outputs)
        #expect(keys.0.bytes == first)
        #expect(outputs < 2 ? keys.1 == Bytes32() : keys.1.bytes == second)
        #expect(outputs < 3 ? keys.2 == Bytes32() : keys.2.bytes == third)
      }
    }
  }

  /// RFC 2104, by the hash alone.
  private func hmac(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    let block = key + [UInt8](repeating: 0, count: 64 - key.count)
    let inner = BLAKE2s.hash(block.map { $0 ^ 0x36 }, message)
    return BLAKE2s.hash(block.map { $0 ^ 0x5C }, inner)
  }

  @Test("Keyed hashes in place are those of arrays")
  func keyed() {
    let key = Bytes32(loading: counted.span)
    let message = counted + counted
    #expect(BLAKE2s.mac(key: key, message.span).bytes == BLAKE2s.mac(key: key.bytes, message))
    let short = Bytes16(loading: counted.span)
    #expect(BLAKE2s.mac(key: short, message.span).bytes == BLAKE2s.mac(key: short.bytes, message))
    #expect(BLAKE2s.hash(key, message.span).bytes == BLAKE2s.hash(key.bytes, message))
    #expect(BLAKE2s.hash("label", key).bytes == BLAKE2s.hash(Array("label".utf8), key.bytes))
  }

  @Test("What a Noise state seals the other side opens, and nothing that was changed")
  func noise() {
    var one = NoiseSymmetricState(protocolName: "Noise_IK_25519_ChaChaPoly_BLAKE2s")
    one.mixKey(Bytes32(loading: counted.span))
    let other = one
    for count in [0, 1, 12, 32, 100] {
      var sealer = one
      var opener = other
      let plaintext = (0..<count).map { UInt8($0) }
      var message: [UInt8] = [1, 2, 3]
      sealer.encryptAndHash(plaintext.span, appendingTo: &message)
      #expect(message.count == 3 + count + 16 && Array(message.prefix(3)) == [1, 2, 3])
      let sealed = Array(message.dropFirst(3))
      let opened = opener.decryptAndHash(sealed.span) { bytes in bytes.indices.map { bytes[$0] } }
      #expect(opened == plaintext)
      #expect(opener.hash == sealer.hash)
      for index in sealed.indices {
        var changed = sealed
        changed[index] ^= 1
        var opener = other
        let refused = opener.decryptAndHash(changed.span) { _ in true }
        #expect(refused == nil)
        #expect(opener.hash == other.hash, "what does not open leaves no trace")
      }
      for length in 0..<sealed.count {
        var opener = other
        let refused = opener.decryptAndHash(sealed.span.extracting(..<length)) { _ in true }
        #expect(refused == nil)
      }
    }
  }
}
