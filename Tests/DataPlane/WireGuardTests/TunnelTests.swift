// SPDX-License-Identifier: Apache-2.0

import Addressing
import Keys
import Testing
import Timing

@testable import WireGuard

@Suite("Two tunnels talk")
struct TunnelTests {
  @Test("The first packet waits for the handshake, then both directions flow")
  func firstPacket() {
    let laboratory = Laboratory()
    laboratory.send(packet(1), from: 0)
    #expect(laboratory.count(type: 1, from: 0) == 1)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].delivered == [packet(1)])
    laboratory.send(packet(2), from: 1)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[0].delivered == [packet(2)])
    #expect(laboratory.sent.map { $0.bytes[0] } == [1, 2, 4, 4])
    let status = laboratory.nodes[0].status(of: PeerID(2))
    #expect(status?.bytesSent == 96 && status?.bytesReceived == 96)
    #expect(status?.lastHandshake != nil)
    #expect(laboratory.nodes[1].status(of: PeerID(1))?.lastHandshake != nil)
  }

  @Test("Both sides learn of the session before the packets that waited for it")
  func established() {
    let laboratory = Laboratory()
    let (one, other) = (laboratory.nodes[0], laboratory.nodes[1])
    laboratory.send(packet(1), from: 0)
    let initiation = laboratory.takeFlights()[0]
    laboratory.deliver(initiation, to: 1)
    var response = laboratory.takeFlights()[0]
    // SAFETY: the buffer is the array.
    unsafe response.withUnsafeMutableBytes { buffer in
      _ = unsafe one.tunnel.receive(
        buffer,
        from: other.source,
        at: laboratory.now,
        timestamp: laboratory.wall(0),
        into: &one.effects
      )
    }
    #expect(one.effects.sessionsEstablished == [PeerID(2)])
    #expect(one.effects.sends.map(\.kind) == [.data])
    #expect(!one.effects.isEmpty)
  }

  @Test("An initiator with nothing to say confirms the session with a keepalive")
  func confirmation() {
    let laboratory = Laboratory { configuration, index in
      if index == 0 { configuration.persistentKeepalive = .seconds(25) }
    }
    laboratory.run(for: .seconds(1))
    #expect(laboratory.sent.map { $0.bytes.count } == [148, 92, 32])
    #expect(laboratory.nodes[1].received.last == .keepalive(PeerID(1)))
  }

  @Test("The responder keeps to the old session until the new one is confirmed")
  func keyConfirmation() {
    let laboratory = Laboratory()
    laboratory.send(packet(1), from: 0)
    laboratory.run(for: .seconds(121))
    laboratory.send(packet(2), from: 0)
    let flights = laboratory.takeFlights()
    #expect(flights.map { $0[0] } == [1, 4].sorted() || flights.map { $0[0] } == [4, 1])
    for flight in flights { laboratory.deliver(flight, to: 1) }
    let response = laboratory.takeFlights()
    #expect(response.map { $0[0] } == [2])
    // The initiator has not received the response: it must understand what we send now.
    laboratory.send(packet(3), from: 1)
    let early = laboratory.takeFlights()
    let received = laboratory.deliver(early[0], to: 0)
    #expect(received == .packet(PeerID(2), offset: 16, count: 64))
    laboratory.deliver(response[0], to: 0)
    let confirmation = laboratory.takeFlights()
    #expect(confirmation.map(\.count) == [32])
    laboratory.deliver(confirmation[0], to: 1)
    laboratory.send(packet(4), from: 1)
    let late = laboratory.takeFlights()[0]
    #expect(late[4..<8] != early[0][4..<8])
    let accepted = laboratory.deliver(late, to: 0)
    #expect(accepted == .packet(PeerID(2), offset: 16, count: 64))
  }

  @Test("A responder without any session waits for the confirmation, then sends what was staged")
  func responderStages() {
    let laboratory = Laboratory()
    laboratory.send(packet(1), from: 0)
    laboratory.deliver(laboratory.takeFlights()[0], to: 1)
    let response = laboratory.takeFlights()[0]
    laboratory.send(packet(2), from: 1)
    #expect(laboratory.takeFlights().isEmpty)
    laboratory.deliver(response, to: 0)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[0].delivered == [packet(2)])
    #expect(laboratory.nodes[1].delivered == [packet(1)])
  }

  @Test("When both begin at once, both get through at once")
  func simultaneous() {
    let laboratory = Laboratory()
    laboratory.send(packet(1), from: 0)
    laboratory.send(packet(2), from: 1)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].delivered == [packet(1)])
    #expect(laboratory.nodes[0].delivered == [packet(2)])
    laboratory.send(packet(3), from: 0)
    laboratory.send(packet(4), from: 1)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].delivered == [packet(1), packet(3)])
    #expect(laboratory.nodes[0].delivered == [packet(2), packet(4)])
  }

  @Test(
    "Loss, repetition and reordering lose packets but never repeat or mix them",
    arguments: 1...8
  )
  func hostileWire(seed: UInt64) {
    let laboratory = Laboratory(seed: seed)
    laboratory.lossPercent = 20
    laboratory.duplicatePercent = 20
    laboratory.jitterMilliseconds = 400
    for number in 0..<1500 {
      laboratory.send(packet(number, length: 64 + number % 5 * 16), from: number % 2)
      let pause: UInt64 = laboratory.chance.next() % 700
      laboratory.run(for: .milliseconds(Int64(pause)))
    }
    laboratory.run(for: .seconds(30))
    for index in 0...1 {
      let delivered = laboratory.nodes[index].delivered
      #expect(Set(delivered).count == delivered.count, "seed \(seed)")
      let isIntact = delivered.allSatisfy { got in
        let number = got.prefix(8).reduce(0) { $0 << 8 | Int($1) }
        return got == packet(number, length: 64 + number % 5 * 16) && number % 2 == 1 - index
      }
      #expect(isIntact, "seed \(seed)")
      #expect(delivered.count > 450, "seed \(seed): \(delivered.count)")
    }
  }

  @Test("Datagrams of one train are opened one by one, and a damaged one harms no other")
  func train() {
    let laboratory = Laboratory()
    laboratory.send(packet(0), from: 0)
    laboratory.run(for: .seconds(1))
    let node = laboratory.nodes[0]
    let run = node.tunnel.beginSealing(
      PeerID(2),
      packets: 64,
      at: laboratory.now,
      timestamp: laboratory.wall(0),
      into: &node.effects
    )
    guard let run else {
      Issue.record("there is a session")
      return
    }
    for index in 0..<64 {
      var datagram = Laboratory.seal(packet(index, length: 1264), run, index, node)
      if index == 20 { datagram[700] ^= 1 }
      let received = laboratory.deliver(datagram, to: 1)
      let expected: Received =
        index == 20 ? .dropped(.notAuthentic) : .packet(PeerID(1), offset: 16, count: 1264)
      #expect(received == expected)
    }
    #expect(laboratory.nodes[1].delivered.count == 64)
    #expect(laboratory.nodes[1].counters[.notAuthentic] == 1)
  }

  @Test("At most 128 packets wait; the oldest make room and are counted")
  func staging() {
    let laboratory = Laboratory()
    laboratory.isCut = true
    for number in 0..<200 { laboratory.send(packet(number), from: 0) }
    #expect(laboratory.nodes[0].counters.stagedOverflow == 72)
    laboratory.isCut = false
    laboratory.run(for: .seconds(7))
    #expect(laboratory.nodes[1].delivered == (72..<200).map { packet($0) })
    #expect(laboratory.count(type: 1, from: 0) == 2)
  }

  @Test("A packet for nobody is counted")
  func unknownPeer() {
    let laboratory = Laboratory()
    let node = laboratory.nodes[0]
    node.tunnel.stage(packet(1), for: PeerID(77))
    #expect(node.counters.stagedAbandoned == 1)
    let run = node.tunnel.beginSealing(
      PeerID(77),
      packets: 1,
      at: laboratory.now,
      timestamp: laboratory.wall(0),
      into: &node.effects
    )
    #expect(run == nil && node.effects.isEmpty)
    #expect(node.status(of: PeerID(77)) == nil)
  }
}
