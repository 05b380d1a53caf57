// SPDX-License-Identifier: Apache-2.0

import Glibc

/// Reads files that a person wrote: configuration, keys.
package enum SmallFile {
  /// What such a file may hold at most.
  package static let maximumBytes = 1 << 20

  /// The bytes of the file at `path`; nil when there is no such file.
  ///
  /// - Throws: `CommandError` when it cannot be read, or holds more than `limit` bytes.
  package static func read(
    _ path: String,
    upTo limit: Int = maximumBytes
  ) throws(CommandError) -> [UInt8]? {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else {
      if errno == ENOENT { return nil }
      throw failure(path, errno)
    }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    while bytes.count <= limit {
      let count = unsafe chunk.withUnsafeMutableBytes { buffer in
        // SAFETY: the buffer is valid for its own count during the call.
        unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
      }
      if count == 0 { return bytes }
      if count < 0 {
        guard errno == EINTR else { throw failure(path, errno) }
      } else {
        bytes += chunk[..<count]
      }
    }
    throw CommandError(
      "cannot read \(path): it holds more than \(limit) bytes",
      hint: "Give the path of the right file.",
      code: .configuration
    )
  }

  private static func failure(_ path: String, _ number: Int32) -> CommandError {
    CommandError(
      "cannot read \(path): \(systemMessage(number))",
      hint: number == EACCES ? "Run as root, or make the file readable." : "",
      code: number == EACCES ? .permission : .configuration
    )
  }
}

/// The system's words for an error number, in lower case.
package func systemMessage(_ number: Int32) -> String {
  var buffer = [CChar](repeating: 0, count: 256)
  // SAFETY: the call writes at most `count` bytes, with their terminator.
  guard unsafe strerror_r(number, &buffer, buffer.count) == 0 else { return "error \(number)" }
  let text = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
  return String(decoding: text, as: UTF8.self).lowercased()
}
