// SPDX-License-Identifier: Apache-2.0

import Glibc
import Timing

extension Timestamp {
  /// The time now.
  static var current: Timestamp {
    var now = timespec()
    // SAFETY: the clock writes into the value that it is given, and this clock always exists.
    unsafe clock_gettime(CLOCK_REALTIME, &now)
    return Timestamp(seconds: Int64(now.tv_sec), nanoseconds: Int32(now.tv_nsec))
  }
}
