// SPDX-License-Identifier: Apache-2.0

/// A generator that a seed determines (SplitMix64): the same numbers everywhere.
public struct SeededGenerator: RandomNumberGenerator, Sendable {
  /// The seed, and then where in its sequence the generator is.
  public var state: UInt64

  /// The generator of a seed.
  public init(state: UInt64) { self.state = state }

  /// Sixty-four bits.
  public mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }

  /// Whether something happens that happens once in `count` times.
  public mutating func once(in count: Int) -> Bool { Int.random(in: 0..<count, using: &self) == 0 }

  /// `bytes` with up to three of them altered, removed or added.
  public mutating func damage(_ bytes: [UInt8]) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...3, using: &self) where !bytes.isEmpty {
      let index = Int.random(in: 0..<bytes.count, using: &self)
      switch Int.random(in: 0..<4, using: &self) {
      case 0: bytes[index] = UInt8.random(in: 0...255, using: &self)
      case 1: bytes.remove(at: index)
      case 2: bytes.insert(bytes[Int.random(in: 0..<bytes.count, using: &self)], at: index)
      default: bytes[index] ^= 1 << UInt8.random(in: 0..<8, using: &self)
      }
    }
    return bytes
  }
}

/// The generator by the name of its method.
public typealias SplitMix = SeededGenerator

extension [UInt8] {
  /// One to four random edits: flipped, set, removed, doubled, inserted bytes, or a cut.
  public func mutated(using generator: inout SeededGenerator) -> [UInt8] {
    var copy = self
    for _ in 0..<Int.random(in: 1...4, using: &generator) where !copy.isEmpty {
      let index = Int.random(in: 0..<copy.count, using: &generator)
      let value = UInt8.random(in: 0...255, using: &generator)
      switch Int.random(in: 0..<6, using: &generator) {
      case 0: copy[index] ^= 1 << (value & 7)
      case 1: copy[index] = value
      case 2: copy.remove(at: index)
      case 3: copy.insert(contentsOf: copy[index...].prefix(Int(value)), at: index)
      case 4: copy.insert(value, at: index)
      default: copy.removeSubrange(index...)
      }
    }
    return copy
  }
}
