// SPDX-License-Identifier: Apache-2.0

package import Coordination
internal import Foundation
internal import GRDB

#if canImport(Glibc)
internal import Glibc
#endif

/// The store in one SQLite file.
///
/// Write-ahead log with a sync at every commit: what was acknowledged survives `kill -9` and a power
/// cut. A file that is not a sound database of ours is never written to.
package final class SQLiteStore: Store {
  /// The file's name in the state directory.
  package static let fileName = "control.sqlite"
  /// How many changes are kept for those that follow the log.
  static let maximumChanges = 10_000
  /// How many entries of the audit are kept.
  static let maximumAudit = 1_000_000

  let queue: DatabaseQueue
  private let path: String

  /// Opens the file at `path`, making it when it is not there, and brings its tables up to date.
  ///
  /// - Parameters:
  ///   - path: Where the file is.
  ///   - mayCreate: Whether a file that is missing or empty is a beginning. When something else in the
  ///     state directory shows that there was one, it is a loss, and refused.
  /// - Throws: `StoreError` when the file cannot be used; it is left as it is then.
  package init(path: String, mayCreate: Bool = true) throws(StoreError) {
    self.path = path
    // A file that cannot be looked at is missed now or when it is opened.
    let size = try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int
    guard mayCreate || (size ?? 0) > 0 else {
      throw StoreError(
        .lost,
        "\(path) is \(size == nil ? "missing" : "empty"), but the server's key beside it shows that "
          + "there was one. Restore it from a backup, or move the whole state directory away to "
          + "begin anew."
      )
    }
    var configuration = Configuration()
    configuration.busyMode = .timeout(10)
    configuration.foreignKeysEnabled = true
    configuration.prepareDatabase { database in
      try database.execute(sql: "PRAGMA journal_mode = WAL")
      try database.execute(sql: "PRAGMA synchronous = FULL")
    }
    do {
      if size == nil {
        // The owner alone may read it, from its first byte on.
        _ = FileManager.default.createFile(
          atPath: path,
          contents: nil,
          attributes: [.posixPermissions: 0o600]
        )
      }
      queue = try DatabaseQueue(path: path, configuration: configuration)
      try Self.prove(queue, at: path)
      try Self.migrate(queue, at: path)
      try Self.prune(queue)
    } catch { throw Self.explained(error, path) }
  }

  package func load(_ tailnet: TailnetID) async throws(StoreError) -> TailnetRecords {
    do {
      return try await queue.read { try Self.load(tailnet, from: $0) }
    } catch { throw Self.explained(error, path) }
  }

  package func commit(
    _ mutations: [Mutation],
    to tailnet: TailnetID
  ) async throws(StoreError) {
    guard !mutations.isEmpty else { return }
    do {
      try await queue.write { database in
        for mutation in mutations { try Self.write(mutation, to: tailnet, in: database) }
      }
    } catch { throw Self.explained(error, path) }
  }

  package func audit(
    _ tailnet: TailnetID,
    limit: Int
  ) async throws(StoreError) -> [AuditEntry] {
    do {
      return try await queue.read { try Self.audit(tailnet, limit: limit, from: $0) }
    } catch { throw Self.explained(error, path) }
  }

  package func policies(
    _ tailnet: TailnetID,
    limit: Int
  ) async throws(StoreError) -> [PolicyVersion] {
    do {
      return try await queue.read { try Self.policies(tailnet, limit: limit, from: $0) }
    } catch { throw Self.explained(error, path) }
  }

  package func check() async throws(StoreError) {
    do {
      _ = try await queue.read { try Int.fetchOne($0, sql: "SELECT 1") }
    } catch { throw Self.explained(error, path) }
  }

  package func close() async {
    // Closing twice is no harm, and there is nobody left to tell.
    try? queue.close()
  }

  /// Refuses a file that is not a sound database.
  private static func prove(_ queue: DatabaseQueue, at path: String) throws {
    let verdict = try queue.read { try String.fetchOne($0, sql: "PRAGMA quick_check(1)") }
    guard verdict == "ok" else { throw corrupted(path, verdict ?? "no answer") }
  }

  private static func migrate(_ queue: DatabaseQueue, at path: String) throws {
    let version = try queue.read { try Int.fetchOne($0, sql: "PRAGMA user_version") ?? 0 }
    let tables = try queue.read {
      try Int.fetchOne($0, sql: "SELECT COUNT(*) FROM sqlite_master") ?? 0
    }
    guard version > 0 || tables == 0 else {
      throw StoreError(
        .foreign,
        "\(path) is a database, but not one of martlet-control. It was left as it is; choose "
          + "another state directory with --state."
      )
    }
    guard version <= Schema.version else {
      throw StoreError(
        .tooNew,
        "\(path) was written by a newer martlet-control (tables of version \(version), this one "
          + "knows \(Schema.version)). Install that version again, or restore a backup."
      )
    }
    if version > 0, version < Schema.version { try keep(queue, of: version, beside: path) }
    for (index, statements) in Schema.steps.enumerated().dropFirst(version) {
      try queue.write { database in
        for statement in statements { try database.execute(sql: statement) }
        try database.execute(sql: "PRAGMA user_version = \(index + 1)")
      }
    }
  }

  /// Copies the database as an older program left it, for whoever wants that one back.
  private static func keep(_ queue: DatabaseQueue, of version: Int, beside path: String) throws {
    let copy = path + ".version-\(version)"
    // What an upgrade left that did not come to its end.
    try? FileManager.default.removeItem(atPath: copy)
    try queue.vacuum(into: copy)
    guard unsafe chmod(copy, 0o600) == 0 else {
      throw StoreError(.inaccessible, "Cannot protect \(copy).")
    }
  }

  private static func prune(_ queue: DatabaseQueue) throws {
    try queue.write { database in
      try database.execute(
        sql: """
          DELETE FROM changes WHERE number <=
            (SELECT MAX(youngest.number) FROM changes AS youngest
              WHERE youngest.tailnet = changes.tailnet) - ?
          """,
        arguments: [maximumChanges]
      )
      try database.execute(
        sql: "DELETE FROM audit WHERE id <= (SELECT MAX(id) FROM audit) - ?",
        arguments: [maximumAudit]
      )
    }
  }

  static func corrupted(_ path: String, _ what: String) -> StoreError {
    StoreError(
      .corrupted,
      "\(path) is damaged (\(what)). It was left as it is: restore it from a backup, or move the "
        + "whole state directory away to begin anew."
    )
  }

  static func explained(_ error: any Error, _ path: String) -> StoreError {
    if let error = error as? StoreError { return error }
    guard let error = error as? DatabaseError else {
      return StoreError(.failed, "The database \(path) failed: \(error)")
    }
    let what = error.message ?? "code \(error.resultCode.rawValue)"
    return switch error.resultCode {
    case .SQLITE_NOTADB, .SQLITE_CORRUPT: corrupted(path, what)
    case .SQLITE_BUSY, .SQLITE_LOCKED:
      StoreError(.inUse, "Another process uses \(path). Stop it first.")
    case .SQLITE_CANTOPEN, .SQLITE_PERM, .SQLITE_READONLY, .SQLITE_AUTH:
      StoreError(.inaccessible, "Cannot open \(path): \(what).")
    case .SQLITE_CONSTRAINT: StoreError(.conflict, "Somebody else was faster: \(what).")
    default: StoreError(.failed, "The database \(path) failed: \(what).")
    }
  }
}
