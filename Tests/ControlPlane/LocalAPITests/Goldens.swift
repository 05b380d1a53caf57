// SPDX-License-Identifier: Apache-2.0

import Foundation
import Testing

/// Files under `Fixtures`, which tests compare with.
///
/// `MARTLET_UPDATE_GOLDENS=1` writes what came out instead; the difference is then reviewed.
enum Fixtures {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures")

  static func expect(
    _ text: String,
    equalsGolden name: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let file = folder.appending(path: "Goldens/LocalAPI/" + name)
    if ProcessInfo.processInfo.environment["MARTLET_UPDATE_GOLDENS"] == "1" {
      try Data(text.utf8).write(to: file)
    }
    let golden = try String(contentsOf: file, encoding: .utf8)
    #expect(text == golden, sourceLocation: sourceLocation)
  }

  static func golden(_ name: String) throws -> [UInt8] {
    try Array(Data(contentsOf: folder.appending(path: "Goldens/LocalAPI/" + name)))
  }

  /// Every file of a corpus, in order of names.
  static func corpus(_ name: String) throws -> [[UInt8]] {
    try FileManager.default.contentsOfDirectory(
      at: folder.appending(path: "Corpora/" + name),
      includingPropertiesForKeys: nil
    )
    .sorted { $0.path < $1.path }
    .map { try Array(Data(contentsOf: $0)) }
  }
}

/// A generator whose seed is a run (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var value = state
    value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
    value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
    return value ^ value >> 31
  }
}

/// A copy of `bytes` with a few bytes changed, removed, doubled or cut off.
func mutate(_ bytes: [UInt8], using generator: inout some RandomNumberGenerator) -> [UInt8] {
  var copy = bytes
  for _ in 0..<Int.random(in: 1...4, using: &generator) {
    guard let index = copy.indices.randomElement(using: &generator) else { break }
    switch Int.random(in: 0..<4, using: &generator) {
    case 0: copy[index] = UInt8.random(in: 0...255, using: &generator)
    case 1: copy.remove(at: index)
    case 2: copy.insert(copy[index], at: index)
    default: copy.removeSubrange(index...)
    }
  }
  return copy
}
