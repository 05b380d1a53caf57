// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
import Keys
import Testing
import Timing

@testable import WireGuard

private struct Vectors: Decodable {
  struct Step: Decodable {
    let after: String
    let chainingKey: String
    let hash: String
  }
  struct Transport: Decodable {
    let dir: String
    let counter: UInt64
    let plaintext: String
    let packet: String
  }
  struct Cookie: Decodable {
    let secret: String
    let sourceBytes: String
    let nonce: String
    let replyToInitiation: String
    let initiationWithMac2: String
  }
  struct PaddingRow: Decodable {
    let length: Int
    let mtu: Int
    let padding: Int
  }
  struct Stamp: Decodable {
    let unixSeconds: Int64
    let nanoseconds: Int32
    let stamp: String
  }
  struct Window: Decodable {
    let counters: [UInt64]
    let accept: [Bool]
  }

  let initiatorPrivate: String
  let initiatorEphemeralPrivate: String
  let responderPrivate: String
  let responderEphemeralPrivate: String
  let unixSeconds: Int64
  let nanoseconds: Int32
  let initiatorIndex: UInt32
  let responderIndex: UInt32
  let presharedKey: String
  let steps: [Step]
  let initiation: String
  let response: String
  let initiatorSendKey: String
  let responderSendKey: String
  let transport: [Transport]
  let cookie: Cookie
  let padding: [PaddingRow]
  let tai64nSamples: [Stamp]
  let replayWindow: [Window]
}

@Suite("WireGuard against vectors")
struct VectorTests {
  private let vectors: Vectors
  private let initiator: NodePrivateKey
  private let responder: NodePrivateKey

  init() throws {
    vectors = try vectorFile("wireguard")
    initiator = try #require(NodePrivateKey(bytes: try bytes(vectors.initiatorPrivate)))
    responder = try #require(NodePrivateKey(bytes: try bytes(vectors.responderPrivate)))
  }

  private func block(_ hex: String) throws -> Bytes32 { try #require(Bytes32(try bytes(hex))) }

  private func begin() throws -> (
    outstanding: OutstandingInitiation, message: [UInt8]
  ) {
    let identity = Identity(initiator)
    let time = Timestamp(seconds: vectors.unixSeconds, nanoseconds: vectors.nanoseconds)
    let secret = try #require(identity.sharedSecret(with: responder.publicKey))
    let ephemeralKey = try block(vectors.initiatorEphemeralPrivate)
    return try #require(
      OutstandingInitiation.begin(
        identity: identity,
        peer: responder.publicKey,
        staticSecret: secret,
        stamp: TAI64N(time),
        index: vectors.initiatorIndex,
        ephemeralKey: ephemeralKey
      )
    )
  }

  @Test("The initiation has the reference's bytes and transcript")
  func initiation() throws {
    let begun = try begin()
    var cookie = ReceivedCookie()
    let message = cookie.sign(
      begun.message,
      to: responder.publicKey.raw,
      at: .origin
    )
    #expect(Hex.encode(message) == vectors.initiation)
    #expect(Hex.encode(begun.outstanding.transcript.hash) == vectors.steps[0].hash)
    #expect(Hex.encode(begun.outstanding.transcript.chainingKey) == vectors.steps[0].chainingKey)
  }

  @Test("The response has the reference's bytes, and both sides derive its keys")
  func response() throws {
    let message = try #require(HandshakeMessage.Initiation(try bytes(vectors.initiation)))
    let identity = Identity(responder)
    var received = try #require(ReceivedInitiation(message, identity: identity))
    #expect(received.peer == initiator.publicKey)
    let secret = try #require(identity.sharedSecret(with: initiator.publicKey))
    let stamp = received.stamp(staticSecret: secret)
    let time = Timestamp(seconds: vectors.unixSeconds, nanoseconds: vectors.nanoseconds)
    #expect(stamp == TAI64N(time))
    let presharedKey = try block(vectors.presharedKey)
    let respond = received.respond(
      index: vectors.responderIndex,
      ephemeralKey: try block(vectors.responderEphemeralPrivate),
      presharedKey: presharedKey
    )
    let answer = try #require(respond)
    var cookie = ReceivedCookie()
    let response = cookie.sign(answer.message, to: initiator.publicKey.raw, at: .origin)
    #expect(Hex.encode(response) == vectors.response)
    #expect(Hex.encode(answer.keys.sending.bytes) == vectors.responderSendKey)
    #expect(Hex.encode(answer.keys.receiving.bytes) == vectors.initiatorSendKey)

    let read = try #require(HandshakeMessage.Response(response))
    let outstanding = try begin().outstanding
    let keys = try #require(
      outstanding.keys(
        from: read,
        identity: Identity(initiator),
        presharedKey: presharedKey
      )
    )
    #expect(Hex.encode(keys.sending.bytes) == vectors.initiatorSendKey)
    #expect(Hex.encode(keys.receiving.bytes) == vectors.responderSendKey)
  }

  @Test("Transport messages have the reference's bytes and open in place")
  func transport() throws {
    let forward = try bytes(vectors.initiatorSendKey)
    let backward = try bytes(vectors.responderSendKey)
    for vector in vectors.transport {
      let isForward = vector.dir == "i2r"
      let key = isForward ? forward : backward
      let header = TransportHeader(
        receiver: isForward ? vectors.responderIndex : vectors.initiatorIndex,
        counter: vector.counter
      )
      let plaintext = try bytes(vector.plaintext)
      let cipher = PacketCipher(key: key)
      let datagram = header.datagram(sealing: plaintext, with: cipher)
      #expect(Hex.encode(datagram) == vector.packet)
      for backend in usableBackends {
        var copy = datagram
        var engine = PacketEngine(backend)
        var train = PacketTrain()
        // SAFETY: the buffer is the array.
        unsafe copy.withUnsafeMutableBytes { buffer in
          guard let base = buffer.baseAddress else { return }
          unsafe train.append(base + 16, count: buffer.count - 16, counter: vector.counter)
          engine.open(&train, with: cipher)
        }
        let isAuthentic = train.isAuthentic(0)
        #expect(isAuthentic)
        #expect(Array(copy[16..<16 + plaintext.count]) == plaintext)
      }
    }
  }

  @Test("The cookie reply and the initiation that follows it have the reference's bytes")
  func cookies() throws {
    let initiation = try bytes(vectors.initiation)
    let reply = HandshakeGate.reply(
      to: initiation,
      from: try bytes(vectors.cookie.sourceBytes),
      publicKey: responder.publicKey.raw,
      secret: try block(vectors.cookie.secret),
      nonce: try bytes(vectors.cookie.nonce)
    )
    #expect(Hex.encode(reply) == vectors.cookie.replyToInitiation)
    var cookie = ReceivedCookie()
    let body = try begin().message
    let first = cookie.sign(body, to: responder.publicKey.raw, at: .origin)
    #expect(first == initiation)
    let message = try #require(HandshakeMessage.CookieReply(reply))
    let isAccepted = cookie.accept(message, from: responder.publicKey.raw, at: .origin)
    #expect(isAccepted)
    let isAcceptedTwice = cookie.accept(message, from: responder.publicKey.raw, at: .origin)
    #expect(!isAcceptedTwice)
    let again = cookie.sign(body, to: responder.publicKey.raw, at: .origin + .seconds(119))
    #expect(Hex.encode(again) == vectors.cookie.initiationWithMac2)
    let late = cookie.sign(body, to: responder.publicKey.raw, at: .origin + .seconds(120))
    #expect(late == initiation)
  }

  @Test("A tunnel answers the reference's initiation once")
  func wholeTunnel() throws {
    let laboratory = Laboratory()
    let node = laboratory.nodes[1]
    node.tunnel.setPrivateKey(responder)
    node.tunnel.setPeer(
      PeerID(9),
      PeerConfiguration(publicKey: initiator.publicKey, allowedIPs: []),
      at: laboratory.now,
      into: &node.effects
    )
    let initiation = try bytes(vectors.initiation)
    let first = laboratory.deliver(initiation, to: 1)
    #expect(first == .handshake(PeerID(9)))
    laboratory.run(for: .seconds(1))
    let second = laboratory.deliver(initiation, to: 1)
    #expect(second == .dropped(.oldStamp))
    #expect(laboratory.count(type: 2, from: 1) == 1)
  }

  @Test("Padding fills up to 16 but not past the MTU")
  func padding() {
    for row in vectors.padding {
      let padded = Padding.paddedLength(row.length, mtu: row.mtu)
      #expect(padded - row.length == row.padding, "\(row.length)")
    }
  }

  @Test("Stamps have the reference's bytes")
  func stamps() throws {
    for sample in vectors.tai64nSamples {
      let stamp = TAI64N(Timestamp(seconds: sample.unixSeconds, nanoseconds: sample.nanoseconds))
      #expect(Hex.encode(stamp.bytes) == sample.stamp)
      #expect(TAI64N(bytes: stamp.bytes) == stamp)
    }
    #expect(TAI64N(bytes: [1]) == nil)
  }

  @Test("The replay window accepts and refuses as the reference does")
  func replayWindow() {
    for row in vectors.replayWindow {
      var window = ReplayWindow()
      for (counter, expected) in zip(row.counters, row.accept) {
        let isFresh =
          counter < ProtocolConstants.rejectAfterMessages && window.isFresh(counter)
        #expect(isFresh == expected, "\(counter)")
        if isFresh { window.insert(counter) }
      }
    }
  }
}

private func bytes(_ hex: String) throws -> [UInt8] { try #require(Hex.decode(hex)) }
