// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
import Disco
import Keys
import TestSupport
import Testing

private struct Vectors: Decodable {
  struct Message: Decodable {
    var name: String
    var plaintext: String
    var nonce: String
    var box: String
    var packet: String
  }
  struct Padded: Decodable {
    var nonce: String
    var packetSha256: String
    var length: Int
  }
  struct Negative: Decodable {
    var name: String
    var packet: String?
    var plaintext: String?
    var expect: String
  }
  var senderPrivate: String
  var recipientPrivate: String
  var messages: [Message]
  var paddedPing1252: Padded
  var negative: [Negative]
}

@Suite("Disco")
struct DiscoTests {
  private let vectors: Vectors
  private let sender: DiscoPrivateKey
  private let recipient: DiscoPrivateKey

  init() throws {
    vectors = try read("disco")
    sender = try #require(DiscoPrivateKey(bytes: try bytes(vectors.senderPrivate)))
    recipient = try #require(DiscoPrivateKey(bytes: try bytes(vectors.recipientPrivate)))
  }

  private var outbound: NaClBox {
    NaClBox(privateKey: sender.bytes, publicKey: recipient.publicKey.bytes)
  }

  private var inbound: NaClBox {
    NaClBox(privateKey: recipient.bytes, publicKey: sender.publicKey.bytes)
  }

  @Test("Every message has the bytes of its vector, and reads back")
  func messages() throws {
    for vector in vectors.messages {
      let plaintext = try bytes(vector.plaintext)
      let message = try Message(parsing: plaintext)
      #expect(message.bytes == plaintext, "\(vector.name)")
    }
  }

  @Test("Messages hold what the vectors put in")
  func contents() throws {
    let messages = try Dictionary(
      uniqueKeysWithValues: vectors.messages.map {
        ($0.name, try Message(parsing: try bytes($0.plaintext)))
      }
    )
    guard case .ping(let ping) = messages["ping_with_nodekey_and_padding_3"],
      case .ping(let plain) = messages["ping_with_padding_3"],
      case .pong(let pong) = messages["pong_v4"],
      case .callMeMaybe(let call) = messages["call_me_maybe"],
      case .callMeMaybeVia(let via) = messages["call_me_maybe_via"],
      case .allocated(let allocated, let generation) =
        messages["allocate_udp_relay_endpoint_response"]
    else {
      Issue.record("a vector is missing or of another type")
      return
    }
    #expect(ping.nodeKey != nil && ping.padding == 3)
    #expect(plain.nodeKey == nil && plain.padding == 3)
    #expect(pong.source == Endpoint("2.3.4.5:1234"))
    #expect(call.endpoints.map(\.description) == ["1.2.3.4:567", "[2001::3456]:789"])
    #expect(via == allocated && generation == 1)
    #expect(via.lamportID == 123 && via.virtualNetwork == 456 && via.endpoints.count == 2)
    #expect(via.bindNanoseconds == 1_000_000_000)
  }

  @Test("Envelopes seal to the bytes of the vectors, and open")
  func envelopes() throws {
    for vector in vectors.messages {
      let packet = try bytes(vector.packet)
      let message = try Message(parsing: try bytes(vector.plaintext))
      let sealed = Envelope.seal(
        message,
        from: sender.publicKey,
        with: outbound,
        nonce: try bytes(vector.nonce)
      )
      #expect(sealed == packet, "\(vector.name)")
      #expect(Envelope.sender(of: packet) == sender.publicKey)
      #expect(Envelope.open(packet, with: inbound) == (try bytes(vector.plaintext)))
    }
  }

  @Test("A padded ping fills the datagram to the byte")
  func padding() throws {
    guard case .ping(var ping) = try Message(parsing: try bytes(vectors.messages[1].plaintext))
    else {
      Issue.record("the second vector is a ping")
      return
    }
    ping.padding = vectors.paddedPing1252.length - Envelope.overhead - 2 - 12 - 32
    let packet = Envelope.seal(
      .ping(ping),
      from: sender.publicKey,
      with: outbound,
      nonce: try bytes(vectors.paddedPing1252.nonce)
    )
    #expect(packet.count == vectors.paddedPing1252.length)
    #expect(Hex.encode(SHA256.hash(packet)) == vectors.paddedPing1252.packetSha256)
  }

  @Test("What is no message is refused, and a ragged call reads as an empty one")
  func negatives() throws {
    for vector in vectors.negative {
      if let packet = vector.packet {
        #expect(Envelope.sender(of: try bytes(packet)) == nil, "\(vector.name)")
      } else if let hex = vector.plaintext {
        let plaintext = try bytes(hex)
        if vector.name.hasPrefix("cmm") {
          #expect(try Message(parsing: plaintext) == .callMeMaybe(CallMeMaybe(endpoints: [])))
        } else {
          #expect(throws: DiscoError.self, "\(vector.name)") { try Message(parsing: plaintext) }
        }
      }
    }
  }

  @Test("A message cut at any byte is refused or reads as a smaller one")
  func truncation() throws {
    for vector in vectors.messages {
      let plaintext = try bytes(vector.plaintext)
      let isCall = vector.name.hasPrefix("call_me_maybe") && !vector.name.hasSuffix("via")
      let least = isCall ? 2 : vector.name.hasPrefix("ping") ? 14 : try leastCount(of: plaintext)
      for count in 0..<plaintext.count {
        let cut = Array(plaintext.prefix(count))
        // Only whether it reads matters.
        let reads = (try? Message(parsing: cut)) != nil
        let isWhole = plaintext[0] == 7 || plaintext[0] == 9 ? count == least : count >= least
        #expect(reads == isWhole, "\(vector.name) cut to \(count)")
      }
      let packet = try bytes(vector.packet)
      for count in 0..<packet.count {
        #expect(Envelope.open(Array(packet.prefix(count)), with: inbound) == nil)
      }
    }
  }

  /// How short a message of this kind may be and still be read.
  private func leastCount(of plaintext: [UInt8]) throws -> Int {
    switch plaintext[0] {
    case 2: 2 + 30
    case 4...6: 2 + 72
    case 7: 2 + 124 + 18
    case 8: 2 + 68
    default: 2 + 4 + 124 + 18
    }
  }

  @Test("Trailing bytes are ignored")
  func trailing() throws {
    for vector in vectors.messages {
      let plaintext = try bytes(vector.plaintext)
      guard plaintext[0] == 2 || (4...6).contains(plaintext[0]) || plaintext[0] == 8 else {
        continue
      }
      #expect(try Message(parsing: plaintext + [1, 2, 3]).bytes == plaintext, "\(vector.name)")
    }
  }

  @Test("An envelope with any bit changed does not open")
  func forgery() throws {
    let packet = try bytes(vectors.messages[0].packet)
    for index in packet.indices where index >= 38 {
      var forged = packet
      forged[index] ^= 1
      #expect(Envelope.open(forged, with: inbound) == nil)
    }
    let stranger = NaClBox(privateKey: recipient.bytes, publicKey: recipient.publicKey.bytes)
    #expect(Envelope.open(packet, with: stranger) == nil)
  }

  @Test("Two envelopes of one message share no nonce")
  func nonces() {
    var entropy = Entropy(seed: 3)
    let message = Message.callMeMaybe(CallMeMaybe(endpoints: []))
    var nonces: Set<[UInt8]> = []
    for _ in 0..<100 {
      let packet = Envelope.seal(
        message,
        from: sender.publicKey,
        with: outbound,
        using: &entropy
      )
      nonces.insert(Array(packet[38..<62]))
    }
    #expect(nonces.count == 100)
  }

  @Test("Mutated messages are refused or read, never trapped on")
  func mutations() throws {
    let inputs = try corpus("Disco")
    #expect(inputs.count == vectors.messages.count)
    var generator = SeededGenerator(state: 2)
    for _ in 0..<5000 {
      let input = try #require(inputs.randomElement(using: &generator))
      let mutated = input.mutated(using: &generator)
      // A mutation that still reads must also write.
      if let message = try? Message(parsing: mutated) {
        let again = try Message(parsing: message.bytes)
        #expect(again == message)
      }
      _ = Envelope.sender(of: mutated)
      _ = Envelope.open(Envelope.magic + mutated, with: inbound)
    }
  }
}
