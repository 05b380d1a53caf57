// SPDX-License-Identifier: Apache-2.0

internal import CHost
internal import Glibc
public import Timing

/// The clock that cores are driven by: goes forward only, and counts the time asleep.
public enum MonotonicClock {
  /// Nanoseconds since the host started.
  public static func now() -> Instant { Instant(nanoseconds: chost_boot_nanoseconds()) }
}

/// The date and time of day as the host believes it; may jump either way.
public func wallClock() -> Timestamp {
  var now = timespec()
  // SAFETY: the kernel fills the structure that is passed.
  unsafe clock_gettime(CLOCK_REALTIME, &now)
  return Timestamp(seconds: Int64(now.tv_sec), nanoseconds: Int32(now.tv_nsec))
}
