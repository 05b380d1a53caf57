// SPDX-License-Identifier: Apache-2.0

import Glibc

/// What the system tells a program about itself at its start.
package enum ProcessFacts {
  /// The arguments, without the program's name.
  package static var arguments: [String] { Array(CommandLine.arguments.dropFirst()) }

  /// The environment variables.
  package static var environment: [String: String] {
    var variables: [String: String] = [:]
    // SAFETY: `environ` is a null-terminated array of strings that nothing changes while we read.
    var entry = unsafe environ
    while let text = unsafe entry.pointee {
      let pair = unsafe String(cString: text)
      if let equals = pair.firstIndex(of: "=") {
        variables[String(pair[..<equals])] = String(pair[pair.index(after: equals)...])
      }
      unsafe entry += 1
    }
    return variables
  }

  /// The user this process acts for.
  package static var userID: UInt32 { geteuid() }

  /// Whether this process may do anything.
  package static var isRoot: Bool { userID == 0 }

  /// Whether standard output is a terminal.
  package static var isTerminal: Bool { isatty(1) == 1 }

  /// Keeps what is in memory, keys among it, out of core files.
  package static func forbidCoreFiles() {
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    // Lowering a limit of one's own cannot be refused.
    unsafe setrlimit(__rlimit_resource_t(RLIMIT_CORE.rawValue), &none)
  }

  /// Ends the process.
  package static func exit(_ code: ExitCode) -> Never { Glibc.exit(code.rawValue) }
}
