// SPDX-License-Identifier: Apache-2.0

import Bytes
import Cryptography
import JSON
import Keys
import TestSupport
import Testing

@testable import ControlProtocol

@Suite("The Noise connection")
struct ControlNoiseTests {
  let vector: JSONValue
  let machine: MachinePrivateKey
  let server: MachinePrivateKey
  let initiator: ControlHandshake.Initiator
  let accepted: ControlHandshake.Accepted

  init() throws {
    vector = try Fixture.json("Vectors/control_noise.json")
    machine = try #require(MachinePrivateKey(bytes: try vector.hex("machinePrivate")))
    server = try #require(MachinePrivateKey(bytes: try vector.hex("controlPrivate")))
    initiator = try ControlHandshake.Initiator(
      machineKey: machine,
      serverKey: server.publicKey,
      version: 145,
      ephemeral: try vector.hex("machineEphemeralPrivate")
    )
    accepted = try ControlHandshake.Responder(privateKey: server).accept(
      try vector.hex("initiation"),
      ephemeral: try vector.hex("controlEphemeralPrivate")
    )
  }

  @Test("Both messages are those of the vectors, to the byte")
  func messages() throws {
    #expect(initiator.initiation == (try vector.hex("initiation")))
    #expect(Base64.encode(initiator.initiation) == vector["initiationBase64Header"]?.string)
    #expect(accepted.response == (try vector.hex("response")))
    #expect(accepted.machineKey == machine.publicKey)
    #expect(accepted.version == 145)
    #expect(accepted.response.count == ControlHandshake.responseCount)
    #expect(ControlHandshake.Initiator.messageCount(accepted.response) == 51)
    #expect(ControlHandshake.Initiator.messageCount([2, 0]) == nil)
  }

  @Test("Records are those of the vectors in both directions")
  func records() throws {
    var client = try initiator.finish(try vector.hex("response"))
    var server = accepted.cipher
    for record in try #require(vector["records"]?.array) {
      let fromClient = record["dir"] == "c2s"
      let plaintext: [UInt8]
      if record["plaintext"] != nil {
        plaintext = try record.hex("plaintext")
      } else {
        plaintext = (0..<4077).map { UInt8(truncatingIfNeeded: $0 * 7) }
      }
      if plaintext.isEmpty {
        // We never send an empty record; readers pass over it.
        let opened = try server.open(try record.hex("record"))
        #expect(opened.isEmpty)
        continue
      }
      let sealed = try fromClient ? client.seal(plaintext) : server.seal(plaintext)
      if record["record"] != nil {
        #expect(sealed == (try record.hex("record")))
      } else {
        #expect(sealed.count == 4096)
        #expect(SHA256.hash(sealed) == (try record.hex("recordSha256")))
      }
      let opened = try fromClient ? server.open(sealed) : client.open(sealed)
      #expect(opened == plaintext)
    }
  }

  @Test("A record under a little-endian nonce does not open")
  func littleEndian() throws {
    var server = accepted.cipher
    let records = try #require(vector["records"]?.array)
    _ = try server.open(try records[0].hex("record"))
    let wrong = try records[1].hex("wrongLittleEndianNonceRecordBody")
    #expect(throws: ControlCipherError.notAuthentic) { try server.open([4, 0, 17] + wrong) }
    #expect(throws: ControlCipherError.broken) {
      try server.open(try records[1].hex("record"))
    }
  }

  @Test("Every alteration and every truncation of a handshake message is refused")
  func alteredHandshake() throws {
    let responder = ControlHandshake.Responder(privateKey: server)
    for index in initiator.initiation.indices {
      var altered = initiator.initiation
      altered[index] ^= 1
      let message = altered
      #expect(throws: ControlHandshakeError.self) { try responder.accept(message) }
      #expect(throws: ControlHandshakeError.self) {
        try responder.accept(Array(initiator.initiation[..<index]))
      }
    }
    for index in accepted.response.indices {
      var altered = accepted.response
      altered[index] ^= 1
      let message = altered
      #expect(throws: ControlHandshakeError.self) { try initiator.finish(message) }
      #expect(throws: ControlHandshakeError.self) {
        try initiator.finish(Array(accepted.response[..<index]))
      }
    }
    #expect(throws: ControlHandshakeError.self) { try responder.accept(initiator.initiation + [0]) }
  }

  @Test("A server of another key is not believed")
  func impostor() throws {
    var entropy = Entropy(seed: 1)
    let other = MachinePrivateKey.generate(using: &entropy)
    #expect(throws: ControlHandshakeError.notAuthentic) {
      try ControlHandshake.Responder(privateKey: other).accept(initiator.initiation)
    }
    #expect(throws: ControlHandshakeError.notAuthentic) {
      try ControlHandshake.Initiator(machineKey: machine, serverKey: .zero)
    }
  }

  @Test("An error message is told as it is")
  func refusal() throws {
    #expect(throws: ControlHandshakeError.refused("bad stuff")) {
      try initiator.finish(try vector.hex("errorMessage"))
    }
    #expect(ControlHandshake.refusal("bad stuff") == (try vector.hex("errorMessage")))
  }

  @Test("Long writes become records of at most 4096 bytes and open byte by byte")
  func dripFeed() throws {
    var client = try initiator.finish(accepted.response)
    var server = accepted.cipher
    let plaintext = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
    let sealed = try client.seal(plaintext)
    #expect(sealed.count == 10_000 + 3 * 19)
    var opened: [UInt8] = []
    for byte in sealed { opened += try server.open([byte]) }
    #expect(opened == plaintext)
    #expect(try client.seal([]).isEmpty)
  }

  @Test("Records that are too long, too short or of another kind end the connection")
  func badRecords() throws {
    let cases: [([UInt8], ControlCipherError)] = [
      ([4, 0x0F, 0xFE], .badLength(4094)), ([4, 0, 15], .badLength(15)),
      ([4, 0xFF, 0xFF], .badLength(65535)), ([3, 0, 20], .unexpectedKind(3)),
      ([0], .unexpectedKind(0)),
    ]
    for (bytes, error) in cases {
      var server = accepted.cipher
      #expect(throws: error) { try server.open(bytes) }
      #expect(throws: ControlCipherError.broken) { try server.open([4]) }
    }
    var server = accepted.cipher
    let waiting = try server.open([4, 0x0F, 0xFD])
    #expect(waiting.isEmpty)
  }

  @Test("An altered record ends the connection")
  func alteredRecord() throws {
    var client = try initiator.finish(accepted.response)
    let sealed = try client.seal([1, 2, 3])
    for index in sealed.indices {
      var altered = sealed
      altered[index] ^= 0x80
      var server = accepted.cipher
      let message = altered
      let opened = (try? server.open(message)) ?? []
      #expect(opened.isEmpty)
    }
  }

  @Test("The last counter is never used")
  func exhausted() throws {
    let key = [UInt8](repeating: 7, count: 32)
    var last = ControlCipher(sending: key, receiving: key, sendingCounter: .max - 1)
    _ = try last.seal([1])
    #expect(throws: ControlCipherError.exhausted) { try last.seal([1]) }
  }

  @Test("A handshake with fresh keys works at our version")
  func fresh() throws {
    let begun = try ControlHandshake.Initiator(machineKey: machine, serverKey: server.publicKey)
    let answered = try ControlHandshake.Responder(privateKey: server).accept(begun.initiation)
    #expect(Int(answered.version) == CapabilityVersion.current)
    var client = try begun.finish(answered.response)
    var server = answered.cipher
    let opened = try client.open(try server.seal([1, 2]))
    #expect(opened == [1, 2])
  }
}
