// SPDX-License-Identifier: Apache-2.0

public import JSON
public import Timing

/// How much one client may send to a relay.
public struct RelayRateLimit: Hashable, Sendable {
  /// The smallest burst: the largest frame that a client may send.
  public static let minimumBurst = 65_536 + 32

  /// Bytes a second, frames and all.
  public let bytesPerSecond: Int
  /// How many bytes may come at once over that.
  public let burst: Int

  /// A limit; nil where there is none.
  ///
  /// The burst is at least that of one frame.
  public init?(bytesPerSecond: Int, burst: Int) {
    guard bytesPerSecond > 0 else { return nil }
    self.bytesPerSecond = bytesPerSecond
    self.burst = max(burst, Self.minimumBurst)
  }

  /// The limit in a file: `{"PerClientRateLimitBytesPerSec": n, "PerClientRateBurstBytes": n}`; nil
  /// where it sets none, by a rate of zero or by saying nothing.
  public static func read(json bytes: [UInt8]) throws(JSONError) -> RelayRateLimit? {
    var (rate, burst) = (0, 0)
    try JSONReader.read(bytes) { (reader) throws(JSONError) in
      try reader.fields { (key, reader) throws(JSONError) in
        switch key {
        case "PerClientRateLimitBytesPerSec": rate = try reader.int()
        case "PerClientRateBurstBytes": burst = try reader.int()
        default: throw reader.invalid("a limit that is known, not \"\(key.text)\"")
        }
        guard rate >= 0, burst >= 0 else { throw reader.invalid("a number of bytes") }
      }
    }
    return RelayRateLimit(bytesPerSecond: rate, burst: burst)
  }
}

/// Charges a client for what it sent, and says for how long it is not to be read from.
///
/// Nothing is dropped: what has come is switched, and goes into debt. Until that is paid the client
/// waits, and its own TCP with it.
public struct RelayRateLimiter: Sendable {
  private var credit: Double
  private var last: Instant

  /// A client that has sent nothing yet.
  public init(_ limit: RelayRateLimit, at now: Instant) {
    (credit, last) = (Double(limit.burst), now)
  }

  /// Charges for `bytes`; returns how long not to read on, nil where no wait is due.
  ///
  /// The limit may be another each time.
  public mutating func charge(
    _ bytes: Int,
    _ limit: RelayRateLimit,
    at now: Instant
  ) -> Duration? {
    let rate = Double(limit.bytesPerSecond)
    let seconds = Double(max(0, (now - last).wholeNanoseconds)) / 1e9
    credit = min(Double(limit.burst), credit + seconds * rate) - Double(bytes)
    last = now
    return credit < 0 ? .nanoseconds(Int64(-credit / rate * 1e9)) : nil
  }
}
