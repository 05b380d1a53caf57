// SPDX-License-Identifier: Apache-2.0

import Cryptography
import HostIO
import Timing

/// How long one backend takes for a packet of one size in trains of one length.
struct CryptoSpeed: Hashable {
  /// The packet sizes that are measured: the smallest that matters, and one that fills a datagram.
  static let sizes = [64, 1420]
  /// One packet alone, and a train as segmentation offload makes them.
  static let trainLengths = [1, 32]
  /// How long one figure is measured, several times over; the best of them counts.
  private static let slice = Duration.milliseconds(15)
  private static let repetitions = 5

  var backend: PacketBackend.Name
  var size: Int
  var trainLength: Int
  /// Nanoseconds to seal a packet.
  var sealing: Double
  /// Nanoseconds to open one.
  var opening: Double

  /// What sealing comes to, in gigabits of packets a second.
  var gigabits: Double { Double(size * 8) / sealing }

  /// All figures of a backend.
  static func measure(_ backend: PacketBackend) -> [CryptoSpeed] {
    sizes.flatMap { size in trainLengths.map { measure(backend, size: size, trainLength: $0) } }
  }

  private static func measure(
    _ backend: PacketBackend,
    size: Int,
    trainLength: Int
  ) -> CryptoSpeed {
    var engine = PacketEngine(backend)
    let cipher = PacketCipher(key: [UInt8](repeating: 7, count: 32))
    let stride = (size + PacketCipher.tagCount + 63) & ~63
    // SAFETY: every packet and its tag lie in the allocation, which outlives both trains.
    let memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: stride * trainLength,
      alignment: 64
    )
    defer { unsafe memory.deallocate() }
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0x5A)
    var plain = PacketTrain()
    var sealed = PacketTrain()
    for index in 0..<trainLength {
      guard let base = memory.baseAddress else { continue }
      let packet = unsafe base + index * stride
      let counter = UInt64(index)
      unsafe plain.append(packet, count: size, counter: counter)
      unsafe sealed.append(packet, count: size + PacketCipher.tagCount, counter: counter)
    }
    let sealing = best(trainLength) { engine.seal(plain, with: cipher) }
    // A packet opens once: what is opened next is the noise of the last time, which costs the same.
    let opening = best(trainLength) { engine.open(&sealed, with: cipher) }
    return CryptoSpeed(
      backend: backend.name,
      size: size,
      trainLength: trainLength,
      sealing: sealing,
      opening: opening
    )
  }

  /// Nanoseconds for each of `count` packets, in the best of some runs.
  private static func best(_ count: Int, _ body: () -> Void) -> Double {
    var best = Double.infinity
    for _ in 0..<repetitions {
      let start = MonotonicClock.now()
      var rounds = 0
      var passed = Duration.zero
      repeat {
        for _ in 0..<64 { body() }
        rounds += 64
        passed = MonotonicClock.now() - start
      } while passed < slice
      best = min(best, Double(passed.wholeNanoseconds) / Double(rounds * count))
    }
    return best
  }
}
