// SPDX-License-Identifier: Apache-2.0

import Glibc
package import HostIO
package import Timing

/// The directory in which a daemon keeps what must outlive it: keys, preferences, profiles.
///
/// The directory is private (0700), its files are too (0600). A write is whole or not at all, and
/// on the disk when it returns: `kill -9` and a power cut leave the old contents or the new ones.
package struct StateStore: Sendable {
  /// The most bytes that a state file may have, unless its reader says otherwise.
  package static let defaultLimit = 16 << 20

  /// What a file held.
  package enum Loaded<Value> {
    /// There is no such file.
    case absent
    /// What the file says.
    case value(Value)
    /// The file made no sense; it was renamed to `path`, and its contents are kept there.
    case setAside(path: String, reason: String)
  }

  /// Where the files are.
  package let directory: String
  /// The flag by which a person chooses another directory.
  package let flag: String

  /// Opens the directory, making it where it does not exist, and makes it private where it is not.
  ///
  /// - Throws: `HostError` when it cannot be made, or is open to others and not ours alone.
  package init(directory: String, flag: String = "--statedir") throws(HostError) {
    (self.directory, self.flag) = (directory, flag)
    try Self.makeDirectories(directory, flag)
    try Self.makePrivate(directory, flag)
  }

  /// The path of a file in the directory.
  package func path(_ name: String) -> String {
    precondition(Self.isValidName(name), "a state file is named by a plain word")
    return directory + "/" + name
  }

  /// Whether `name` names a file in a directory, and nothing outside it.
  package static func isValidName(_ name: String) -> Bool {
    (1...200).contains(name.utf8.count) && !name.hasPrefix(".")
      && name.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "/") }
  }

  /// The contents of a file; nil when it does not exist.
  package func read(_ name: String, atMost limit: Int = defaultLimit) throws(HostError) -> [UInt8]?
  {
    try File.read(path(name), atMost: limit)
  }

  /// Puts `contents` in the place of what the file held.
  package func write(_ name: String, _ contents: [UInt8]) throws(HostError) {
    let path = path(name)
    let temporary = path + ".new"
    // One that a killed daemon left half written.
    try File.remove(temporary)
    do throws(HostError) {
      try File.create(temporary, contents)
      try File.rename(temporary, to: path)
    } catch {
      // The first error is the one to tell.
      try? File.remove(temporary)
      throw error
    }
    try File.synchronize(directory: directory)
  }

  /// Removes a file; one that is not there is removed already.
  package func remove(_ name: String) throws(HostError) {
    try File.remove(path(name))
    try File.synchronize(directory: directory)
  }

  /// Reads a file into a value.
  ///
  /// A file of which `decode` makes no sense is set aside under `NAME.corrupt-TIME` with its
  /// contents kept, so that the daemon can start afresh and a person can look.
  ///
  /// - Parameters:
  ///   - name: The file.
  ///   - limit: The most bytes it may have.
  ///   - now: What the copy that is set aside is named by.
  ///   - decode: Makes a value of the contents, or throws to say that they are none.
  /// - Returns: The value, or what became of the file.
  /// - Throws: `HostError` when the file cannot be read, or set aside.
  package func load<Value>(
    _ name: String,
    atMost limit: Int = defaultLimit,
    at now: Timestamp = wallClock(),
    decode: ([UInt8]) throws -> Value
  ) throws(HostError) -> Loaded<Value> {
    let contents: [UInt8]?
    do throws(HostError) {
      contents = try read(name, atMost: limit)
    } catch {
      guard error.code == EFBIG else { throw error }
      return try setAside(name, at: now, reason: "it has more than \(limit) bytes")
    }
    guard let contents else { return .absent }
    do {
      return .value(try decode(contents))
    } catch {
      return try setAside(name, at: now, reason: "\(error)")
    }
  }

  private func setAside<Value>(
    _ name: String,
    at now: Timestamp,
    reason: String
  ) throws(HostError) -> Loaded<Value> {
    let path = path(name)
    let time = String(now.description.map { $0 == ":" ? "-" : $0 })
    var aside = "\(path).corrupt-\(time)"
    var attempt = 2
    while File.exists(aside) {
      aside = "\(path).corrupt-\(time)-\(attempt)"
      attempt += 1
    }
    try File.rename(path, to: aside)
    try File.synchronize(directory: directory)
    return .setAside(path: aside, reason: reason)
  }

  private static func makeDirectories(_ path: String, _ flag: String) throws(HostError) {
    var code = File.makeDirectory(path, mode: 0o700)
    if code == ENOENT, let parent = parent(of: path) {
      try makeParents(parent)
      code = File.makeDirectory(path, mode: 0o700)
    }
    guard code != 0, code != EEXIST else { return }
    throw HostError(
      "make the state directory \(path)",
      code: code,
      hint: "Run as root, or choose another with \(flag)"
    )
  }

  private static func makeParents(_ path: String) throws(HostError) {
    var code = File.makeDirectory(path, mode: 0o755)
    if code == ENOENT, let parent = parent(of: path) {
      try makeParents(parent)
      code = File.makeDirectory(path, mode: 0o755)
    }
    guard code != 0, code != EEXIST else { return }
    throw HostError("make the directory \(path)", code: code)
  }

  private static func parent(of path: String) -> String? {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return nil }
    return String(path[..<slash])
  }

  private static func makePrivate(_ path: String, _ flag: String) throws(HostError) {
    var facts = stat()
    // SAFETY: the kernel fills the structure.
    try File.succeed(unsafe stat(path, &facts), "look at the state directory \(path)")
    guard facts.st_mode & S_IFMT == S_IFDIR else {
      throw HostError("use \(path) as the state directory", code: ENOTDIR)
    }
    guard facts.st_mode & 0o077 != 0 else { return }
    // A shared directory, like /tmp, must stay shared; its files could be replaced by anybody.
    let isShared = facts.st_mode & S_ISVTX != 0
    // SAFETY: the name lives through the call.
    guard unsafe isShared || chmod(path, 0o700) < 0 else { return }
    throw HostError(
      "use \(path) as the state directory",
      code: EACCES,
      hint: "Others may change what is in it; choose a directory of its own with \(flag)"
    )
  }
}
