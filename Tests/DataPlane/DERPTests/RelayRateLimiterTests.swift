// SPDX-License-Identifier: Apache-2.0

import DERP
import Testing
import Timing

@Suite("What one client may send")
struct RelayRateLimiterTests {
  private let start = Instant(nanoseconds: 5)

  @Test("A burst goes through, what is over it waits until it is paid for, and rest is credit")
  func debt() throws {
    let limit = try #require(RelayRateLimit(bytesPerSecond: 100_000, burst: 100_000))
    var limiter = RelayRateLimiter(limit, at: start)
    #expect(limiter.charge(60_000, limit, at: start) == nil)
    #expect(limiter.charge(40_000, limit, at: start) == nil)
    #expect(limiter.charge(50_000, limit, at: start) == .milliseconds(500))
    #expect(limiter.charge(50_000, limit, at: start + .milliseconds(500)) == .milliseconds(500))
    #expect(limiter.charge(0, limit, at: start + .seconds(1)) == nil)
    // However long it rests, it saves up one burst.
    #expect(limiter.charge(100_000, limit, at: start + .seconds(900)) == nil)
    #expect(limiter.charge(1000, limit, at: start + .seconds(900)) == .milliseconds(10))
  }

  @Test("Over a long time a client gets its rate, whatever the sizes in which it sends")
  func rate() throws {
    let limit = try #require(RelayRateLimit(bytesPerSecond: 1_000_000, burst: 0))
    for size in [1, 5, 1437, 65_573, 200_000] {
      var limiter = RelayRateLimiter(limit, at: start)
      var (now, sent) = (start, 0)
      while now - start < .seconds(10) {
        sent += size
        now = now + (limiter.charge(size, limit, at: now) ?? .microseconds(1))
      }
      let most = 10_000_000 + limit.burst + 2 * size
      #expect(sent <= most && (size < 1000 || sent >= 9_900_000), "\(sent) in pieces of \(size)")
    }
  }

  @Test("A changed limit counts at once; a clock that goes back adds nothing; no limit is none")
  func change() throws {
    let slow = try #require(RelayRateLimit(bytesPerSecond: 1000, burst: 0))
    let fast = try #require(RelayRateLimit(bytesPerSecond: 1_000_000, burst: 0))
    #expect(slow.burst == RelayRateLimit.minimumBurst)
    var limiter = RelayRateLimiter(slow, at: start)
    #expect(limiter.charge(slow.burst + 1000, slow, at: start) == .seconds(1))
    #expect(limiter.charge(0, fast, at: start) == .milliseconds(1))
    #expect(limiter.charge(0, slow, at: start + .seconds(-5)) == .seconds(1))
    #expect(RelayRateLimit(bytesPerSecond: 0, burst: 5) == nil)
    #expect(RelayRateLimit(bytesPerSecond: -1, burst: 5) == nil)
  }
}
