// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
import HostIO

/// Whole files, read and written in one go.
enum File {
  /// The contents of a file; nil when it does not exist.
  ///
  /// - Throws: `HostError`, also when it is larger than `limit` bytes.
  static func read(_ path: String, atMost limit: Int) throws(HostError) -> [UInt8]? {
    let operation = "read \(path)"
    let opened = open(path, O_RDONLY | O_NONBLOCK)
    if opened == -ENOENT { return nil }
    let file = Descriptor(owning: try check(opened, operation, hint: hint(opened)))
    var contents: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: min(limit + 1, 1 << 16))
    while true {
      // SAFETY: the kernel writes at most as many bytes as the buffer has.
      let count = try check(
        unsafe chost_read(file.rawValue, &buffer, buffer.count),
        operation
      )
      guard count > 0 else { return contents }
      contents += buffer[..<count]
      guard contents.count <= limit else {
        throw HostError(operation, code: EFBIG, hint: "At most \(limit) bytes are expected there")
      }
    }
  }

  /// Writes a new file of mode 0600 and has it on the disk before returning.
  static func create(_ path: String, _ contents: [UInt8]) throws(HostError) {
    let operation = "write \(path)"
    let opened = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW)
    let file = Descriptor(owning: try check(opened, operation, hint: hint(opened)))
    var rest = contents[...]
    while !rest.isEmpty {
      // SAFETY: the bytes live through the call.
      let written = unsafe rest.withUnsafeBytes {
        unsafe chost_write(file.rawValue, $0.baseAddress, $0.count)
      }
      rest = rest.dropFirst(try check(written, operation))
    }
    try succeed(fsync(file.rawValue), operation)
  }

  /// Has the names in a directory on the disk before returning.
  static func synchronize(directory path: String) throws(HostError) {
    let operation = "save the directory \(path)"
    let opened = open(path, O_RDONLY | O_DIRECTORY)
    let directory = Descriptor(owning: try check(opened, operation))
    try succeed(fsync(directory.rawValue), operation)
  }

  /// Gives a file another name, in place of what had it.
  static func rename(_ path: String, to other: String) throws(HostError) {
    // SAFETY: both names live through the call.
    try succeed(unsafe Glibc.rename(path, other), "rename \(path) to \(other)")
  }

  /// Removes a file; one that is not there is removed already.
  static func remove(_ path: String) throws(HostError) {
    // SAFETY: the name lives through the call.
    guard unsafe unlink(path) < 0, errno != ENOENT else { return }
    throw HostError("remove \(path)", code: errno)
  }

  /// Opens a file, private when it is created; the descriptor, or a negated `errno`.
  static func open(_ path: String, _ flags: Int32) -> Int32 {
    // SAFETY: the name lives through the call.
    unsafe chost_file_open(path, flags, 0o600)
  }

  /// Makes a directory.
  ///
  /// - Returns: Zero or the `errno`.
  static func makeDirectory(_ path: String, mode: mode_t) -> Int32 {
    // SAFETY: the name lives through the call.
    unsafe mkdir(path, mode) < 0 ? errno : 0
  }

  /// Whether something has that name.
  static func exists(_ path: String) -> Bool {
    // SAFETY: the name lives through the call.
    unsafe access(path, F_OK) == 0
  }

  /// - Throws: `HostError` with `errno` when a call of the C library returned -1.
  static func succeed(_ result: Int32, _ operation: @autoclosure () -> String) throws(HostError) {
    guard result < 0 else { return }
    let code = errno
    throw HostError(operation(), code: code)
  }

  private static func hint(_ result: Int32) -> String {
    switch -result {
    case EACCES, EPERM: "Run as root, or choose another place"
    case EROFS, ENOSPC: "Choose another place, or make room"
    default: ""
    }
  }
}
