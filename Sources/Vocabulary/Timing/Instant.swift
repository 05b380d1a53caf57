// SPDX-License-Identifier: Apache-2.0

/// A moment on a clock that only goes forward, in nanoseconds from an origin of the clock's choice.
///
/// Cores never read a clock: drivers pass `now` in. Comparable within one process only.
public struct Instant: InstantProtocol, Hashable, Sendable {
  /// Nanoseconds from the clock's origin.
  public let nanoseconds: Int64

  /// The moment `nanoseconds` after the clock's origin.
  @inlinable public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// The clock's origin.
  public static let origin = Instant(nanoseconds: 0)

  /// The moment that lies `duration` later, or the last one that can be told.
  public func advanced(by duration: Duration) -> Instant {
    let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.wholeNanoseconds)
    guard overflow else { return Instant(nanoseconds: sum) }
    return Instant(nanoseconds: duration < .zero ? .min : .max)
  }

  /// How much later `other` is.
  public func duration(to other: Instant) -> Duration {
    let (difference, overflow) = other.nanoseconds.subtractingReportingOverflow(nanoseconds)
    return overflow
      ? .nanoseconds(other > self ? Int64.max : Int64.min) : .nanoseconds(difference)
  }

  /// Whether `left` comes first.
  @inlinable public static func < (left: Instant, right: Instant) -> Bool {
    left.nanoseconds < right.nanoseconds
  }

  /// The moment that lies `duration` later.
  public static func + (instant: Instant, duration: Duration) -> Instant {
    instant.advanced(by: duration)
  }

  /// The moment that lies `duration` earlier.
  public static func - (instant: Instant, duration: Duration) -> Instant {
    instant.advanced(by: .zero - duration)
  }

  /// How much later `left` is than `right`.
  public static func - (left: Instant, right: Instant) -> Duration { right.duration(to: left) }
}

extension Duration {
  /// The whole nanoseconds of this duration, clamped to what an `Int64` holds (292 years).
  public var wholeNanoseconds: Int64 {
    let (seconds, attoseconds) = components
    let (product, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
    let (sum, more) = product.addingReportingOverflow(attoseconds / 1_000_000_000)
    return overflow || more ? (seconds < 0 ? .min : .max) : sum
  }

  /// This duration in seconds.
  public var inSeconds: Double {
    Double(components.seconds) + Double(components.attoseconds) / 1e18
  }

  /// This duration in milliseconds.
  public var inMilliseconds: Double { inSeconds * 1000 }
}
