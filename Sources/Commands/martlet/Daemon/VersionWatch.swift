// SPDX-License-Identifier: Apache-2.0

import CommandLine
import HTTPTransport
import LocalAPI
import Synchronization

/// Warns, once, when the daemon is of another version than this program.
final class VersionWatch: Sendable {
  private let output: Output
  private let hasWarned = Mutex(false)

  init(_ output: Output) { self.output = output }

  /// Looks at the header of an answer.
  func look(at headers: HTTPHeaders) {
    guard let version = headers[LocalAPIRoutes.versionHeader], version != Version.long else {
      return
    }
    let isFirst = hasWarned.withLock { hasWarned in
      defer { hasWarned = true }
      return !hasWarned
    }
    guard isFirst else { return }
    output.complain(
      "Warning: client version \"\(Version.long)\" != martletd server version \"\(printable(version))\""
    )
  }
}
