// SPDX-License-Identifier: Apache-2.0

import Coordination
import CoordinationStore
import Foundation
import Testing
import Timing

@Suite("Durability")
struct DurabilityTests {
  /// Where the doomed process writes; it is another process, so it is told by its environment.
  private static let variable = "MARTLET_DURABILITY_TEST"

  @Test("What was acknowledged is there after kill -9 in the midst of writing")
  func killed() async throws {
    try await withDirectory { directory in
      unsafe setenv(Self.variable, directory, 1)
      await #expect(processExitsWith: .signal(SIGKILL)) { try await Self.writeUntilKilled() }
      unsafe unsetenv(Self.variable)
      let ledger = try #require(FileManager.default.contents(atPath: directory + "/acknowledged"))
      let acknowledged = String(decoding: ledger, as: UTF8.self).split(separator: "\n")
        .compactMap { Int64($0) }
      #expect(acknowledged.count >= 200)
      let store = try SQLiteStore(path: directory + "/control.sqlite", mayCreate: false)
      let records = try await store.load(.first)
      let kept = Set(records.users.map(\.id.rawValue))
      #expect(acknowledged.allSatisfy(kept.contains))
      #expect(records.lastUser >= acknowledged.max() ?? 0)
      await store.close()
    }
  }

  /// Writes users one after the other, notes each that was acknowledged, and is killed from another
  /// thread while it goes on.
  private static func writeUntilKilled() async throws {
    guard let directory = ProcessInfo.processInfo.environment[variable] else { return }
    let store = try SQLiteStore(path: directory + "/control.sqlite")
    let ledger = unsafe open(directory + "/acknowledged", O_WRONLY | O_CREAT | O_APPEND, 0o600)
    for number in 1...Int64.max {
      let user = User(id: UserID(number), name: "u\(number)", created: Timestamp(seconds: 0))
      try await store.commit([.user(user)], to: .first)
      let line = Array("\(number)\n".utf8)
      _ = unsafe line.withUnsafeBytes { unsafe write(ledger, $0.baseAddress, $0.count) }
      if number == 200 { Thread.detachNewThread { kill(getpid(), SIGKILL) } }
    }
  }
}
