// SPDX-License-Identifier: Apache-2.0

import Foundation
import JSON
import LocalAPI
import Testing

/// Files under `Fixtures/Goldens`, which tests compare with.
///
/// `MARTLET_UPDATE_GOLDENS=1` writes what came out instead; the difference is then reviewed.
enum Goldens {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "Fixtures/Goldens")

  static func expect(
    _ text: String,
    equals name: String,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let file = folder.appending(path: "CommandLine/" + name)
    if ProcessInfo.processInfo.environment["MARTLET_UPDATE_GOLDENS"] == "1" {
      try Data(text.utf8).write(to: file)
    }
    let golden = try String(contentsOf: file, encoding: .utf8)
    #expect(text == golden, sourceLocation: sourceLocation)
  }

  /// A record that was written down.
  static func record<Record: JSONReadable>(_ name: String) throws -> Record {
    try Record(json: Array(Data(contentsOf: folder.appending(path: "LocalAPI/" + name))))
  }

  /// The status that was written down: a node, a peer on a direct path, and one asleep.
  static func status() throws -> Status { try record("status.json") }
}
