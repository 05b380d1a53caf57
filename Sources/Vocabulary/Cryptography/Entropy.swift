// SPDX-License-Identifier: Apache-2.0

import CNIOBoringSSL

/// Where random bytes come from: the operating system, or a seed that makes a run repeatable.
public struct Entropy: RandomNumberGenerator, Sendable {
  private enum Source: Sendable {
    case system
    case seeded(UInt64)
  }

  private var source: Source

  /// The operating system's generator, fit for keys.
  public static let system = Entropy(source: .system)

  /// A repeatable generator for tests and simulations; never for keys that matter.
  public init(seed: UInt64) { self.init(source: .seeded(seed)) }

  private init(source: Source) { self.source = source }

  /// Sixty-four random bits.
  public mutating func next() -> UInt64 {
    switch source {
    case .system:
      var generator = SystemRandomNumberGenerator()
      return generator.next()
    case .seeded(let state):
      // SplitMix64 (Steele, Lea, Flood 2014): every seed gives a full period.
      let advanced = state &+ 0x9E37_79B9_7F4A_7C15
      source = .seeded(advanced)
      var mixed = advanced
      mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
      mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
      return mixed ^ (mixed >> 31)
    }
  }

  /// `count` random bytes.
  public mutating func bytes(_ count: Int) -> [UInt8] {
    if case .system = source { return Self.systemBytes(count) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(count + 7)
    while bytes.count < count {
      var word = next()
      for _ in 0..<8 {
        bytes.append(UInt8(truncatingIfNeeded: word))
        word >>= 8
      }
    }
    bytes.removeLast(bytes.count - count)
    return bytes
  }

  /// Thirty-two random bytes: those that `bytes(32)` would give.
  public mutating func bytes32() -> Bytes32 {
    var bytes = Bytes32()
    if case .system = source {
      // SAFETY: the buffer has 32 bytes.
      let status = unsafe bytes.withMutablePointer { unsafe RAND_bytes($0, 32) }
      precondition(status == 1, "BoringSSL ends the process rather than fail to give random bytes")
    } else {
      bytes.words = (
        next().littleEndian, next().littleEndian, next().littleEndian, next().littleEndian
      )
    }
    return bytes
  }

  /// From BoringSSL's generator, which asks the system now and then only: a call of the kernel for each
  /// word would cost a handshake as much as its hashes.
  private static func systemBytes(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    // SAFETY: the buffer has `count` bytes.
    let status = unsafe RAND_bytes(&bytes, count)
    precondition(status == 1, "BoringSSL ends the process rather than fail to give random bytes")
    return bytes
  }
}
