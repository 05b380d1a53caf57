// SPDX-License-Identifier: Apache-2.0

extension JSONReader {
  /// Reads an integer exactly: a number with a fraction or an exponent is refused.
  public mutating func int64() throws(JSONError) -> Int64 { try integer() }

  /// Reads an integer exactly: a number with a fraction or an exponent is refused.
  public mutating func int() throws(JSONError) -> Int { try integer() }

  /// Reads an integer exactly, refusing one that `Value` cannot hold.
  public mutating func integer<Value: FixedWidthInteger>(
    _: Value.Type = Value.self
  ) throws(JSONError) -> Value {
    let token = try scanNumber()
    guard token.isInteger else {
      throw JSONError(.expected("an integer"), offset: token.range.lowerBound)
    }
    guard let value = Value(String(decoding: bytes[token.range], as: UTF8.self)) else {
      throw JSONError(.numberOutOfRange, offset: token.range.lowerBound)
    }
    return value
  }

  /// Reads a number, rounded to the nearest that a double holds.
  public mutating func double() throws(JSONError) -> Double {
    let token = try scanNumber()
    guard let value = Double(String(decoding: bytes[token.range], as: UTF8.self)), value.isFinite
    else { throw JSONError(.numberOutOfRange, offset: token.range.lowerBound) }
    return value
  }

  struct NumberToken {
    var range: Range<Int>
    var isInteger: Bool
  }

  /// Finds the end of a number: `-? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)?`.
  mutating func scanNumber() throws(JSONError) -> NumberToken {
    let first = try nextByte()
    let start = position
    if first == UInt8(ascii: "-") {
      position += 1
    } else if !Self.isDigit(first) {
      throw JSONError(.expected("a number"), offset: position)
    }
    let leadingZero = position < bytes.count && bytes[position] == UInt8(ascii: "0")
    let digits = try scanDigits()
    guard !leadingZero || digits == 1 else { throw JSONError(.malformedNumber, offset: start) }
    var isInteger = true
    if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
      isInteger = false
      position += 1
      _ = try scanDigits()
    }
    if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      isInteger = false
      position += 1
      if position < bytes.count,
        bytes[position] == UInt8(ascii: "+") || bytes[position] == UInt8(ascii: "-")
      {
        position += 1
      }
      _ = try scanDigits()
    }
    return NumberToken(range: start..<position, isInteger: isInteger)
  }

  private mutating func scanDigits() throws(JSONError) -> Int {
    let start = position
    while position < bytes.count, Self.isDigit(bytes[position]) { position += 1 }
    guard position > start else {
      throw JSONError(
        position == bytes.count ? .unexpectedEnd : .malformedNumber,
        offset: position
      )
    }
    return position - start
  }

  private static func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }
}
