// SPDX-License-Identifier: Apache-2.0

import Bytes
public import Foundation
public import JSON

/// The repository, found from the place of this file.
public let repository = URL(filePath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// The files under `Fixtures`.
public enum Fixture {
  /// Where they are.
  public static let folder = repository.appending(path: "Fixtures")

  /// What a file holds.
  public static func bytes(_ path: String) throws -> [UInt8] {
    Array(try Data(contentsOf: folder.appending(path: path)))
  }

  /// What a file of JSON says.
  public static func json(_ path: String) throws -> JSONValue {
    try JSONValue(parsing: try bytes(path))
  }
}

/// The vector file `Fixtures/Vectors/<name>.json`.
public func read<Content: Decodable>(_ name: String) throws -> Content {
  try JSONDecoder().decode(Content.self, from: Data(Fixture.bytes("Vectors/\(name).json")))
}

/// The inputs under `Fixtures/Corpora/<parser>`, sorted by name: files of base-16 text.
public func corpus(_ parser: String) throws -> [[UInt8]] {
  let folder = Fixture.folder.appending(path: "Corpora/\(parser)")
  return try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    .sorted { $0.path < $1.path }
    .map { try bytes(String(contentsOf: $0, encoding: .utf8).filter { !$0.isWhitespace }) }
}

/// A text that should be base 16 is not.
public struct NotHex: Error {}

/// The bytes that base-16 text spells.
public func bytes(_ hex: String) throws -> [UInt8] {
  guard let bytes = Hex.decode(hex) else { throw NotHex() }
  return bytes
}

extension JSONValue {
  /// The bytes that a member spells in hex.
  public func hex(_ name: String) throws -> [UInt8] {
    guard let text = self[name]?.string else { throw NotHex() }
    return try TestSupport.bytes(text)
  }
}
