// SPDX-License-Identifier: Apache-2.0

package import Cryptography
internal import Foundation
package import Keys
internal import Synchronization

#if canImport(Glibc)
internal import Glibc
#endif

/// The directory in which the server keeps everything: 0700, and one server's at a time.
package final class StateDirectory: Sendable {
  /// Where it is.
  package let path: String
  private let lock: Mutex<Int32?>

  /// Opens the directory, making it when it is not there, and keeps others out.
  package init(_ path: String) throws(StoreError) {
    self.path = path
    try Self.prepare(path)
    let lockPath = path + "/control.lock"
    let descriptor = unsafe open(lockPath, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.cannot("open", lockPath) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      _ = close(descriptor)
      throw StoreError(
        .inUse,
        "Another martlet-control uses \(path). Stop it, or give this one a --state of its own."
      )
    }
    lock = Mutex(descriptor)
  }

  deinit { release() }

  /// Lets others use the directory.
  package func release() {
    lock.withLock { descriptor in
      if let descriptor { _ = close(descriptor) }
      descriptor = nil
    }
  }

  /// Where a file of the directory is.
  package func file(_ name: String) -> String { path + "/" + name }

  /// Whether a file of the directory is there, whatever is in it.
  package func hasFile(_ name: String) -> Bool { unsafe access(file(name), F_OK) == 0 }

  /// The key that proves to clients who we are: read from `name`, or made and kept there.
  ///
  /// Only a file that is not there is made: an emptied one would else make us a stranger to every
  /// node without a word.
  package func machineKey(
    _ name: String,
    using entropy: inout Entropy
  ) throws(StoreError) -> MachinePrivateKey {
    if hasFile(name) {
      let text = String(decoding: try read(name) ?? [], as: UTF8.self).filter { !$0.isWhitespace }
      guard let key = MachinePrivateKey(text) else {
        throw StoreError(
          .corrupted,
          "\(file(name)) holds no private key. It was left as it is: restore it from a backup, or "
            + "move it away to make a new one (every node must then log in again)."
        )
      }
      return key
    }
    let key = MachinePrivateKey.generate(using: &entropy)
    try write(name, Array((key.text + "\n").utf8))
    return key
  }

  /// The content of a file; nil when it is not there or empty.
  package func read(_ name: String) throws(StoreError) -> [UInt8]? {
    let path = file(name)
    guard unsafe access(path, F_OK) == 0 else { return nil }
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Self.cannot("read", path)
    }
    return data.isEmpty ? nil : Array(data)
  }

  /// Writes a file that only its owner may read: all of it or nothing, on disk when this returns.
  package func write(_ name: String, _ bytes: [UInt8]) throws(StoreError) {
    let temporary = file(name + ".new")
    let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { throw Self.cannot("write", temporary) }
    let written = unsafe bytes.withUnsafeBytes {
      unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
    }
    let synced = fsync(descriptor) == 0
    _ = close(descriptor)
    guard written == bytes.count, synced, unsafe rename(temporary, file(name)) == 0 else {
      throw Self.cannot("write", file(name))
    }
    let directory = unsafe open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard directory >= 0 else { throw Self.cannot("open", path) }
    _ = fsync(directory)
    _ = close(directory)
  }

  /// Moves a file out of the way, content and all, with what SQLite keeps beside it.
  ///
  /// - Returns: Where it is now.
  package func setAside(
    _ name: String,
    as what: String = "damaged"
  ) throws(StoreError) -> String {
    let free = (1...Int.max).lazy.map { "\(name).\(what)-\($0)" }
      .first { unsafe access(self.file($0), F_OK) != 0 }
    guard let free, unsafe rename(file(name), file(free)) == 0 else {
      throw Self.cannot("set aside", file(name))
    }
    // A journal belongs to its database, and is often not there.
    for suffix in ["-wal", "-shm"] {
      _ = unsafe rename(file(name + suffix), file(free + suffix))
    }
    return file(free)
  }

  private static func prepare(_ path: String) throws(StoreError) {
    var facts = stat()
    if unsafe lstat(path, &facts) != 0 {
      do {
        try FileManager.default.createDirectory(
          atPath: path,
          withIntermediateDirectories: true,
          attributes: [.posixPermissions: 0o700]
        )
      } catch { throw cannot("make", path) }
      return
    }
    guard facts.st_mode & S_IFMT == S_IFDIR else {
      throw StoreError(.inaccessible, "\(path) is not a directory. Choose another with --state.")
    }
    guard facts.st_uid == geteuid() else {
      throw StoreError(
        .inaccessible,
        "\(path) belongs to uid \(facts.st_uid), not to us (uid \(geteuid())). "
          + "Run as its owner, or choose another with --state."
      )
    }
    guard unsafe chmod(path, 0o700) == 0 else { throw cannot("protect", path) }
  }

  private static func cannot(_ verb: String, _ path: String) -> StoreError {
    StoreError(
      .inaccessible,
      "Cannot \(verb) \(path): \(unsafe String(cString: strerror(errno))). "
        + "Run as root, or choose another state directory with --state."
    )
  }
}
