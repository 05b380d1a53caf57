// SPDX-License-Identifier: Apache-2.0

import CHost
import Glibc
package import HostIO

/// Held by the one daemon that may use a state directory; the kernel lets go of it with the process.
package struct InstanceLock: ~Copyable, Sendable {
  /// The file in the state directory that is locked, and names the process.
  package static let fileName = "martletd.lock"

  private let file: Descriptor

  /// Takes the lock of a state directory.
  ///
  /// - Throws: `HostError` with EWOULDBLOCK that names the process which holds it.
  package init(_ store: StateStore, named name: String = fileName) throws(HostError) {
    let path = store.path(name)
    let opened = File.open(path, O_RDWR | O_CREAT | O_NOFOLLOW)
    let file = Descriptor(owning: try check(opened, "open \(path)"))
    let locked = chost_file_lock(file.rawValue)
    if locked == -EWOULDBLOCK {
      throw HostError(
        "use the state directory \(store.directory)",
        code: EWOULDBLOCK,
        hint: "Another daemon\(Self.holder(path)) uses it; stop that one, "
          + "or choose another directory with \(store.flag)"
      )
    }
    try check(locked, "lock \(path)")
    try File.succeed(ftruncate(file.rawValue, 0), "write \(path)")
    let text = Array("\(getpid())\n".utf8)
    // SAFETY: the bytes live through the call.
    try check(unsafe chost_write(file.rawValue, text, text.count), "write \(path)")
    self.file = file
  }

  private static func holder(_ path: String) -> String {
    // Whoever holds the lock may not have written its number yet; the error stands without it.
    guard let bytes = try? File.read(path, atMost: 32) else { return "" }
    guard let process = Int32(String(decoding: bytes.prefix { $0 > 0x20 }, as: UTF8.self)) else {
      return ""
    }
    return " (process \(process))"
  }
}
