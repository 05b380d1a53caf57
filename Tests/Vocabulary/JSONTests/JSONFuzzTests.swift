// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import TestSupport
import Testing

@Suite("JSON under damage")
struct JSONFuzzTests {
  static let fixtures = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures")

  static func corpus() throws -> [[UInt8]] {
    let folders = ["Corpora/JSON", "Samples"].map { fixtures.appending(path: $0) }
    return try folders.flatMap { folder in
      try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
        .filter { $0.pathExtension == "json" }
        .sorted { $0.path < $1.path }.map { Array(try Data(contentsOf: $0)) }
    }
  }

  @Test("What is read and written reads the same")
  func roundTrip() throws {
    for text in try Self.corpus() {
      let value = try JSONValue(parsing: text)
      #expect(try JSONValue(parsing: value.json) == value)
      let indented = value.text(indentation: "  ")
      #expect(try JSONValue(parsing: indented) == value)
    }
  }

  @Test("Every truncation is refused")
  func truncation() throws {
    for text in try Self.corpus() {
      let whole = text.prefix { _ in true }.dropLast(text.last == 0x0A ? 1 : 0)
      for length in 0..<whole.count {
        #expect(throws: JSONError.self) { try JSONValue(parsing: Array(whole.prefix(length))) }
      }
    }
  }

  @Test("Mutated text is read or refused; reading and skipping agree")
  func mutation() throws {
    var generator = SplitMix(state: 0x5EED)
    for text in try Self.corpus() {
      for _ in 0..<1500 {
        let mutated = mutate(text, using: &generator)
        let read = try? JSONValue(parsing: mutated)
        var reader = JSONReader(mutated)
        let isWellFormed = (try? reader.skip()) != nil && (try? reader.end()) != nil
        if read != nil { #expect(isWellFormed) }
        if let read { #expect((try? JSONValue(parsing: read.json))?.json == read.json) }
      }
    }
  }
}

private func mutate(_ text: [UInt8], using generator: inout SplitMix) -> [UInt8] {
  var text = text
  for _ in 0..<Int.random(in: 1...4, using: &generator) where !text.isEmpty {
    let index = Int.random(in: 0..<text.count, using: &generator)
    switch Int.random(in: 0..<4, using: &generator) {
    case 0: text[index] = UInt8.random(in: 0...255, using: &generator)
    case 1: text.remove(at: index)
    case 2:
      text.insert(
        Array("{}[]\",:\\u0-.eE\u{80}".utf8).randomElement(using: &generator) ?? 0,
        at: index
      )
    default: text.removeSubrange(index..<min(text.count, index + 8))
    }
  }
  return text
}
