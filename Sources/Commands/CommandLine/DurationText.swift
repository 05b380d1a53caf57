// SPDX-License-Identifier: Apache-2.0

/// Durations as people and scripts write them: `90d`, `1h30m`, `1.5s`, `250ms`, `0`.
package enum DurationText {
  private static let nanosecond: Int64 = 1
  private static let second: Int64 = 1_000_000_000

  /// The duration that `text` spells; nil when it spells none, a negative one, or more than 292 years.
  ///
  /// Units are `ns us µs ms s m h`, and `d` and `w` besides, each at most nine digits of fraction.
  package static func parse(_ text: some StringProtocol) -> Duration? {
    if text == "0" { return .zero }
    var rest = Array(text.utf8)[...]
    guard !rest.isEmpty else { return nil }
    var total: Int64 = 0
    while !rest.isEmpty {
      guard let amount = decimal(&rest), let unit = unit(&rest),
        let part = scaled(amount, by: unit)
      else { return nil }
      let (sum, overflow) = total.addingReportingOverflow(part)
      guard !overflow else { return nil }
      total = sum
    }
    return .nanoseconds(total)
  }

  /// The shortest text for `duration`: `1h30m0s`, `1.5s`, `12ms`, `3µs`, `0s`.
  package static func format(_ duration: Duration) -> String {
    let (seconds, attoseconds) = duration.components
    let negative = seconds < 0 || attoseconds < 0
    let whole = seconds.magnitude
    let nanoseconds = attoseconds.magnitude / 1_000_000_000
    let sign = negative ? "-" : ""
    guard whole > 0 else {
      return switch nanoseconds {
      case 0: "0s"
      case ..<1000: sign + "\(nanoseconds)ns"
      case ..<1_000_000: sign + fixed(nanoseconds, unit: 1000) + "µs"
      default: sign + fixed(nanoseconds, unit: 1_000_000) + "ms"
      }
    }
    let tail = fixed(whole % 60 * 1_000_000_000 + nanoseconds, unit: 1_000_000_000) + "s"
    switch whole {
    case ..<60: return sign + tail
    case ..<3600: return sign + "\(whole / 60)m" + tail
    default: return sign + "\(whole / 3600)h\(whole / 60 % 60)m" + tail
    }
  }

  /// `duration` rounded to a multiple of `unit`, half away from zero.
  package static func rounded(_ duration: Duration, to unit: Duration) -> Duration {
    let step = unit.components.seconds * second + unit.components.attoseconds / second
    let count =
      duration.components.seconds * second + duration.components.attoseconds / second
    guard step > 0 else { return duration }
    let half = count < 0 ? -step / 2 : step / 2
    return .nanoseconds((count + half) / step * step)
  }

  /// A number with its decimal fraction, in billionths when there is a fraction.
  private struct Decimal {
    var whole: Int64
    var billionths: Int64
  }

  private static func decimal(_ rest: inout ArraySlice<UInt8>) -> Decimal? {
    let whole = digits(&rest)
    var fraction: ArraySlice<UInt8> = []
    if rest.first == UInt8(ascii: ".") {
      rest.removeFirst()
      fraction = digits(&rest)
    }
    guard !whole.isEmpty || !fraction.isEmpty, whole.count <= 18, fraction.count <= 9 else {
      return nil
    }
    var billionths = value(fraction)
    for _ in fraction.count..<9 { billionths *= 10 }
    return Decimal(whole: value(whole), billionths: billionths)
  }

  private static func digits(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let run = rest.prefix { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    rest = rest[run.endIndex...]
    return run
  }

  private static func value(_ digits: ArraySlice<UInt8>) -> Int64 {
    digits.reduce(0) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
  }

  private static func unit(_ rest: inout ArraySlice<UInt8>) -> Int64? {
    let name = rest.prefix { !(UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) && $0 != 0x2E }
    rest = rest[name.endIndex...]
    return switch String(decoding: name, as: UTF8.self) {
    case "ns": nanosecond
    case "us", "µs", "μs": 1000
    case "ms": 1_000_000
    case "s": second
    case "m": 60 * second
    case "h": 3600 * second
    case "d": 86_400 * second
    case "w": 604_800 * second
    default: nil
    }
  }

  private static func scaled(_ amount: Decimal, by unit: Int64) -> Int64? {
    let (whole, overflow) = amount.whole.multipliedReportingOverflow(by: unit)
    let fraction = amount.billionths.multipliedFullWidth(by: unit)
    let part = second.dividingFullWidth(fraction).quotient
    let (sum, more) = whole.addingReportingOverflow(part)
    return overflow || more ? nil : sum
  }

  /// `count` over `unit` with its fraction, without trailing zeros.
  private static func fixed(_ count: UInt64, unit: UInt64) -> String {
    let fraction = count % unit
    guard fraction > 0 else { return String(count / unit) }
    var digits = String(unit + fraction).dropFirst()
    while digits.hasSuffix("0") { digits.removeLast() }
    return "\(count / unit).\(digits)"
  }
}
