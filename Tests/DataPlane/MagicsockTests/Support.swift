// SPDX-License-Identifier: Apache-2.0

import Bytes
import Foundation

/// The repository, found from the place of this file.
let repository = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent()

/// The vector file `Fixtures/Vectors/<name>.json`.
func read<Content: Decodable>(_ name: String) throws -> Content {
  let file = repository.appending(path: "Fixtures/Vectors/\(name).json")
  return try JSONDecoder().decode(Content.self, from: Data(contentsOf: file))
}

/// The inputs under `Fixtures/Corpora/<parser>`, sorted by name: files of base-16 text.
func corpus(_ parser: String) throws -> [[UInt8]] {
  let folder = repository.appending(path: "Fixtures/Corpora/\(parser)")
  return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    .sorted { $0.path < $1.path }
    .map { try bytes(String(contentsOf: $0, encoding: .utf8).filter { !$0.isWhitespace }) }
}

struct NotHex: Error {}

func bytes(_ hex: String) throws -> [UInt8] {
  guard let bytes = Hex.decode(hex) else { throw NotHex() }
  return bytes
}

/// A generator that a seed determines (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = (state ^ state >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}

extension [UInt8] {
  /// One to four random edits: flipped, set, removed, doubled, inserted bytes, or a cut.
  func mutated(using generator: inout SeededGenerator) -> [UInt8] {
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
