// SPDX-License-Identifier: Apache-2.0

import Timing

/// Admits a few handshake messages a second from each address.
///
/// The table is bounded. Addresses that were quiet for a second make room; while there is none, new
/// addresses are refused.
struct SourceLimiter: Sendable {
  static let perSecond = 20
  static let burst = 5
  static let sourcesMaximum = 4096
  private static let quiet = Duration.seconds(1)

  private struct Source: Sendable {
    var bucket: TokenBucket
    var lastSeen: Instant
  }

  private var sources: [[UInt8]: Source] = [:]
  private var lastSwept = Instant.origin

  /// Whether a message from `source` may be answered now.
  mutating func admit(_ source: [UInt8], at now: Instant) -> Bool {
    let key = Self.key(of: source)
    if sources[key] == nil {
      if sources.count >= Self.sourcesMaximum { sweep(at: now) }
      guard sources.count < Self.sourcesMaximum else { return false }
      let bucket = TokenBucket(perSecond: Self.perSecond, burst: Self.burst, at: now)
      sources[key] = Source(bucket: bucket, lastSeen: now)
    }
    sources[key]?.lastSeen = now
    return sources[key]?.bucket.admit(at: now) ?? false
  }

  private mutating func sweep(at now: Instant) {
    guard now < lastSwept || now - lastSwept >= Self.quiet else { return }
    lastSwept = now
    sources = sources.filter { now >= $0.value.lastSeen && now - $0.value.lastSeen < Self.quiet }
  }

  /// The address without its port: an IPv4 address, or the 64 bits that a host owns of an IPv6 one.
  ///
  /// Sources of any other form (relayed ones: a key) count as they are.
  private static func key(of source: [UInt8]) -> [UInt8] {
    guard source.count == 18 else { return source }
    let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF]
    return Array(source.prefix(source.starts(with: mapped) ? 16 : 8))
  }
}
