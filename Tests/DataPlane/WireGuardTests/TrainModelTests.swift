// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Testing
import Timing

@testable import WireGuard

/// Two laboratories in which the same happens; one receives in trains, the other one by one.
@Suite("Trains against single datagrams")
struct TrainModelTests {
  private static let size = 96 + 32

  /// What an attacker and a network make of the datagrams of one session.
  private static func mangle(_ datagrams: [[UInt8]], _ chance: inout Entropy) -> [[UInt8]] {
    var train: [[UInt8]] = []
    for datagram in datagrams {
      var copy = datagram
      switch chance.next() % 12 {
      case 0: copy[Int(chance.next() % UInt64(copy.count))] ^= UInt8(1 << (chance.next() % 8))
      case 1: train.append(datagram)
      case 2: if let earlier = train.randomElement(using: &chance) { copy = earlier }
      case 3: train.insert(datagram, at: Int(chance.next() % UInt64(train.count + 1)))
      case 4: copy = [1, 0, 0, 0] + chance.bytes(copy.count - 4)
      case 5:
        // Another counter, up to the limit and past the window.
        let far = chance.next() >> (chance.next() % 64)
        for byte in 0..<8 { copy[8 + byte] = UInt8(truncatingIfNeeded: far >> (8 * UInt64(byte))) }
      default: break
      }
      train.append(copy)
    }
    if chance.next() % 2 == 0, let last = train.popLast() {
      train.append(Array(last.prefix(Int(chance.next() % UInt64(last.count + 1)))))
    }
    return train.filter { !$0.isEmpty }
  }

  @Test("Whatever arrives, a train ends as its datagrams would have one by one", arguments: 0..<8)
  func model(_ seed: Int) {
    let backend = usableBackends[seed % usableBackends.count]
    let trains = Laboratory(seed: UInt64(seed), backend: backend)
    let singles = Laboratory(seed: UInt64(seed))
    var chance = Entropy(seed: UInt64(seed) &+ 77)
    for laboratory in [trains, singles] {
      laboratory.send(packet(0), from: 0)
      laboratory.run(for: .seconds(1))
    }
    var record: [[UInt8]] = []
    for round in 0..<120 {
      let count = 1 + Int(chance.next() % 40)
      let jump = chance.next() % 8 == 0 ? 2000 + chance.next() % 8000 : 0
      let sealed = [trains, singles].map { laboratory in
        Self.datagrams(count, skipping: Int(jump), laboratory)
      }
      #expect(sealed[0] == sealed[1])
      record += sealed[0]
      record = Array(record.suffix(200))
      var input = sealed[0]
      if chance.next() % 4 == 0 { input += record.shuffled(using: &chance).prefix(5) }
      let train = Self.mangle(input, &chance)
      let one = trains.deliver(train: train.flatMap { $0 }, segmentSize: Self.size, to: 1)
      let other = train.map { singles.deliver($0, to: 1) }
      #expect(one == other, "round \(round)")
      #expect(trains.nodes[1].delivered == singles.nodes[1].delivered)
      #expect(trains.nodes[1].counters == singles.nodes[1].counters)
      #expect(trains.nodes[1].nextTimeout == singles.nodes[1].nextTimeout)
      #expect(trains.nodes[1].status(of: PeerID(1)) == singles.nodes[1].status(of: PeerID(1)))
      // Long enough now and then for sessions to be renewed, to expire and to be forgotten.
      let pause = Duration.milliseconds(Int64(chance.next() % (round % 10 == 9 ? 190_000 : 3000)))
      for laboratory in [trains, singles] {
        laboratory.send(packet(round), from: round % 2)
        laboratory.run(for: pause)
      }
      #expect(trains.sent.count == singles.sent.count)
    }
    #expect(trains.sent.map(\.bytes) == singles.sent.map(\.bytes))
    #expect(trains.nodes[1].delivered.count > 500)
  }

  private static func datagrams(
    _ count: Int,
    skipping skipped: Int,
    _ laboratory: Laboratory
  ) -> [[UInt8]] {
    let node = laboratory.nodes[0]
    let run = node.tunnel.beginSealing(
      laboratory.peer(of: 0),
      packets: count + skipped,
      at: laboratory.now,
      timestamp: laboratory.wall(0),
      into: &node.effects
    )
    laboratory.settle(0)
    guard let run else { return [] }
    return (skipped..<skipped + count).map {
      Laboratory.seal(packet($0, length: 96), run, $0, node)
    }
  }
}
