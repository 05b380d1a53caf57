// SPDX-License-Identifier: Apache-2.0

import Glibc
import Synchronization

/// Where a command writes: standard output and standard error, or memory in tests.
package struct Output: Sendable {
  private let write: @Sendable (Int32, [UInt8]) -> Void

  /// The process's own streams.
  package static let standard = Output { descriptor, bytes in writeAll(bytes, to: descriptor) }

  /// Writes through `write`, which is told the file descriptor: 1 or 2.
  package init(write: @escaping @Sendable (Int32, [UInt8]) -> Void) { self.write = write }

  /// Writes `text` to standard output, without what would control a terminal.
  package func print(_ text: String, terminator: String = "\n") {
    write(1, Array((printableLines(text) + terminator).utf8))
  }

  /// Writes `text` to standard error, without what would control a terminal.
  package func complain(_ text: String, terminator: String = "\n") {
    write(2, Array((printableLines(text) + terminator).utf8))
  }
}

/// Collects what a command wrote.
package final class OutputRecorder: Sendable {
  private let written = Mutex<(output: [UInt8], errors: [UInt8])>(([], []))

  /// Nothing written yet.
  package init() {}

  /// Writes into this recorder.
  package var output: Output {
    Output { [self] descriptor, bytes in
      written.withLock {
        if descriptor == 1 { $0.output += bytes } else { $0.errors += bytes }
      }
    }
  }

  /// What went to standard output.
  package var standardOutput: String {
    written.withLock { String(decoding: $0.output, as: UTF8.self) }
  }

  /// What went to standard error.
  package var standardError: String {
    written.withLock { String(decoding: $0.errors, as: UTF8.self) }
  }
}

/// Writes all of `bytes`; a reader that went away ends it quietly.
func writeAll(_ bytes: [UInt8], to descriptor: Int32) {
  var rest = bytes[...]
  while !rest.isEmpty {
    let count = unsafe rest.withUnsafeBytes { buffer in
      // SAFETY: the buffer is valid for its own count during the call.
      unsafe Glibc.write(descriptor, buffer.baseAddress, buffer.count)
    }
    if count < 0 {
      guard errno == EINTR else { return }
    } else {
      rest = rest.dropFirst(count)
    }
  }
}
