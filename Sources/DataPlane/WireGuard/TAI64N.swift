// SPDX-License-Identifier: Apache-2.0

import Bytes
import Timing

/// A moment as handshake initiations carry it, which a peer accepts once only.
///
/// | Bytes | Field |
/// |---|---|
/// | 8 | seconds, big-endian, 2⁶² + 10 at the Unix epoch |
/// | 4 | nanoseconds, big-endian, the low 24 bits cleared so as not to be a clock for attackers |
///
/// - Source: TAI64N; `Documentation/Protocols/wireguard.md`, handshake.
struct TAI64N: Hashable, Sendable, Comparable {
  static let length = 12
  private static let epoch: UInt64 = 0x4000_0000_0000_000A
  private static let step: UInt32 = 1 << 24

  private let seconds: UInt64
  private let nanoseconds: UInt32

  private init(seconds: UInt64, nanoseconds: UInt32) {
    (self.seconds, self.nanoseconds) = (seconds, nanoseconds)
  }

  init(_ time: Timestamp) {
    self.init(
      seconds: UInt64(bitPattern: time.seconds) &+ Self.epoch,
      nanoseconds: UInt32(time.nanoseconds) & ~(Self.step - 1)
    )
  }

  init?(bytes: [UInt8]) {
    guard bytes.count == Self.length else { return nil }
    self.init(loading: bytes.span)
  }

  /// The first twelve bytes of a plaintext that has them.
  init(loading bytes: borrowing Span<UInt8>) {
    var (seconds, nanoseconds) = (UInt64(0), UInt32(0))
    for index in 0..<8 { seconds = seconds << 8 | UInt64(bytes[index]) }
    for index in 8..<12 { nanoseconds = nanoseconds << 8 | UInt32(bytes[index]) }
    self.init(seconds: seconds, nanoseconds: nanoseconds)
  }

  var bytes: [UInt8] {
    var writer = ByteWriter(capacity: Self.length)
    writer.bigEndian(seconds)
    writer.bigEndian(nanoseconds)
    return writer.bytes
  }

  /// The least moment that is later and can be told apart.
  var successor: TAI64N {
    let sum = nanoseconds + Self.step
    return sum < 1_000_000_000
      ? TAI64N(seconds: seconds, nanoseconds: sum) : TAI64N(seconds: seconds &+ 1, nanoseconds: 0)
  }

  static func < (left: TAI64N, right: TAI64N) -> Bool {
    (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
  }
}

/// Gives every initiation a later stamp than the one before, whatever the wall clock does.
struct StampClock: Sendable {
  private var last: TAI64N?

  mutating func stamp(at time: Timestamp) -> TAI64N {
    let told = TAI64N(time)
    let stamp = last.map { max(told, $0.successor) } ?? told
    last = stamp
    return stamp
  }
}
