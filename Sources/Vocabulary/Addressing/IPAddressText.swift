// SPDX-License-Identifier: Apache-2.0

import Bytes

extension IPAddress: LosslessStringConvertible {
  /// Dotted decimal, or IPv6 text as RFC 5952 writes it.
  public var description: String {
    guard !isV4 else {
      let bits = v4Bits
      return "\(bits >> 24).\(bits >> 16 & 255).\(bits >> 8 & 255).\(bits & 255)"
    }
    if unmapped.isV4 { return "::ffff:\(unmapped)" }
    let groups = (0..<8).map { index -> UInt16 in
      let half = index < 4 ? high : low
      return UInt16(truncatingIfNeeded: half >> UInt64(48 - index % 4 * 16))
    }
    guard let zeros = Self.longestZeroRun(groups) else { return Self.joined(groups[...]) }
    return Self.joined(groups[..<zeros.lowerBound]) + "::"
      + Self.joined(groups[zeros.upperBound...])
  }

  /// The address that `text` spells; no zone, no brackets, no leading zeros in IPv4.
  public init?(_ text: String) { self.init(Substring(text)) }

  /// The address that `text` spells; no zone, no brackets, no leading zeros in IPv4.
  ///
  /// - Source: RFC 4291 §2.2; RFC 6943 §3.1.1 for why leading zeros are refused.
  public init?(_ text: Substring) {
    let characters = Array(text.utf8)
    guard characters.count <= 45 else { return nil }
    if characters.contains(UInt8(ascii: ":")) {
      guard let groups = Self.groups(text) else { return nil }
      self.init(
        high: groups.prefix(4).reduce(0) { $0 << 16 | UInt64($1) },
        low: groups.suffix(4).reduce(0) { $0 << 16 | UInt64($1) }
      )
    } else {
      guard let bits = Self.dottedDecimal(text) else { return nil }
      self.init(v4: bits)
    }
  }

  private static func longestZeroRun(_ groups: [UInt16]) -> Range<Int>? {
    var best: Range<Int>?
    var index = 0
    while index < groups.count {
      var end = index
      while end < groups.count, groups[end] == 0 { end += 1 }
      if end - index >= 2, end - index > best?.count ?? 0 { best = index..<end }
      index = max(end, index + 1)
    }
    return best
  }

  private static func joined(_ groups: ArraySlice<UInt16>) -> String {
    groups.map { String($0, radix: 16) }.joined(separator: ":")
  }

  private static func dottedDecimal(_ text: Substring) -> UInt32? {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 4 else { return nil }
    var bits: UInt32 = 0
    for part in parts {
      guard (1...3).contains(part.utf8.count), part.utf8.allSatisfy({ (48...57).contains($0) }),
        part.utf8.count == 1 || part.first != "0", let value = UInt8(part)
      else { return nil }
      bits = bits << 8 | UInt32(value)
    }
    return bits
  }

  private static func groups(_ text: Substring) -> [UInt16]? {
    guard let gap = text.firstPlace(of: "::") else {
      guard let all = list(text), all.count == 8 else { return nil }
      return all
    }
    let before = text[..<gap.lowerBound]
    let after = text[gap.upperBound...]
    guard let head = before.isEmpty ? [] : list(before), !before.contains("."),
      let tail = after.isEmpty ? [] : list(after), head.count + tail.count <= 7
    else { return nil }
    return head + Array(repeating: 0, count: 8 - head.count - tail.count) + tail
  }

  /// Groups between single colons; the last may be dotted decimal.
  private static func list(_ text: Substring) -> [UInt16]? {
    var groups: [UInt16] = []
    let parts = text.split(separator: ":", omittingEmptySubsequences: false)
    for (index, part) in parts.enumerated() {
      if index == parts.count - 1, part.contains(".") {
        guard let bits = dottedDecimal(part) else { return nil }
        groups += [UInt16(bits >> 16), UInt16(truncatingIfNeeded: bits)]
      } else {
        guard (1...4).contains(part.utf8.count), part.first != "+", part.first != "-",
          let value = UInt16(part, radix: 16)
        else { return nil }
        groups.append(value)
      }
    }
    return groups
  }
}
