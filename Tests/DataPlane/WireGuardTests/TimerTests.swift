// SPDX-License-Identifier: Apache-2.0

import Keys
import Testing
import Timing

@testable import WireGuard

@Suite("Timers of a tunnel")
struct TimerTests {
  /// When the datagrams of a type left, in seconds since `start`.
  private func times(_ laboratory: Laboratory, type: UInt8, from index: Int) -> [Double] {
    laboratory.sent.filter { $0.from == index && $0.bytes[0] == type }
      .map { ($0.at - Instant(nanoseconds: 1_000_000_000)).inSeconds }
  }

  private func connected(seed: UInt64 = 1) -> Laboratory {
    let laboratory = Laboratory(seed: seed)
    laboratory.send(packet(0), from: 0)
    laboratory.run(for: .seconds(1))
    return laboratory
  }

  @Test("An unanswered initiation is sent 20 times, 5 to 5.333 seconds apart, then given up")
  func retransmission() {
    let laboratory = Laboratory()
    laboratory.isCut = true
    laboratory.send(packet(1), from: 0)
    laboratory.run(for: .seconds(600))
    let times = times(laboratory, type: 1, from: 0)
    #expect(times.count == 20)
    let gaps = zip(times.dropFirst(), times).map { $0 - $1 }
    #expect(gaps.allSatisfy { (5...5.334).contains($0) })
    #expect(Set(gaps).count > 10)
    #expect(laboratory.nodes[0].counters.stagedAbandoned == 1)
    laboratory.run(for: .seconds(600))
    #expect(laboratory.nodes[0].nextTimeout == nil)
    #expect(laboratory.nodes[0].indexCount == 0)
  }

  @Test("However many packets ask for it, an initiation goes out once in 5 seconds")
  func pacing() {
    let laboratory = Laboratory()
    laboratory.isCut = true
    for number in 0..<490 {
      laboratory.send(packet(number), from: 0)
      laboratory.run(for: .milliseconds(10))
    }
    #expect(laboratory.count(type: 1, from: 0) == 1)
    laboratory.run(for: .milliseconds(500))
    #expect(laboratory.count(type: 1, from: 0) == 2)
  }

  @Test("Constant demand keeps a handshake alive past 90 seconds")
  func demand() {
    let laboratory = Laboratory()
    laboratory.isCut = true
    for number in 0..<200 {
      laboratory.send(packet(number), from: 0)
      laboratory.run(for: .seconds(1))
    }
    #expect(laboratory.count(type: 1, from: 0) > 30)
  }

  @Test("An initiation held back because we just answered one goes out when the 5 seconds are over")
  func heldBack() {
    let laboratory = Laboratory()
    laboratory.send(packet(1), from: 0)
    laboratory.deliver(laboratory.takeFlights()[0], to: 1)
    _ = laboratory.takeFlights()
    laboratory.nodes[0].tunnel.removePeer(PeerID(2))
    laboratory.send(packet(2), from: 1)
    #expect(laboratory.count(type: 1, from: 1) == 0)
    laboratory.run(for: .seconds(6))
    #expect(laboratory.count(type: 1, from: 1) == 1)
  }

  @Test("The initiator renews the session when it sends after 120 seconds; the responder does not")
  func rekey() {
    let laboratory = connected()
    for _ in 0..<118 {
      laboratory.send(packet(1), from: 0)
      laboratory.send(packet(2), from: 1)
      laboratory.run(for: .seconds(1))
    }
    #expect(laboratory.count(type: 1, from: 0) == 1)
    laboratory.run(for: .seconds(2))
    laboratory.send(packet(3), from: 1)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.count(type: 1, from: 1) == 0)
    laboratory.send(packet(4), from: 0)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.count(type: 1, from: 0) == 2)
    let before = laboratory.nodes[0].delivered.count
    laboratory.send(packet(5), from: 1)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[0].delivered.count == before + 1)
  }

  @Test("The initiator renews a session that it only receives on after 165 seconds, once")
  func rekeyWhenReceiving() {
    let laboratory = connected()
    var initiations: [Int] = []
    for second in 1..<179 {
      laboratory.run(for: .seconds(1))
      // Each packet gets its passive keepalive later; those are sent, which must not renew either.
      if second > 160 {
        laboratory.isCut = false
        laboratory.send(packet(second), from: 1)
        let flights = laboratory.takeFlights()
        laboratory.isCut = true
        for flight in flights { laboratory.deliver(flight, to: 0) }
      }
      initiations.append(laboratory.count(type: 1, from: 0))
    }
    #expect(initiations[163] == 1)
    #expect(initiations[166] == 2)
  }

  @Test("After 180 seconds nothing is sent or accepted under a session")
  func expiry() {
    let laboratory = connected()
    laboratory.run(for: .seconds(170))
    laboratory.send(packet(1), from: 1)
    let old = laboratory.takeFlights()[0]
    laboratory.run(for: .seconds(10))
    let received = laboratory.deliver(old, to: 0)
    #expect(received == .dropped(.expiredSession))
    laboratory.send(packet(2), from: 1)
    #expect(laboratory.sent.last?.bytes[0] == 1)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[0].delivered == [packet(2)])
  }

  @Test("540 seconds after the last session nothing is left of it")
  func forgetting() {
    let laboratory = connected()
    laboratory.run(for: .seconds(530))
    #expect(laboratory.nodes[0].indexCount == 1)
    laboratory.run(for: .seconds(20))
    for node in laboratory.nodes {
      #expect(node.indexCount == 0)
      #expect(node.nextTimeout == nil)
    }
  }

  @Test("Data that is not answered within 10 seconds is answered with one keepalive")
  func passiveKeepalive() {
    let laboratory = connected()
    laboratory.run(for: .seconds(8.5))
    #expect(laboratory.sent.count == 3)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.sent.count == 4)
    #expect(laboratory.sent.last?.from == 1 && laboratory.sent.last?.bytes.count == 32)
  }

  @Test("Keepalives are not answered, and an idle tunnel is silent")
  func silence() {
    let laboratory = connected()
    laboratory.run(for: .seconds(30))
    let count = laboratory.sent.count
    #expect(count == 4)
    laboratory.run(for: .seconds(7200))
    #expect(laboratory.sent.count == count)
  }

  @Test("Data that came in while a keepalive was owed gets another keepalive")
  func anotherKeepalive() {
    let laboratory = connected()
    laboratory.send(packet(1), from: 0)
    laboratory.run(for: .seconds(60))
    #expect(times(laboratory, type: 4, from: 1).count == 2)
  }

  @Test("What answers in time makes a keepalive needless")
  func answered() {
    let laboratory = connected()
    laboratory.run(for: .seconds(5))
    laboratory.send(packet(1), from: 1)
    laboratory.run(for: .seconds(7))
    #expect(laboratory.count(type: 4, from: 1) == 1)
  }

  @Test("Data that nobody answers for 15 to 15.333 seconds begins a new handshake")
  func newHandshake() {
    let laboratory = connected()
    laboratory.send(packet(1), from: 1)
    laboratory.run(for: .seconds(1))
    laboratory.isCut = true
    laboratory.send(packet(2), from: 0)
    laboratory.run(for: .seconds(14.9))
    #expect(laboratory.count(type: 1, from: 0) == 1)
    laboratory.run(for: .milliseconds(500))
    #expect(laboratory.count(type: 1, from: 0) == 2)
  }

  @Test("A persistent keepalive opens the session, keeps it and renews it; its end is the end")
  func persistentKeepalive() {
    let laboratory = Laboratory { configuration, index in
      if index == 0 { configuration.persistentKeepalive = .seconds(25) }
    }
    laboratory.run(for: .seconds(1000))
    let keepalives = times(laboratory, type: 4, from: 0)
    #expect((35...50).contains(keepalives.count))
    let gaps = zip(keepalives.dropFirst(), keepalives).map { $0 - $1 }
    #expect(gaps.allSatisfy { $0 < 25.1 })
    #expect((6...9).contains(laboratory.count(type: 1, from: 0)))
    let node = laboratory.nodes[0]
    node.tunnel.setPeer(
      PeerID(2),
      PeerConfiguration(
        publicKey: laboratory.nodes[1].key.publicKey,
        allowedIPs: [Laboratory.prefix(1)]
      ),
      at: laboratory.now,
      into: &node.effects
    )
    laboratory.run(for: .seconds(30))
    let count = laboratory.sent.count
    laboratory.run(for: .seconds(3600))
    #expect(laboratory.sent.count == count)
  }

  @Test("Two nodes do not renew and retry in step: jitter differs")
  func jitter() {
    var firstGaps: Set<Double> = []
    for seed in UInt64(1)...10 {
      let laboratory = Laboratory(seed: seed)
      laboratory.isCut = true
      laboratory.send(packet(1), from: 0)
      laboratory.run(for: .seconds(6))
      firstGaps.insert(times(laboratory, type: 1, from: 0)[1])
    }
    #expect(firstGaps.count == 10)
  }

  @Test("A monotonic clock that jumps, either way, stops nothing for good and traps nothing")
  func brokenClock() {
    let laboratory = connected()
    laboratory.now = Instant(nanoseconds: 0)
    laboratory.send(packet(1), from: 0)
    laboratory.send(packet(2), from: 1)
    laboratory.run(for: .seconds(1))
    laboratory.now = Instant(nanoseconds: .max - 1)
    for index in 0...1 { laboratory.handleTimeouts(index) }
    laboratory.now = Instant(nanoseconds: 3_000_000_000_000)
    laboratory.send(packet(3), from: 0)
    laboratory.run(for: .seconds(20))
    laboratory.send(packet(4), from: 0)
    laboratory.run(for: .seconds(1))
    #expect(laboratory.nodes[1].delivered.last == packet(4))
  }
}
