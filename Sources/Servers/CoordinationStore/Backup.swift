// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import Foundation
internal import GRDB

#if canImport(Glibc)
internal import Glibc
#endif

/// A copy of everything that a server keeps: the database as it stood at one moment, and the keys.
package enum Backup {
  /// The keys by which nodes and relays know a server, and its certificates: what cannot be made anew.
  private static let keySuffixes = [".key", ".pem", ".crt"]

  /// Copies the state of a running server into a directory that is not there yet.
  ///
  /// Others may write meanwhile: the copy is of one moment. It is whole or it is not there.
  ///
  /// - Returns: What was copied.
  package static func make(
    of state: StateDirectory,
    store: SQLiteStore,
    to path: String
  ) async throws(StoreError) -> [String] {
    guard path.hasPrefix("/") else {
      throw StoreError(
        .inaccessible,
        "\(path) has to be a whole path, such as /var/backups/martlet."
      )
    }
    guard unsafe access(path, F_OK) != 0 else {
      throw StoreError(.inaccessible, "\(path) is there already. Choose a place that is not.")
    }
    let staging = path + ".unfinished"
    try? FileManager.default.removeItem(atPath: staging)  // What an earlier try left.
    guard unsafe mkdir(staging, 0o700) == 0 else { throw cannot("make", staging) }
    do throws(StoreError) {
      try await store.copy(to: staging + "/" + SQLiteStore.fileName)
      var copied = [SQLiteStore.fileName]
      for name in try keyFiles(in: state.path) {
        try copy(state.file(name), to: staging + "/" + name)
        copied.append(name)
      }
      guard unsafe rename(staging, path) == 0 else { throw cannot("finish", path) }
      return copied.sorted()
    } catch {
      try? FileManager.default.removeItem(atPath: staging)  // Half a copy is of no use.
      throw error
    }
  }

  /// Puts a copy in the place of what a server that is stopped keeps; that is set aside, whole.
  ///
  /// - Returns: What was set aside, and where it is.
  package static func restore(
    from path: String,
    into state: StateDirectory
  ) async throws(StoreError) -> [String] {
    let database = path + "/" + SQLiteStore.fileName
    guard unsafe access(database, R_OK) == 0 else {
      throw StoreError(.inaccessible, "\(path) is no backup: it holds no \(SQLiteStore.fileName).")
    }
    // Proven on a copy of its own, so that the backup stays as it is.
    let staged = state.file(SQLiteStore.fileName + ".restored")
    for suffix in ["", "-wal", "-shm"] {
      try? FileManager.default.removeItem(atPath: staged + suffix)  // What an earlier try left.
    }
    try copy(database, to: staged)
    let proven = try SQLiteStore(path: staged, mayCreate: false)
    _ = try await proven.load(.first)
    await proven.close()
    var aside: [String] = []
    let names = [SQLiteStore.fileName] + (try keyFiles(in: path))
    for name in names where state.hasFile(name) {
      aside.append(try state.setAside(name, as: "before-restore"))
    }
    guard unsafe rename(staged, state.file(SQLiteStore.fileName)) == 0 else {
      throw cannot("put in place", state.file(SQLiteStore.fileName))
    }
    for suffix in ["-wal", "-shm"] {
      // They belong to a database that was closed, and hold nothing more.
      try? FileManager.default.removeItem(atPath: staged + suffix)
    }
    for name in names.dropFirst() { try copy(path + "/" + name, to: state.file(name)) }
    return aside
  }

  private static func keyFiles(in directory: String) throws(StoreError) -> [String] {
    // Why it cannot be listed is in errno, which the error tells.
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: directory) else {
      throw cannot("read", directory)
    }
    return names.filter { name in keySuffixes.contains { name.hasSuffix($0) } }.sorted()
  }

  private static func copy(_ from: String, to: String) throws(StoreError) {
    guard let data = FileManager.default.contents(atPath: from) else { throw cannot("read", from) }
    let isMade = FileManager.default.createFile(
      atPath: to,
      contents: data,
      attributes: [.posixPermissions: 0o600]
    )
    guard isMade else { throw cannot("write", to) }
    let descriptor = unsafe open(to, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw cannot("open", to) }
    defer { _ = close(descriptor) }
    guard fsync(descriptor) == 0 else { throw cannot("write", to) }
  }

  private static func cannot(_ verb: String, _ path: String) -> StoreError {
    StoreError(.inaccessible, "Cannot \(verb) \(path): \(unsafe String(cString: strerror(errno))).")
  }
}

extension SQLiteStore {
  /// Writes a copy of the database as it stands at one moment; others may go on writing.
  package func copy(to path: String) async throws(StoreError) {
    do {
      try await queue.vacuum(into: path)
      guard unsafe chmod(path, 0o600) == 0 else {
        throw StoreError(.inaccessible, "Cannot protect \(path).")
      }
    } catch { throw Self.explained(error, path) }
  }
}
