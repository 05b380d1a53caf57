// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import Packets
import Testing

@testable import DataPlaneDriver

@Suite("From shard to shard")
struct HandoverTests {
  private let source = Endpoint(IPAddress(192, 0, 2, 7), port: 4711)
  private let far = Endpoint(IPAddress(high: 0x2001_0DB8 << 32, low: 9), port: 65_535)

  /// A train whose every byte tells its number.
  private func train(_ number: Int, _ count: Int) -> [UInt8] {
    [UInt8](repeating: UInt8(truncatingIfNeeded: number &* 31), count: count)
  }

  private func put(_ bytes: [UInt8], into ring: HandoverRing, _ source: Endpoint) -> Bool {
    var bytes = bytes
    return bytes.withPacketBytes {
      ring.put(.owned, $0, segmentSize: $0.count % 1500, source: source)
    }
  }

  @Test("Trains of any size come out as they went in, in order, however often the ring goes round")
  func wholeAndInOrder() {
    let ring = HandoverRing()
    var (given, taken, bytes) = (0, 0, 0)
    var generator = SystemRandomNumberGenerator()
    while bytes < 20 * HandoverRing.capacity {
      let sizes = (0..<8).map { _ in Int.random(in: 1...65_535, using: &generator) }
      var sent: [[UInt8]] = []
      for size in sizes {
        let one = train(given, size)
        guard put(one, into: ring, given % 2 == 0 ? source : far) else { break }
        sent.append(one)
        given += 1
        bytes += size
      }
      #expect(!sent.isEmpty)
      for one in sent {
        guard let entry = ring.next() else {
          Issue.record("a train is missing")
          return
        }
        #expect(entry.bytes.array == one && entry.kind == .owned)
        #expect(entry.segmentSize == one.count % 1500)
        #expect(entry.source == (taken % 2 == 0 ? source : far))
        ring.release()
        taken += 1
      }
      #expect(ring.next() == nil)
    }
  }

  @Test("A full ring takes nothing more, and loses nothing of what it has")
  func full() {
    let ring = HandoverRing()
    var count = 0
    while put(train(count, 60_000), into: ring, source) { count += 1 }
    #expect(count == HandoverRing.capacity / 60_032)
    for number in 0..<count {
      #expect(ring.next()?.bytes.array == train(number, 60_000))
      ring.release()
    }
    #expect(ring.next() == nil)
    #expect(put([1], into: ring, source))
  }

  @Test("Between two threads nothing is lost, torn or out of order")
  func twoThreads() throws {
    let ring = HandoverRing()
    let (total, source) = (20_000, source)
    let giver = try DataThread(name: "giver") {
      for number in 0..<total {
        var bytes = [UInt8](
          repeating: UInt8(truncatingIfNeeded: number),
          count: 1 + number % 3000
        )
        while !bytes.withPacketBytes({ ring.put(.outbound, $0, source: source) }) {}
      }
    }
    var number = 0
    while number < total {
      guard let entry = ring.next() else { continue }
      let bytes = entry.bytes.array
      let isWhole =
        bytes.count == 1 + number % 3000
        && bytes.allSatisfy { $0 == UInt8(truncatingIfNeeded: number) }
      if !isWhole { Issue.record("train \(number) is torn") }
      ring.release()
      number += 1
    }
    giver.join()
    #expect(ring.next() == nil)
  }
}
