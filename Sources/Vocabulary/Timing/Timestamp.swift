// SPDX-License-Identifier: Apache-2.0

/// A date and time of day in UTC, as protocols and people write it (RFC 3339).
///
/// Wall clocks jump: deadlines are kept as `Instant`.
public struct Timestamp: Hashable, Sendable, Comparable {
  /// Whole seconds from 1970-01-01T00:00:00Z.
  public let seconds: Int64
  /// The rest, 0 up to a billion.
  public let nanoseconds: Int32

  /// `seconds` and `nanoseconds` after the Unix epoch.
  public init(seconds: Int64, nanoseconds: Int32 = 0) {
    precondition(
      (0..<1_000_000_000).contains(nanoseconds),
      "nanoseconds are a fraction of a second"
    )
    self.seconds = seconds
    self.nanoseconds = nanoseconds
  }

  /// The zero time of the control protocol: 0001-01-01T00:00:00Z, which stands for "none".
  public static let zero = Timestamp(seconds: -62_135_596_800)

  /// Whether this is the protocol's "none".
  public var isZero: Bool { self == .zero }

  /// Whether `left` comes first.
  public static func < (left: Timestamp, right: Timestamp) -> Bool {
    (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
  }

  /// The time that lies `duration` later.
  public static func + (time: Timestamp, duration: Duration) -> Timestamp {
    let total = Int64(time.nanoseconds) + duration.components.attoseconds / 1_000_000_000
    let carry = total < 0 ? -1 : total / 1_000_000_000
    let rest = total - carry * 1_000_000_000
    let (sum, overflow) = time.seconds.addingReportingOverflow(duration.components.seconds + carry)
    return Timestamp(
      seconds: overflow ? (duration < .zero ? .min : .max) : sum,
      nanoseconds: Int32(rest)
    )
  }

  /// How much later `left` is than `right`.
  public static func - (left: Timestamp, right: Timestamp) -> Duration {
    .seconds(left.seconds - right.seconds)
      + .nanoseconds(Int64(left.nanoseconds) - Int64(right.nanoseconds))
  }
}

extension Timestamp: CustomStringConvertible {
  /// RFC 3339 in UTC; the fraction without trailing zeros, absent when it is zero.
  public var description: String {
    let day = (seconds - modulo(seconds, 86_400)) / 86_400
    let second = modulo(seconds, 86_400)
    let date = CivilDate(day: day)
    var text =
      padded(date.year, 4) + "-" + padded(date.month, 2) + "-" + padded(date.day, 2) + "T"
      + padded(second / 3600, 2) + ":" + padded(second / 60 % 60, 2) + ":" + padded(second % 60, 2)
    if nanoseconds != 0 {
      var fraction = padded(Int64(nanoseconds), 9)
      while fraction.hasSuffix("0") { fraction.removeLast() }
      text += "." + fraction
    }
    return text + "Z"
  }

  /// The seconds of the years 0 to 9999.
  private static let spellable: ClosedRange<Int64> = -62_167_219_200...253_402_300_799

  /// The time that RFC 3339 text tells, or nil when it is not RFC 3339 (section 5.6).
  public init?(_ text: some StringProtocol) {
    var scanner = DigitScanner(Array(text.utf8))
    guard let year = scanner.digits(4), scanner.skip("-"), let month = scanner.digits(2),
      scanner.skip("-"), let day = scanner.digits(2), scanner.skip("T") || scanner.skip("t"),
      let hour = scanner.digits(2), scanner.skip(":"), let minute = scanner.digits(2),
      scanner.skip(":"), let second = scanner.digits(2),
      (1...12).contains(month), (1...CivilDate.days(in: month, of: year)).contains(day),
      hour < 24, minute < 60, second <= 60
    else { return nil }
    var fraction: Int64 = 0
    if scanner.skip(".") {
      guard let value = scanner.fraction() else { return nil }
      fraction = value
    }
    var offset: Int64 = 0
    if !(scanner.skip("Z") || scanner.skip("z")) {
      let sign: Int64
      if scanner.skip("+") { sign = 1 } else if scanner.skip("-") { sign = -1 } else { return nil }
      guard let hours = scanner.digits(2), scanner.skip(":"), let minutes = scanner.digits(2),
        hours < 24, minutes < 60
      else { return nil }
      offset = sign * (hours * 3600 + minutes * 60)
    }
    guard scanner.isAtEnd else { return nil }
    let days = CivilDate(year: year, month: month, day: day).dayNumber
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second - offset
    // An offset or a leap second may lead out of the years that four digits spell.
    guard Self.spellable.contains(seconds) else { return nil }
    self.init(seconds: seconds, nanoseconds: Int32(fraction))
  }
}

private func padded(_ value: Int64, _ width: Int) -> String {
  let digits = String(value)
  return String(repeating: "0", count: max(0, width - digits.count)) + digits
}

private func modulo(_ value: Int64, _ base: Int64) -> Int64 {
  let rest = value % base
  return rest < 0 ? rest + base : rest
}

/// A day of the proleptic Gregorian calendar.
///
/// Years are counted from March so that the leap day comes last; 400 years are 146,097 days.
private struct CivilDate {
  var year: Int64
  var month: Int64
  var day: Int64

  init(year: Int64, month: Int64, day: Int64) {
    (self.year, self.month, self.day) = (year, month, day)
  }

  init(day number: Int64) {
    let shifted = number + 719_468
    let era = (shifted - modulo(shifted, 146_097)) / 146_097
    let dayOfEra = modulo(shifted, 146_097)
    let yearOfEra =
      (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * dayOfYear + 2) / 153
    day = dayOfYear - (153 * marchMonth + 2) / 5 + 1
    month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
  }

  /// Days from 1970-01-01.
  var dayNumber: Int64 {
    let marchYear = month <= 2 ? year - 1 : year
    let era = (marchYear - modulo(marchYear, 400)) / 400
    let yearOfEra = modulo(marchYear, 400)
    let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
    return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
  }

  static func days(in month: Int64, of year: Int64) -> Int64 {
    switch month {
    case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
    case 4, 6, 9, 11: 30
    default: 31
    }
  }
}

private struct DigitScanner {
  private let text: [UInt8]
  private var position = 0

  init(_ text: [UInt8]) { self.text = text }

  var isAtEnd: Bool { position == text.count }

  mutating func digits(_ count: Int) -> Int64? {
    guard position + count <= text.count else { return nil }
    var value: Int64 = 0
    for character in text[position..<position + count] {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(character) else { return nil }
      value = value * 10 + Int64(character - UInt8(ascii: "0"))
    }
    position += count
    return value
  }

  mutating func skip(_ character: Unicode.Scalar) -> Bool {
    guard position < text.count, text[position] == UInt8(ascii: character) else { return false }
    position += 1
    return true
  }

  /// One or more digits after the point, as nanoseconds; digits past the ninth are dropped.
  mutating func fraction() -> Int64? {
    var value: Int64 = 0
    var count = 0
    while let digit = digits(1) {
      if count < 9 { value = value * 10 + digit }
      count += 1
    }
    guard count > 0 else { return nil }
    for _ in min(count, 9)..<9 { value *= 10 }
    return value
  }
}
