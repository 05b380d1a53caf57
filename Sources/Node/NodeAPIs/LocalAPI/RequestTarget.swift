// SPDX-License-Identifier: Apache-2.0

/// The target of a request, taken apart: a path and the parameters after the question mark.
struct RequestTarget: Hashable, Sendable {
  /// The path, not decoded.
  let path: String
  private let parameters: [String: String]

  /// Takes apart `path?name=value&...`; of parameters with one name the first counts.
  init(_ target: String) {
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    path = String(parts[0])
    var parameters: [String: String] = [:]
    for pair in parts.dropFirst().first?.split(separator: "&") ?? [] {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let value = sides.count == 2 ? sides[1] : ""
      guard let name = Self.decode(sides[0]), let text = Self.decode(value) else { continue }
      if parameters[name] == nil { parameters[name] = text }
    }
    self.parameters = parameters
  }

  /// The parameter of that name; empty when it is missing.
  subscript(name: String) -> String { parameters[name] ?? "" }

  /// The truth value of a parameter, or `fallback` when it spells none.
  func bool(_ name: String, default fallback: Bool) -> Bool {
    switch self[name] {
    case "1", "t", "T", "true", "TRUE", "True": true
    case "0", "f", "F", "false", "FALSE", "False": false
    default: fallback
    }
  }

  /// Text as forms encode it: `%41` is `A`, `+` a space; nil when it is malformed or not UTF-8.
  private static func decode(_ text: Substring) -> String? {
    var bytes: [UInt8] = []
    var rest = Array(text.utf8)[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "+"): bytes.append(0x20)
      case UInt8(ascii: "%"):
        let digits = String(decoding: rest.prefix(2), as: UTF8.self)
        guard rest.count >= 2, !digits.hasPrefix("+"), let value = UInt8(digits, radix: 16) else {
          return nil
        }
        bytes.append(value)
        rest = rest.dropFirst(2)
      default: bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
