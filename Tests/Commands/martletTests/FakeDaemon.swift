// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Foundation
import Logging
import NodeAPIs

@testable import martlet

/// What came of running the program.
struct Outcome {
  var code: Int32
  var output: String
  var errors: String
}

/// Runs `martlet` with these arguments.
func run(
  _ arguments: [String],
  environment: [String: String] = [:]
) async -> Outcome {
  let recorder = OutputRecorder()
  let code = await Program.run(
    Martlet.self,
    arguments,
    style: Martlet.style,
    in: Surroundings(output: recorder.output, environment: environment)
  )
  return Outcome(
    code: code.rawValue,
    output: recorder.standardOutput,
    errors: recorder.standardError
  )
}

/// A daemon in front of a fake node, and the program that speaks to it.
struct FakeDaemon {
  let path: String

  /// Runs `martlet` with these arguments against this daemon.
  func martlet(_ arguments: String..., environment: [String: String] = [:]) async -> Outcome {
    await run(
      arguments,
      environment: environment.merging(["MARTLET_SOCKET": path]) { own, _ in own }
    )
  }

  /// Serves `node` while `body` runs.
  static func serving(
    _ node: FakeNode,
    version: String = Version.long,
    _ body: (FakeDaemon) async throws -> Void
  ) async throws {
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "martlet-cli-\(UUID().uuidString.prefix(8))").path
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let path = folder + "/daemon.sock"
    let server = try await LocalAPIServer.start(
      at: path,
      node: node,
      version: version,
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    )
    do {
      try await body(FakeDaemon(path: path))
    } catch {
      await server.shutdown()
      throw error
    }
    await server.shutdown()
  }
}
