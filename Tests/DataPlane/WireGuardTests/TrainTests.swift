// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Testing
import Timing

@testable import WireGuard

@Suite("Trains of datagrams")
struct TrainTests {
  private static let size = 96 + 32

  private static func connected(
    seed: UInt64 = 1,
    backend: PacketBackend = .boringSSL
  ) -> Laboratory {
    let laboratory = Laboratory(seed: seed, backend: backend)
    laboratory.send(packet(0), from: 0)
    laboratory.run(for: .seconds(1))
    laboratory.send(packet(1), from: 1)
    laboratory.run(for: .seconds(1))
    return laboratory
  }

  /// Datagrams of one size from the first node to the second, not put on the wire.
  private static func datagrams(_ count: Int, _ laboratory: Laboratory) -> [[UInt8]] {
    let node = laboratory.nodes[0]
    let run = node.tunnel.beginSealing(
      laboratory.peer(of: 0),
      packets: count,
      at: laboratory.now,
      timestamp: laboratory.wall(0),
      into: &node.effects
    )
    guard let run else { return [] }
    return (0..<count).map { Laboratory.seal(packet($0, length: 96), run, $0, node) }
  }

  @Test("A train is sealed to the bytes of its packets sealed one by one, by every backend")
  func sealing() throws {
    for backend in usableBackends {
      for (count, last) in [(1, 96), (2, 16), (15, 96), (16, 80), (17, 96), (45, 32), (129, 0)] {
        let laboratory = Self.connected(backend: backend)
        let node = laboratory.nodes[0]
        let begun = node.tunnel.beginSealing(
          laboratory.peer(of: 0),
          packets: count,
          at: laboratory.now,
          timestamp: laboratory.wall(0),
          into: &node.effects
        )
        let run = try #require(begun)
        var train: [UInt8] = []
        var single: [[UInt8]] = []
        for index in 0..<count {
          let plaintext = packet(index, length: 96).prefix(index == count - 1 ? last : 96)
          single.append(
            run.header(index).datagram(sealing: Array(plaintext), with: run.keys.sending)
          )
          train += [UInt8](repeating: 0xCC, count: 16) + plaintext
          train += [UInt8](repeating: 0xDD, count: 16)
        }
        unsafe train.withUnsafeMutableBytes { buffer in
          guard let base = buffer.baseAddress else { return }
          unsafe node.tunnel.seal(
            run,
            0..<count,
            at: base,
            plaintextCount: 96,
            lastPlaintextCount: last
          )
        }
        #expect(train == single.flatMap { $0 })
      }
    }
  }

  @Test("One bad datagram in a train, wherever it is, spoils no neighbour and changes no order")
  func badNeighbours() {
    for backend in usableBackends {
      for bad in 0..<20 {
        let laboratory = Self.connected(backend: backend)
        var datagrams = Self.datagrams(20, laboratory)
        datagrams[bad][40] ^= 1
        let results = laboratory.deliver(
          train: datagrams.flatMap { $0 },
          segmentSize: Self.size,
          to: 1
        )
        let expected = (0..<20).map { index in
          index == bad ? Received.dropped(.notAuthentic) : .packet(PeerID(1), offset: 16, count: 96)
        }
        #expect(results == expected)
        let delivered = laboratory.nodes[1].delivered.suffix(19)
        #expect(Array(delivered) == (0..<20).filter { $0 != bad }.map { packet($0, length: 96) })
      }
    }
  }

  @Test("Within one train a counter is accepted once, and a forger cannot use it up")
  func replaysWithin() {
    for backend in usableBackends {
      let laboratory = Self.connected(backend: backend)
      let datagrams = Self.datagrams(3, laboratory)
      var forged = datagrams[1]
      forged[50] ^= 8
      let train = [
        datagrams[0], forged, datagrams[1], datagrams[1], datagrams[0], forged, datagrams[2],
      ]
      let results = laboratory.deliver(
        train: train.flatMap { $0 },
        segmentSize: Self.size,
        to: 1
      )
      let good = Received.packet(PeerID(1), offset: 16, count: 96)
      #expect(
        results == [
          good, .dropped(.notAuthentic), good, .dropped(.replayed), .dropped(.replayed),
          .dropped(.replayed), good,
        ]
      )
    }
  }

  @Test("A counter that a train itself makes too old is refused, one at the window's edge is not")
  func windowWithin() {
    let laboratory = Self.connected()
    let node = laboratory.nodes[0]
    func datagram(_ counter: UInt64) -> [UInt8] {
      node.tunnel.peers.slots[0].withSessions { sessions in
        sessions.withCurrent { $0?.setSendCounter(counter) }
      }
      return Self.datagrams(1, laboratory)[0]
    }
    let top = 100 + ReplayWindow.size
    let train = [datagram(99), datagram(top), datagram(100), datagram(98), datagram(101)]
    let results = laboratory.deliver(train: train.flatMap { $0 }, segmentSize: Self.size, to: 1)
    let good = Received.packet(PeerID(1), offset: 16, count: 96)
    #expect(results == [good, good, good, .dropped(.replayed), good])
  }

  @Test("Counters at the limit are refused inside a train as they are alone")
  func exhaustion() {
    let laboratory = Self.connected()
    let datagrams = Self.datagrams(4, laboratory)
    var train = datagrams
    for (index, counter) in [
      ProtocolConstants.rejectAfterMessages, UInt64.max,
    ].enumerated() {
      for byte in 0..<8 {
        train[1 + index][8 + byte] = UInt8(truncatingIfNeeded: counter >> (8 * UInt64(byte)))
      }
    }
    let results = laboratory.deliver(train: train.flatMap { $0 }, segmentSize: Self.size, to: 1)
    let good = Received.packet(PeerID(1), offset: 16, count: 96)
    #expect(
      results == [good, .dropped(.exhaustedCounter), .dropped(.exhaustedCounter), good]
    )
  }

  @Test("A train that changes the session half-way is taken to its end, wrong indices are counted")
  func wrongReceivers() {
    let laboratory = Self.connected()
    var datagrams = Self.datagrams(6, laboratory)
    for index in [1, 2, 4] { datagrams[index][4] ^= 0xFF }
    let before = laboratory.nodes[1].counters[.unknownReceiver]
    let results = laboratory.deliver(train: datagrams.flatMap { $0 }, segmentSize: Self.size, to: 1)
    let good = Received.packet(PeerID(1), offset: 16, count: 96)
    let bad = Received.dropped(.unknownReceiver)
    #expect(results == [good, bad, bad, good, bad, good])
    let after = laboratory.nodes[1].counters[.unknownReceiver]
    #expect(after == before + 3)
  }

  @Test("A train cut short at any byte loses what was cut, and nothing else")
  func truncation() {
    let laboratory = Self.connected()
    for end in 0...(3 * Self.size) {
      let whole = Self.datagrams(3, laboratory).flatMap { $0 }
      let results = laboratory.deliver(
        train: Array(whole.prefix(end)),
        segmentSize: Self.size,
        to: 1
      )
      let full = end / Self.size
      let good = [Received](repeating: .packet(PeerID(1), offset: 16, count: 96), count: full)
      #expect(Array(results.prefix(full)) == good)
      #expect(results.count == (end + Self.size - 1) / Self.size)
      for rest in results.dropFirst(full) {
        guard case .dropped = rest else {
          Issue.record("cut at \(end): \(rest)")
          continue
        }
      }
    }
  }

  @Test("The first packets under a new session confirm it though they come as one train")
  func confirmation() {
    let laboratory = Laboratory()
    laboratory.isCut = true
    laboratory.send(packet(1), from: 0)
    laboratory.deliver(laboratory.sent[0].bytes, to: 1)
    laboratory.deliver(laboratory.sent[1].bytes, to: 0)
    laboratory.nodes[1].tunnel.stage(packet(9), for: PeerID(1))
    let datagrams = Self.datagrams(5, laboratory)
    let results = laboratory.deliver(train: datagrams.flatMap { $0 }, segmentSize: Self.size, to: 1)
    #expect(results == .init(repeating: .packet(PeerID(1), offset: 16, count: 96), count: 5))
    let handshake = laboratory.nodes[1].status(of: PeerID(1))?.lastHandshake
    #expect(handshake != nil)
    #expect(laboratory.sent.last?.from == 1)
  }

  @Test("A run that is opened elsewhere ends well when its session is gone meanwhile")
  func vanishedSession() throws {
    let laboratory = Self.connected()
    var bytes = Self.datagrams(4, laboratory).flatMap { $0 }
    let node = laboratory.nodes[1]
    let receiver = bytes[4..<8].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    var results: [Received] = []
    unsafe bytes.withUnsafeMutableBytes { buffer in
      let begun = unsafe node.tunnel.beginOpening(
        buffer,
        segmentSize: Self.size,
        count: 4,
        from: receiver,
        at: laboratory.now
      )
      guard var run = begun else { return }
      var engine = PacketEngine(.boringSSL)
      var train = PacketTrain()
      run.open(with: &engine, &train)
      node.tunnel.resetSession(PeerID(1))
      node.tunnel.finishOpening(
        run,
        at: laboratory.now,
        timestamp: laboratory.wall(1),
        into: &node.effects,
        results: &results
      )
    }
    #expect(results == .init(repeating: .dropped(.unknownReceiver), count: 4))
  }

  @Test(
    "Two runs of one session that were begun before either was finished accept no counter twice"
  )
  func overlappingRuns() {
    let laboratory = Self.connected()
    let bytes = Self.datagrams(4, laboratory).flatMap { $0 }
    let node = laboratory.nodes[1]
    let receiver = bytes[4..<8].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    var (one, other) = (bytes, bytes)
    var results: [Received] = []
    unsafe one.withUnsafeMutableBytes { first in
      unsafe other.withUnsafeMutableBytes { second in
        var runs: [OpeningRun] = []
        func begin(_ buffer: UnsafeMutableRawBufferPointer) {
          let begun = unsafe node.tunnel.beginOpening(
            buffer,
            segmentSize: Self.size,
            count: 4,
            from: receiver,
            at: laboratory.now
          )
          if let begun { runs.append(begun) }
        }
        unsafe begin(first)
        unsafe begin(second)
        var engine = PacketEngine(.boringSSL)
        var train = PacketTrain()
        for index in runs.indices { runs[index].open(with: &engine, &train) }
        for run in runs {
          node.tunnel.finishOpening(
            run,
            at: laboratory.now,
            timestamp: laboratory.wall(1),
            into: &node.effects,
            results: &results
          )
        }
      }
    }
    let good = Received.packet(PeerID(1), offset: 16, count: 96)
    #expect(
      results == .init(repeating: good, count: 4) + .init(repeating: .dropped(.replayed), count: 4)
    )
  }
}
