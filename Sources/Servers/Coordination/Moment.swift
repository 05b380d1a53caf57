// SPDX-License-Identifier: Apache-2.0

package import Timing

/// When an event happens, on both clocks: deadlines run on the first, records carry the second.
package struct Moment: Hashable, Sendable {
  /// The clock that only goes forward.
  package let instant: Instant
  /// The date and time of day.
  package let time: Timestamp

  /// The two readings of one moment.
  package init(instant: Instant, time: Timestamp) {
    self.instant = instant
    self.time = time
  }
}
