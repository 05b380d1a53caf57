// SPDX-License-Identifier: Apache-2.0

/// An `http://` or `https://` address taken apart.
package struct HTTPURL: Hashable, Sendable, CustomStringConvertible {
  /// Whether it is `https`.
  package let isSecure: Bool
  /// The host, a name or an address without brackets.
  package let host: String
  /// The port, the usual one where none was given.
  package let port: UInt16
  /// Path and query, at least `/`.
  package let target: String

  /// The address that `text` spells; nil when it is not one, or names a user.
  package init?(_ text: String) {
    guard let separator = text.firstRange(ofCharacters: "://") else { return nil }
    switch text[..<separator.lowerBound].lowercased() {
    case "http": isSecure = false
    case "https": isSecure = true
    default: return nil
    }
    let rest = text[separator.upperBound...].prefix { $0 != "#" }
    let end = rest.firstIndex { $0 == "/" || $0 == "?" } ?? rest.endIndex
    guard let (host, port) = Self.authority(rest[..<end]) else { return nil }
    let path = rest[end...]
    guard path.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
    self.host = host
    self.port = port ?? (isSecure ? 443 : 80)
    target = path.hasPrefix("/") ? String(path) : "/" + path
  }

  private static func authority(_ text: Substring) -> (String, UInt16?)? {
    var host = text
    var port: UInt16?
    let bracket = text.lastIndex(of: "]")
    if let colon = text.lastIndex(of: ":"), bracket.map({ $0 < colon }) ?? true {
      let digits = text[text.index(after: colon)...]
      guard digits.utf8.allSatisfy({ (48...57).contains($0) }), let number = UInt16(digits),
        number > 0
      else { return nil }
      port = number
      host = text[..<colon]
    }
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    let isSafe = host.utf8.allSatisfy {
      (0x21...0x7E).contains($0) && !"@/?#[]\\".utf8.contains($0)
    }
    guard !host.isEmpty, isSafe, bracket != nil || !host.contains(":") else { return nil }
    return (String(host), port)
  }

  /// The value of a `Host` field: the port only where it is not the usual one.
  package var hostField: String {
    let name = host.contains(":") ? "[\(host)]" : host
    return port == (isSecure ? 443 : 80) ? name : "\(name):\(port)"
  }

  /// The address as text.
  package var description: String { "\(isSecure ? "https" : "http")://\(hostField)\(target)" }
}

extension String {
  fileprivate func firstRange(ofCharacters pattern: String) -> Range<Index>? {
    var index = startIndex
    while index < endIndex {
      if self[index...].hasPrefix(pattern) {
        return index..<self.index(index, offsetBy: pattern.count)
      }
      index = self.index(after: index)
    }
    return nil
  }
}
