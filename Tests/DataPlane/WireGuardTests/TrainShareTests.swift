// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Foundation
import Keys
import Synchronization
import Testing
import Timing

@testable import WireGuard

/// More helpers than this machine may have cores: what is shown is that they do no harm.
@Suite("Trains shared with helpers")
struct TrainShareTests {
  /// Threads that help until the crowd is dismissed.
  private final class Crowd: Sendable {
    let share: TrainShare
    let calls: Calls
    private let isOver = Over()

    final class Over: Sendable { let value = Atomic(false) }
    final class Calls: Sendable { let count = Atomic(0) }

    init(_ count: Int, backend: PacketBackend) {
      let calls = Calls()
      let share = TrainShare(
        call: { calls.count.wrappingAdd(1, ordering: .relaxed) },
        rest: { sched_yield() }
      )
      (self.share, self.calls) = (share, calls)
      for _ in 0..<count {
        Thread.detachNewThread { [isOver] in
          var engine = PacketEngine(backend)
          var train = PacketTrain()
          while !isOver.value.load(ordering: .relaxed) {
            if !share.help(with: &engine, &train) { sched_yield() }
          }
        }
      }
    }

    deinit { isOver.value.store(true, ordering: .relaxed) }
  }

  private static func connected(_ backend: PacketBackend) -> Laboratory {
    let laboratory = Laboratory(seed: 1, backend: backend)
    laboratory.send(packet(0), from: 0)
    laboratory.run(for: .seconds(1))
    laboratory.send(packet(1), from: 1)
    laboratory.run(for: .seconds(1))
    return laboratory
  }

  private static func begin(_ count: Int, _ laboratory: Laboratory) -> SealingRun? {
    let node = laboratory.nodes[0]
    return node.tunnel.beginSealing(
      laboratory.peer(of: 0),
      packets: count,
      at: laboratory.now,
      timestamp: laboratory.wall(0),
      into: &node.effects
    )
  }

  /// A train before it is sealed: room, plaintext and room for each packet.
  private static func plain(_ count: Int, _ size: Int, last: Int) -> [UInt8] {
    (0..<count).flatMap { index in
      let length = index == count - 1 ? last : size
      let plaintext = (0..<length).map { UInt8(truncatingIfNeeded: $0 * 7 + index) }
      return [UInt8](repeating: 0, count: 16) + plaintext + [UInt8](repeating: 0, count: 16)
    }
  }

  @Test(
    "A train is sealed and opened as by one thread, whoever takes which part",
    .timeLimit(.minutes(5))
  )
  func alike() throws {
    for backend in usableBackends {
      let laboratory = Self.connected(backend)
      let crowd = Crowd(3, backend: backend)
      var engine = PacketEngine(backend)
      var train = PacketTrain()
      var random = Entropy(seed: 9)
      var rounds = 0
      // Until helpers took part a few times, which depends on when the system lets them run.
      while rounds < 100 || (crowd.share.partsHelped < 20 && rounds < 20_000) {
        rounds += 1
        let count = Int.random(in: 1...128, using: &random)
        let size = 16 * Int.random(in: 1...80, using: &random)
        let last = 16 * Int.random(in: 0...size / 16, using: &random)
        let run = try #require(Self.begin(count, laboratory))
        var alone = Self.plain(count, size, last: last)
        var shared = alone
        unsafe alone.withUnsafeMutableBytes { bytes in
          guard let base = bytes.baseAddress else { return }
          unsafe run.seal(
            0..<count,
            at: base,
            plaintextCount: size,
            lastPlaintextCount: last,
            with: &engine,
            &train
          )
        }
        unsafe shared.withUnsafeMutableBytes { bytes in
          guard let base = bytes.baseAddress else { return }
          unsafe crowd.share.seal(
            run,
            0..<count,
            at: base,
            plaintextCount: size,
            lastPlaintextCount: last,
            with: &engine,
            &train
          )
        }
        guard alone == shared else {
          Issue.record("\(count) packets of \(size) are sealed to other bytes")
          return
        }
        guard count <= OpeningRun.maximumCount else { continue }
        // Some are forged: they spoil no neighbour.
        for _ in 0..<Int.random(in: 0...3, using: &random) {
          shared[
            Int.random(in: 16..<shared.count, using: &random) / (size + 32) * (size + 32) + 16
          ] ^= 1
        }
        alone = shared
        let found = try #require(
          open(&alone, size + 32, laboratory) { $0.open(with: &engine, &train) }
        )
        let together = try #require(
          open(&shared, size + 32, laboratory) { crowd.share.open(&$0, with: &engine, &train) }
        )
        guard found == together, alone == shared else {
          Issue.record("\(count) packets of \(size) open to something else")
          return
        }
      }
      #expect(crowd.share.partsHelped >= 20)
      // Nobody said that turns began, so that every train but the first called for helpers.
      #expect(crowd.calls.count.load(ordering: .relaxed) > 0)
    }
  }

  /// Which packets of a train are authentic, by whatever opens it.
  private func open(
    _ bytes: inout [UInt8],
    _ size: Int,
    _ laboratory: Laboratory,
    _ body: (inout OpeningRun) -> Void
  ) -> UInt64? {
    let node = laboratory.nodes[1]
    let receiver = bytes[4..<8].reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
    return unsafe bytes.withUnsafeMutableBytes { buffer in
      let begun = unsafe node.tunnel.beginOpening(
        buffer,
        segmentSize: size,
        count: (buffer.count + size - 1) / size,
        from: receiver,
        at: laboratory.now
      )
      guard var run = begun else { return nil }
      body(&run)
      return run.authentic
    }
  }

  @Test("A tunnel with helpers takes long trains at once, in order, and accepts no counter twice")
  func tunnel() throws {
    let laboratory = Self.connected(.boringSSL)
    let crowd = Crowd(3, backend: .boringSSL)
    let node = laboratory.nodes[1]
    for one in laboratory.nodes { one.tunnel.use(crowd.share) }
    let (count, size) = (OpeningRun.maximumCount, 1200)
    for _ in 0..<50 {
      let run = try #require(Self.begin(count, laboratory))
      var bytes = Self.plain(count, size, last: size)
      unsafe bytes.withUnsafeMutableBytes { buffer in
        guard let base = buffer.baseAddress else { return }
        unsafe laboratory.nodes[0].tunnel.seal(
          run,
          0..<count,
          at: base,
          plaintextCount: size,
          lastPlaintextCount: size
        )
      }
      let good = Received.packet(PeerID(1), offset: 16, count: size)
      for expected in [good, .dropped(.replayed)] {
        var copy = bytes
        var results: [Received] = []
        let taken = unsafe copy.withUnsafeMutableBytes { buffer in
          unsafe node.tunnel.receive(
            train: buffer,
            segmentSize: size + 32,
            at: laboratory.now,
            timestamp: laboratory.wall(1),
            into: &node.effects,
            results: &results
          )
        }
        #expect(taken == count)
        #expect(results == .init(repeating: expected, count: count))
      }
    }
  }

  @Test("Helpers are called while trains keep coming, and no more after idle turns")
  func calls() throws {
    let laboratory = Self.connected(.boringSSL)
    let crowd = Crowd(0, backend: .boringSSL)
    let share = crowd.share
    var engine = PacketEngine(.boringSSL)
    var train = PacketTrain()
    func turn(trains: Int) throws -> Int {
      let before = crowd.calls.count.load(ordering: .relaxed)
      share.beginTurn()
      for _ in 0..<trains {
        let run = try #require(Self.begin(32, laboratory))
        var bytes = Self.plain(32, 1200, last: 1200)
        unsafe bytes.withUnsafeMutableBytes { buffer in
          guard let base = buffer.baseAddress else { return }
          unsafe share.seal(
            run,
            0..<32,
            at: base,
            plaintextCount: 1200,
            lastPlaintextCount: 1200,
            with: &engine,
            &train
          )
        }
      }
      return crowd.calls.count.load(ordering: .relaxed) - before
    }
    #expect(try turn(trains: 1) == 0)
    #expect(try turn(trains: 2) == 2)
    for _ in 0..<20 { #expect(try turn(trains: 0) == 0) }
    #expect(try turn(trains: 1) == 0)
    // A train in every third turn is no heavy flow.
    for number in 1...30 { #expect(try turn(trains: number % 3 == 0 ? 1 : 0) == 0) }
    #expect(share.partsHelped == 0 && !share.hasWork)
  }
}
