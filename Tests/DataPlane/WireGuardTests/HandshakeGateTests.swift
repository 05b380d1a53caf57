// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Keys
import Testing
import Timing

@testable import WireGuard

@Suite("Handshakes under load")
struct HandshakeGateTests {
  /// Brings a node's gate under load with initiations that it cannot open, but must look at.
  private func flood(_ laboratory: Laboratory, _ index: Int, count: Int = 140) -> [Received] {
    (0..<count).map { number in
      laboratory.deliver(
        forged(for: laboratory.nodes[index], number),
        to: index,
        source: source(UInt8(truncatingIfNeeded: number))
      )
    }
  }

  /// An initiation with a right MAC1 and nothing else right.
  private func forged(for node: TestNode, _ number: Int) -> [UInt8] {
    var entropy = Entropy(seed: UInt64(number) &+ 7777)
    let body = [1, 0, 0, 0] + entropy.bytes(112)
    var cookie = ReceivedCookie()
    return cookie.sign(body, to: node.key.publicKey.raw, at: .origin)
  }

  private func source(_ last: UInt8, port: UInt16 = 1000) -> [UInt8] {
    Endpoint(IPAddress(203, 0, 113, last), port: port).discoveryBytes
  }

  @Test("A message whose MAC1 is wrong costs nothing more than that")
  func mac1() {
    let laboratory = Laboratory()
    laboratory.send(packet(1), from: 0)
    var initiation = laboratory.takeFlights()[0]
    initiation[120] ^= 1
    for _ in 0..<1000 {
      let received = laboratory.deliver(initiation, to: 1)
      #expect(received == .dropped(.wrongMAC1))
    }
    #expect(laboratory.sent.count == 1)
    let good = laboratory.deliver(initiationRepaired(initiation), to: 1)
    #expect(good == .handshake(PeerID(1)), "such messages bring no load")
  }

  private func initiationRepaired(_ message: [UInt8]) -> [UInt8] {
    var message = message
    message[120] ^= 1
    return message
  }

  @Test("Under load a sender proves its address with a cookie and then gets through")
  func cookies() {
    let laboratory = Laboratory()
    _ = flood(laboratory, 1)
    _ = laboratory.takeFlights()
    laboratory.send(packet(1), from: 0)
    let first = laboratory.takeFlights()[0]
    let refused = laboratory.deliver(first, to: 1)
    #expect(refused == .dropped(.cookieSent))
    let reply = laboratory.takeFlights()[0]
    #expect(reply.count == 64)
    // A cookie proves nothing about its sender's address, and moves no path.
    let received = laboratory.deliver(reply, to: 0)
    #expect(received == .handshake(nil))
    laboratory.isCut = true
    laboratory.run(for: .seconds(6))
    laboratory.isCut = false
    let second = laboratory.sent.last?.bytes ?? []
    #expect(second.count == 148 && second.suffix(16) != first.suffix(16))
    _ = flood(laboratory, 1)
    _ = laboratory.takeFlights()
    let accepted = laboratory.deliver(second, to: 1)
    #expect(accepted == .handshake(PeerID(1)))
  }

  @Test("A cookie holds for the port that it was given to, and no other")
  func cookieNamesPort() {
    let laboratory = Laboratory()
    _ = flood(laboratory, 1)
    laboratory.send(packet(1), from: 0)
    _ = laboratory.takeFlights()
    let initiations: [[UInt8]] = laboratory.sent.map(\.bytes).filter { $0[0] == 1 }
    let first = initiations[initiations.count - 1]
    laboratory.deliver(first, to: 1, source: source(9, port: 1000))
    laboratory.deliver(laboratory.takeFlights()[0], to: 0)
    laboratory.isCut = true
    laboratory.run(for: .seconds(6))
    let second = laboratory.sent.last?.bytes ?? []
    _ = flood(laboratory, 1)
    let elsewhere = laboratory.deliver(second, to: 1, source: source(9, port: 1001))
    #expect(elsewhere == .dropped(.cookieSent))
    let there = laboratory.deliver(second, to: 1, source: source(9, port: 1000))
    #expect(there == .handshake(PeerID(1)))
  }

  @Test("Load ends a second after it was last seen")
  func loadEnds() {
    let laboratory = Laboratory()
    let results = flood(laboratory, 1)
    #expect(results.first == .dropped(.notAuthentic))
    #expect(results.last == .dropped(.cookieSent))
    _ = laboratory.takeFlights()
    laboratory.run(for: .seconds(2))
    laboratory.send(packet(1), from: 0)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].delivered == [packet(1)])
  }

  @Test("Responses pass the gate like initiations")
  func responses() {
    let laboratory = Laboratory()
    laboratory.send(packet(1), from: 0)
    laboratory.deliver(laboratory.takeFlights()[0], to: 1)
    let response = laboratory.takeFlights()[0]
    _ = flood(laboratory, 0)
    _ = laboratory.takeFlights()
    let refused = laboratory.deliver(response, to: 0)
    #expect(refused == .dropped(.cookieSent))
    let reply = laboratory.takeFlights()[0]
    let kept = laboratory.deliver(reply, to: 1)
    #expect(kept == .handshake(nil))
  }

  @Test("Each address gets a burst of 5 and 20 a second, ports and hosts of one IPv6 network alike")
  func limiter() {
    var limiter = SourceLimiter()
    let start = Instant(nanoseconds: 5_000_000_000)
    let admitted = (0..<50).count { _ in limiter.admit(source(1), at: start) }
    #expect(admitted == 5)
    let otherPort = limiter.admit(source(1, port: 9), at: start)
    #expect(!otherPort)
    let otherAddress = limiter.admit(source(2), at: start)
    #expect(otherAddress)
    let later = (0..<50).count { _ in limiter.admit(source(1), at: start + .milliseconds(200)) }
    #expect(later == 4)
    let network = (0..<50).count { number in
      let host = IPAddress(high: 0x2001_0DB8_0000_0000, low: UInt64(number))
      return limiter.admit(Endpoint(host, port: 1).discoveryBytes, at: start)
    }
    #expect(network == 5)
  }

  @Test("The table of addresses is bounded, and quiet ones make room")
  func limiterBound() {
    var limiter = SourceLimiter()
    let start = Instant(nanoseconds: 5_000_000_000)
    func admit(_ number: Int, _ now: Instant) -> Bool {
      let address = IPAddress(v4: UInt32(number))
      return limiter.admit(Endpoint(address, port: 1).discoveryBytes, at: now)
    }
    let admitted = (0..<10_000).count { admit($0, start) }
    #expect(admitted == SourceLimiter.sourcesMaximum)
    let later = admit(20_000, start + .seconds(2))
    #expect(later)
  }

  @Test("A cookie reply to a message that was not sent, or sealed by another, is not taken")
  func strangeCookies() {
    let laboratory = Laboratory()
    laboratory.send(packet(1), from: 0)
    let initiation = laboratory.takeFlights()[0]
    let stranger = TestNode(5, seed: 55)
    let reply = HandshakeGate.reply(
      to: initiation,
      from: [1],
      publicKey: stranger.key.publicKey.raw,
      secret: Bytes32(loading: [UInt8](repeating: 1, count: 32).span),
      nonce: [UInt8](repeating: 2, count: 24)
    )
    let received = laboratory.deliver(reply, to: 0)
    #expect(received == .dropped(.notAuthentic))
    var unknown = reply
    unknown[4] ^= 1
    let dropped = laboratory.deliver(unknown, to: 0)
    #expect(dropped == .dropped(.unknownReceiver))
  }
}
