// SPDX-License-Identifier: Apache-2.0

internal import Glibc

/// How many files and connections this process may have open.
package enum OpenFiles {
  /// Raises the limit to the most that we may give ourselves; the usual 1024 is a thousand machines.
  ///
  /// - Returns: The limit as it is then.
  @discardableResult
  package static func raiseLimit() -> UInt64 {
    var limit = rlimit()
    // SAFETY: both calls read or fill the structure that they are given, and keep no pointer.
    guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
      return 0
    }
    let before = limit.rlim_cur
    limit.rlim_cur = limit.rlim_max
    let isRaised = unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0
    return UInt64(isRaised ? limit.rlim_cur : before)
  }
}
