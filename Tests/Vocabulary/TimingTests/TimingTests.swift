// SPDX-License-Identifier: Apache-2.0

import Testing
import Timing

@Suite("Instants, timestamps and limits")
struct TimingTests {
  @Test("Instants saturate instead of overflowing")
  func saturation() {
    #expect(Instant(nanoseconds: .max) + .seconds(1) == Instant(nanoseconds: .max))
    #expect(Instant(nanoseconds: .min) - .seconds(1) == Instant(nanoseconds: .min))
    #expect(Instant(nanoseconds: 5) - Instant(nanoseconds: 2) == .nanoseconds(3))
  }

  @Test(
    "RFC 3339 text is read and written",
    arguments: [
      ("1970-01-01T00:00:00Z", Int64(0), Int32(0)), ("2026-11-25T06:30:13Z", 1_795_588_213, 0),
      ("0001-01-01T00:00:00Z", -62_135_596_800, 0),
      ("2000-02-29T23:59:59.5Z", 951_868_799, 500_000_000),
      ("1969-12-31T23:59:59.000000001Z", -1, 1), ("1970-01-01T00:02:03Z", 123, 0),
    ]
  )
  func timestamps(text: String, seconds: Int64, nanoseconds: Int32) {
    let time = Timestamp(seconds: seconds, nanoseconds: nanoseconds)
    #expect(Timestamp(text) == time)
    #expect(time.description == text)
  }

  @Test("Offsets are applied and nonsense is refused")
  func oddTimestamps() {
    #expect(Timestamp("1970-01-01T02:00:00+02:00") == Timestamp(seconds: 0))
    #expect(
      Timestamp("1970-01-01T00:00:00.1234567891Z")
        == Timestamp(seconds: 0, nanoseconds: 123_456_789)
    )
    for text in [
      "", "1970-01-01", "1970-13-01T00:00:00Z", "1970-02-29T00:00:00Z", "1970-01-01T24:00:00Z",
      "1970-01-01T00:00:00", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Z ",
      "+970-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-00:01",
      "0000-01-01T00:00:00+00:01",
    ] {
      #expect(Timestamp(text) == nil, "\(text)")
    }
    let later = Timestamp(seconds: 10, nanoseconds: 900_000_000) + .milliseconds(200)
    #expect(later == Timestamp(seconds: 11, nanoseconds: 100_000_000))
    #expect(later - Timestamp(seconds: 10) == .milliseconds(1100))
    #expect(
      Timestamp(seconds: 10) + .milliseconds(-1) == Timestamp(seconds: 9, nanoseconds: 999_000_000)
    )
  }

  @Test("A token bucket admits its burst, then its rate, and ignores a clock that goes back")
  func bucket() {
    var now = Instant.origin
    var bucket = TokenBucket(perSecond: 20, burst: 5, at: now)
    func admits(_ now: Instant) -> Bool { bucket.admit(at: now) }
    for _ in 0..<5 { #expect(admits(now)) }
    #expect(!admits(now))
    now = now + .milliseconds(49)
    #expect(!admits(now))
    now = now + .milliseconds(1)
    #expect(admits(now))
    #expect(!admits(now - .seconds(100)))
  }

  @Test("Back-off grows to its ceiling and starts again after a success")
  func backoff() {
    var backoff = Backoff(ceiling: .seconds(1))
    var generator = SystemRandomNumberGenerator()
    func wait() -> Duration { backoff.next(using: &generator) }
    #expect(wait() <= .milliseconds(15))
    for _ in 0..<100 { #expect(wait() <= .milliseconds(1500)) }
    backoff.reset()
    #expect(wait() <= .milliseconds(15))
  }
}
