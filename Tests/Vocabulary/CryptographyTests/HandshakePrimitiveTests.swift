// SPDX-License-Identifier: Apache-2.0

import Bytes
import CNoise
import Cryptography
import Testing

private func bytes(_ hex: String) throws -> [UInt8] { try #require(Hex.decode(hex)) }

@Suite("Two X25519 at once")
struct PairedX25519Tests {
  @Test("Where the processor has what pairs are made of, they pass their self-test and are used")
  func used() {
    #expect(X25519.isPaired == (cn_has_x25519_pair() != 0))
  }

  @Test("The vectors of RFC 7748 §5.2, on either side")
  func vectors() throws {
    let one = X25519.Agreement(
      private: try bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
      public: try bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    )
    let other = X25519.Agreement(
      private: try bytes("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
      public: try bytes("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")
    )
    let first = try bytes("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
    let second = try bytes("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957")
    #expect(X25519.sharedSecrets(one, other) == (first, second))
    #expect(X25519.sharedSecrets(other, one) == (second, first))
    #expect(X25519.sharedSecrets(one, one) == (first, first))
  }

  @Test("A thousand steps of the iteration of RFC 7748 §5.2")
  func iteration() throws {
    var scalar = [9] + [UInt8](repeating: 0, count: 31)
    var point = scalar
    for step in 1...1000 {
      let agreement = X25519.Agreement(private: scalar, public: point)
      let both = X25519.sharedSecrets(agreement, agreement)
      let result = try #require(both.one)
      #expect(both.other == result)
      (point, scalar) = (scalar, result)
      if step == 1 {
        #expect(
          Hex.encode(scalar) == "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
        )
      }
    }
    #expect(
      Hex.encode(scalar) == "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"
    )
  }

  /// Keys and points of all sorts: random, full of ones, next to the prime, zero, of small order.
  private func sample(_ entropy: inout Entropy) -> [UInt8] {
    var sample = entropy.bytes(32)
    switch entropy.next() % 8 {
    case 0: sample = [UInt8](repeating: 0xFF, count: 32)
    case 1: sample = [UInt8(truncatingIfNeeded: entropy.next())] + [UInt8](repeating: 0, count: 31)
    case 2:
      let end = UInt8(truncatingIfNeeded: entropy.next()) | 0x7F
      let start = 0xE0 + UInt8(truncatingIfNeeded: entropy.next() % 32)
      sample = [start] + [UInt8](repeating: 0xFF, count: 30) + [end]
    case 3: sample = sample.map { $0 & 1 == 0 ? 0 : 0xFF }
    default: break
    }
    return sample
  }

  @Test("Pairs agree with BoringSSL whatever keys and points are", arguments: 0..<8)
  func agreement(seed: UInt64) {
    var entropy = Entropy(seed: seed)
    for _ in 0..<64 {
      let (key, point) = (sample(&entropy), sample(&entropy))
      let (otherKey, otherPoint) = (sample(&entropy), sample(&entropy))
      let found = X25519.sharedSecrets(
        X25519.Agreement(private: key, public: point),
        X25519.Agreement(private: otherKey, public: otherPoint)
      )
      #expect(found.one == X25519.sharedSecret(private: key, public: point))
      #expect(found.other == X25519.sharedSecret(private: otherKey, public: otherPoint))
      let prepared = X25519.sharedSecret(
        X25519.Agreement(private: key, public: point),
        andPublicKeyOf: otherKey
      )
      #expect(prepared.secret == found.one)
      #expect(prepared.publicKey == X25519.publicKey(of: otherKey))
    }
  }

  @Test("A key of small order or of another length spoils its own half only")
  func halves() {
    var entropy = Entropy(seed: 3)
    let key = X25519.generate(using: &entropy)
    let point = X25519.publicKey(of: X25519.generate(using: &entropy))
    let right = X25519.Agreement(private: key, public: point)
    let expected = X25519.sharedSecret(right)
    #expect(expected != nil)
    for wrong in [[UInt8](repeating: 0, count: 32), [1], []] {
      let zero = X25519.Agreement(private: key, public: wrong)
      #expect(X25519.sharedSecrets(right, zero) == (expected, nil))
      #expect(X25519.sharedSecrets(zero, right) == (nil, expected))
      let prepared = X25519.sharedSecret(zero, andPublicKeyOf: key)
      #expect(prepared.secret == nil)
      #expect(prepared.publicKey == X25519.publicKey(of: key))
    }
  }
}

@Suite("BLAKE2s and what is built on it")
struct BLAKE2sTests {
  private func digest(_ count: Int, key: [UInt8], _ first: [UInt8], _ second: [UInt8]) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: count)
    // SAFETY: every buffer comes with its own count.
    unsafe cn_blake2s(
      &output,
      count,
      key,
      key.count,
      first,
      first.count,
      second,
      second.count
    )
    return output
  }

  /// The bytes that the self-test of RFC 7693 hashes.
  private func sequence(_ count: Int, seed: UInt32) -> [UInt8] {
    var (a, b) = (0xDEAD_4BAD &* seed, UInt32(1))
    return (0..<count).map { _ in
      let sum = a &+ b
      (a, b) = (b, sum)
      return UInt8(truncatingIfNeeded: sum >> 24)
    }
  }

  @Test("The self-test of RFC 7693, appendix E")
  func selfTest() {
    var all: [UInt8] = []
    for count in [16, 20, 28, 32] {
      for length in [0, 3, 64, 65, 255, 1024] {
        let input = sequence(length, seed: UInt32(length))
        all += digest(count, key: [], input, [])
        let key = sequence(count, seed: UInt32(count))
        all += digest(count, key: key, input, [])
      }
    }
    #expect(
      Hex.encode(BLAKE2s.hash(all))
        == "6a411f08ce25adcdfb02aba641451cec53c598b24f4fc787fbdc88797f4c1dfe"
    )
  }

  @Test("Where a message is cut into parts makes no difference")
  func parts() {
    let message = sequence(200, seed: 7)
    let key = sequence(32, seed: 8)
    let (whole, keyed) = (BLAKE2s.hash(message), BLAKE2s.mac(key: key, message))
    let code = BLAKE2s.hmac(key: key, message)
    for cut in 0...message.count {
      let (first, second) = (Array(message[..<cut]), Array(message[cut...]))
      #expect(BLAKE2s.hash(first, second) == whole)
      #expect(BLAKE2s.mac(key: key, first, second) == keyed)
      #expect(BLAKE2s.hmac(key: key, first, second) == code)
    }
  }

  /// HMAC as RFC 2104 defines it.
  private func plainHMAC(_ key: [UInt8], _ message: [UInt8]) -> [UInt8] {
    let short = key.count > 64 ? BLAKE2s.hash(key) : key
    let block = short + [UInt8](repeating: 0, count: 64 - short.count)
    let inner = BLAKE2s.hash(block.map { $0 ^ 0x36 }, message)
    return BLAKE2s.hash(block.map { $0 ^ 0x5C }, inner)
  }

  @Test("HMAC is what RFC 2104 says, of messages and keys of all lengths, the empty ones too")
  func hmac() {
    for keyCount in [0, 1, 31, 32, 63, 64, 65, 100] {
      for count in [0, 1, 31, 32, 33, 63, 64, 65, 127, 128, 129] {
        let (key, message) = (sequence(keyCount, seed: 3), sequence(count, seed: 4))
        #expect(BLAKE2s.hmac(key: key, message) == plainHMAC(key, message))
      }
    }
  }

  @Test("HKDF is what RFC 5869 says, with and without an input")
  func hkdf() {
    for count in [0, 1, 32, 64, 65] {
      let (key, input) = (sequence(32, seed: 5), sequence(count, seed: 6))
      let secret = plainHMAC(key, input)
      var expected = [plainHMAC(secret, [1])]
      expected.append(plainHMAC(secret, expected[0] + [2]))
      expected.append(plainHMAC(secret, expected[1] + [3]))
      for outputs in 1...3 {
        let keys = BLAKE2s.hkdf(chainingKey: key, input: input, outputs: outputs)
        #expect(keys == Array(expected.prefix(outputs)))
      }
    }
  }
}
