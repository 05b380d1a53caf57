// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import Foundation
import Keys
import Testing

@Suite("Keys")
struct KeysTests {
  @Test("Every public key round-trips through its text, in either case, and nothing else is read")
  func text() throws {
    func check<Key: PublicKey>(_: Key.Type) throws {
      let bytes = (0..<32).map { UInt8($0 * 7) }
      let key = try #require(Key(bytes: bytes))
      #expect(key.bytes == bytes)
      #expect(Key(key.description) == key)
      #expect(Key(Key.prefix + Hex.encode(bytes).uppercased()) == key)
      for wrong in [
        "", Key.prefix, "other:" + Hex.encode(bytes), key.description + "0",
        String(key.description.dropLast()), " " + key.description,
      ] {
        #expect(Key(wrong) == nil, "\(wrong)")
      }
      #expect(Key(bytes: bytes.dropLast()) == nil)
      #expect(try #require(Key(bytes: [UInt8](repeating: 0, count: 32))).isZero)
    }
    try check(NodeKey.self)
    try check(MachineKey.self)
    try check(DiscoKey.self)
    try check(ChallengeKey.self)
    try check(TailnetLockKey.self)
  }

  @Test("The command line's prefix of tailnet-lock keys is read too")
  func tailnetLock() throws {
    let hex = String(repeating: "ab", count: 32)
    #expect(TailnetLockKey("tlpub:" + hex) == TailnetLockKey("nlpub:" + hex))
    #expect(TailnetLockKey("nlpub:" + hex)?.description == "nlpub:" + hex)
  }

  @Test("A private key never prints itself")
  func redaction() throws {
    var entropy = Entropy(seed: 1)
    let key = NodePrivateKey.generate(using: &entropy)
    #expect("\(key)" == "privkey:[redacted]")
    #expect(String(reflecting: key).contains(Hex.encode(key.bytes)) == false)
    #expect(NodePrivateKey(key.text) == key)
    #expect(key.bytes[0] & 7 == 0 && key.bytes[31] & 0xC0 == 0x40)
    #expect(key.publicKey.bytes == X25519.publicKey(of: key.bytes))
    let lock = TailnetLockPrivateKey.generate(using: &entropy)
    #expect("\(lock)" == "nlpriv:[redacted]")
    #expect(TailnetLockPrivateKey(lock.text) == lock)
  }

  @Test("The short form is the first five characters of base64")
  func short() throws {
    let key = try #require(
      NodeKey(bytes: [0xFF, 0xFE, 0xFD, 0xFC] + [UInt8](repeating: 0, count: 28))
    )
    #expect(key.short == "[//79/]")
  }
}

@Suite("Keys against vectors")
struct KeyVectorTests {
  struct File: Decodable {
    struct Pair: Decodable {
      let `private`: String
      let `public`: String
      let privateText: String
      let nodePublicText: String
      let machinePublicText: String
      let discoPublicText: String
      let challengePublicText: String
      let nodeOrMachineShortString: String
    }

    struct Other: Decodable {
      let seed: String?
      let privateText: String?
      let publicText: String?
    }

    let x25519: [Pair]
  }

  @Test("Public halves and text forms are those of the reference")
  func vectors() throws {
    let url = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../../Fixtures/Vectors/keys.json")
    let file = try JSONDecoder().decode(File.self, from: Data(contentsOf: url))
    #expect(file.x25519.count >= 3)
    for pair in file.x25519 {
      let key = try #require(NodePrivateKey(pair.privateText))
      #expect(key.text == pair.privateText)
      #expect(key.publicKey.description == pair.nodePublicText)
      #expect(key.publicKey.short == pair.nodeOrMachineShortString)
      #expect(MachinePrivateKey(pair.privateText)?.publicKey.description == pair.machinePublicText)
      #expect(DiscoPrivateKey(pair.privateText)?.publicKey.description == pair.discoPublicText)
      #expect(ChallengeKey(pair.challengePublicText)?.bytes == Hex.decode(pair.public))
    }
  }
}
