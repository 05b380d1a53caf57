// SPDX-License-Identifier: Apache-2.0

extension JSONReader {
  /// Reads a string.
  public mutating func string() throws(JSONError) -> String {
    let scanned = try scanString()
    let content = bytes[scanned.range]
    guard scanned.hasEscapes || !scanned.isASCII else {
      return String(decoding: content, as: UTF8.self)
    }
    let utf8 = scanned.hasEscapes ? Self.unescape(content) : Array(content)
    guard let text = String(validating: utf8, as: UTF8.self) else {
      throw JSONError(.invalidUTF8, offset: scanned.range.lowerBound)
    }
    return text
  }

  /// Passes over a string, checking it as `string` does.
  mutating func skipString() throws(JSONError) {
    let scanned = try scanString()
    guard scanned.isASCII || String(validating: bytes[scanned.range], as: UTF8.self) != nil else {
      throw JSONError(.invalidUTF8, offset: scanned.range.lowerBound)
    }
  }

  private struct ScannedString {
    var range: Range<Int>
    var hasEscapes = false
    var isASCII = true
  }

  /// Finds the end of a string and checks its escapes; UTF-8 is for the caller to check.
  private mutating func scanString() throws(JSONError) -> ScannedString {
    guard try nextByte() == UInt8(ascii: "\"") else {
      throw JSONError(.expected("a string"), offset: position)
    }
    position += 1
    var scanned = ScannedString(range: position..<position)
    while position < bytes.count {
      let byte = bytes[position]
      switch byte {
      case UInt8(ascii: "\""):
        scanned.range = scanned.range.lowerBound..<position
        position += 1
        return scanned
      case UInt8(ascii: "\\"):
        scanned.hasEscapes = true
        try scanEscape()
      case 0..<0x20: throw JSONError(.unexpectedByte(byte), offset: position)
      default:
        if byte >= 0x80 { scanned.isASCII = false }
        position += 1
      }
    }
    throw JSONError(.unexpectedEnd, offset: position)
  }

  private mutating func scanEscape() throws(JSONError) {
    guard position + 1 < bytes.count else { throw JSONError(.unexpectedEnd, offset: bytes.count) }
    switch bytes[position + 1] {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
      UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 2
    case UInt8(ascii: "u"):
      let unit = try codeUnit(at: position)
      switch unit {
      case 0xD800..<0xDC00:
        let low = try codeUnit(at: position + 6)
        guard (0xDC00..<0xE000).contains(low) else {
          throw JSONError(.malformedEscape, offset: position)
        }
        position += 12
      case 0xDC00..<0xE000: throw JSONError(.malformedEscape, offset: position)
      default: position += 6
      }
    default: throw JSONError(.malformedEscape, offset: position)
    }
  }

  /// The UTF-16 code unit of a `\uXXXX` at `start`.
  private func codeUnit(at start: Int) throws(JSONError) -> UInt16 {
    guard let unit = Self.codeUnit(bytes[min(start, bytes.count)...]) else {
      let ends = start + 6 > bytes.count
      throw JSONError(ends ? .unexpectedEnd : .malformedEscape, offset: min(start, bytes.count))
    }
    return unit
  }

  private static func codeUnit(_ escape: ArraySlice<UInt8>) -> UInt16? {
    let characters = escape.prefix(6)
    guard characters.count == 6, characters.starts(with: [UInt8(ascii: "\\"), UInt8(ascii: "u")])
    else { return nil }
    var unit: UInt16 = 0
    for character in characters.dropFirst(2) {
      let digit: UInt8
      switch character {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = character - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = character - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = character - UInt8(ascii: "A") + 10
      default: return nil
      }
      unit = unit << 4 | UInt16(digit)
    }
    return unit
  }

  /// The UTF-8 of string content whose escapes `scanString` has checked.
  private static func unescape(_ content: ArraySlice<UInt8>) -> [UInt8] {
    var utf8: [UInt8] = []
    utf8.reserveCapacity(content.count)
    var index = content.startIndex
    while index < content.endIndex {
      guard content[index] == UInt8(ascii: "\\") else {
        utf8.append(content[index])
        index += 1
        continue
      }
      switch content[index + 1] {
      case UInt8(ascii: "u"):
        guard let unit = codeUnit(content[index...]) else {
          preconditionFailure("an escape that was checked does not parse")
        }
        index += 6
        var scalar = UInt32(unit)
        if (0xD800..<0xDC00).contains(unit), let low = codeUnit(content[index...]) {
          scalar = 0x10000 + (UInt32(unit) - 0xD800) << 10 + (UInt32(low) - 0xDC00)
          index += 6
        }
        guard let scalar = Unicode.Scalar(scalar) else {
          preconditionFailure("half a surrogate pair passed the check")
        }
        utf8.append(contentsOf: UTF8.encode(scalar).map(Array.init) ?? [])
      case let character:
        utf8.append(Self.escaped(character))
        index += 2
      }
    }
    return utf8
  }

  private static func escaped(_ character: UInt8) -> UInt8 {
    switch character {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: character
    }
  }
}
