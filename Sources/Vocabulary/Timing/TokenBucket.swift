// SPDX-License-Identifier: Apache-2.0

/// Admits a number of events a second, with a burst.
public struct TokenBucket: Hashable, Sendable {
  private let interval: Int64
  private let capacity: Int64
  private var credit: Int64
  private var last: Instant

  /// A full bucket of `burst` that gains `perSecond` a second.
  public init(perSecond: Int, burst: Int, at now: Instant) {
    precondition(perSecond > 0 && burst > 0, "a token bucket admits something")
    interval = 1_000_000_000 / Int64(perSecond)
    capacity = interval * Int64(burst)
    credit = capacity
    last = now
  }

  /// Whether `count` events may happen now; takes their tokens when they may.
  ///
  /// A clock that went backwards adds nothing.
  public mutating func admit(_ count: Int = 1, at now: Instant) -> Bool {
    let gained = max(0, (now - last).wholeNanoseconds)
    credit = min(
      capacity,
      credit.addingReportingOverflow(gained).overflow ? capacity : credit + gained
    )
    last = now
    let cost = interval * Int64(count)
    guard credit >= cost else { return false }
    credit -= cost
    return true
  }
}
