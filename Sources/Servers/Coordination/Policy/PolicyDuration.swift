// SPDX-License-Identifier: Apache-2.0

/// Durations as policies spell them: `12h`, `1h30m`, `-1.5s`.
enum PolicyDuration {
  private static let units: [(String, Int64)] = [
    ("ns", 1), ("us", 1000), ("µs", 1000), ("ms", 1_000_000), ("s", 1_000_000_000),
    ("m", 60_000_000_000), ("h", 3_600_000_000_000),
  ]

  /// The nanoseconds that `text` spells; nil when it spells none or too many.
  static func nanoseconds(_ text: String) -> Int64? {
    var rest = Substring(text)
    let isNegative = rest.first == "-"
    if isNegative || rest.first == "+" { rest.removeFirst() }
    if rest == "0" { return 0 }
    guard !rest.isEmpty else { return nil }
    var total: Int64 = 0
    while !rest.isEmpty {
      let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
      rest = rest.dropFirst(digits.count)
      let unit = rest.prefix { !($0.isASCII && ($0.isNumber || $0 == ".")) }
      rest = rest.dropFirst(unit.count)
      guard let scale = units.first(where: { $0.0 == unit })?.1, digits.utf8.count <= 24,
        let number = Double(digits), number.isFinite, number * Double(scale) < 9.0e18
      else { return nil }
      let (sum, overflow) = total.addingReportingOverflow(Int64(number * Double(scale)))
      guard !overflow else { return nil }
      total = sum
    }
    return isNegative ? -total : total
  }

  /// The shortest spelling with hours, minutes and seconds: `-1m0s`, `1h0m0s`, `1.5s`.
  static func text(_ nanoseconds: Int64) -> String {
    if nanoseconds == 0 { return "0s" }
    let sign = nanoseconds < 0 ? "-" : ""
    let size = nanoseconds.magnitude
    for (unit, scale) in [("ns", UInt64(1)), ("µs", 1000), ("ms", 1_000_000)]
    where size < scale * 1000 && size < 1_000_000_000 {
      return sign + decimal(size, scale) + unit
    }
    let (hours, minutes) = (size / 3_600_000_000_000, size / 60_000_000_000 % 60)
    var text = sign
    if hours > 0 { text += "\(hours)h" }
    if hours > 0 || minutes > 0 { text += "\(minutes)m" }
    return text + decimal(size % 60_000_000_000, 1_000_000_000) + "s"
  }

  private static func decimal(_ value: UInt64, _ scale: UInt64) -> String {
    let (whole, rest) = (value / scale, value % scale)
    guard rest > 0 else { return String(whole) }
    var digits = String(rest + scale).dropFirst()
    while digits.last == "0" { digits.removeLast() }
    return "\(whole).\(digits)"
  }
}
