// SPDX-License-Identifier: Apache-2.0

package import Coordination
internal import Glibc
internal import Timing

/// The clocks of the machine.
package enum SystemClock {
  private static let origin = ContinuousClock.now

  /// Both clocks, now.
  package static func now() -> Moment {
    let elapsed = ContinuousClock.now - origin
    var wall = timespec()
    // SAFETY: the call fills the structure that it is given; the clock always exists.
    _ = unsafe clock_gettime(CLOCK_REALTIME, &wall)
    return Moment(
      instant: .origin + elapsed,
      time: Timestamp(seconds: Int64(wall.tv_sec), nanoseconds: Int32(wall.tv_nsec))
    )
  }
}
