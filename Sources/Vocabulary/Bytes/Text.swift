// SPDX-License-Identifier: Apache-2.0

// The standard library finds text in text with its engine for regular expressions, which a program
// carries whole from the first use on. Bytes are all that our formats ask for.
extension StringProtocol {
  /// Where `part` first stands in the text, byte for byte; nil when it does not, or is empty.
  public func firstPlace(of part: some StringProtocol) -> Range<Index>? {
    let (bytes, part) = (utf8, part.utf8)
    guard let first = part.first else { return nil }
    var start = bytes.startIndex
    while let found = bytes[start...].firstIndex(of: first) {
      if bytes[found...].starts(with: part) {
        return found..<bytes.index(found, offsetBy: part.count)
      }
      start = bytes.index(after: found)
    }
    return nil
  }

  /// The text with `other` wherever `part` stood, from left to right.
  public func exchanging(_ part: some StringProtocol, for other: String) -> String {
    var (text, rest) = ("", self[...])
    while let place = rest.firstPlace(of: part) {
      text.append(contentsOf: rest[..<place.lowerBound])
      text.append(contentsOf: other)
      rest = rest[place.upperBound...]
    }
    text.append(contentsOf: rest)
    return text
  }
}
