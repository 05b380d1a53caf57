// SPDX-License-Identifier: Apache-2.0

/// What is known of a device's posture under one name.
package enum PostureValue: Hashable, Sendable {
  /// A text, such as an operating system or a version.
  case text(String)
  /// A number.
  case number(Double)
  /// A truth value.
  case flag(Bool)
}

/// One condition of a posture: `node:os == 'linux'`, `node:tsVersion >= '1.40'`,
/// `node:os IN ['macos', 'linux']`, `custom:tier IS SET`.
struct PostureCondition: Hashable, Sendable {
  enum Comparison: String, Hashable, Sendable {
    case equal = "=="
    case different = "!="
    case less = "<"
    case atMost = "<="
    case greater = ">"
    case atLeast = ">="
    case among = "IN"
    case notAmong = "NOT IN"
    case isSet = "IS SET"
    case isUnset = "NOT SET"
  }

  var attribute: String
  var comparison: Comparison
  var values: [PostureValue]

  /// The condition that `text` spells; nil when it spells none.
  init?(_ text: String) {
    var words = PostureWords(text)
    guard let name = words.name(), Self.isAttribute(name), let comparison = words.comparison()
    else { return nil }
    attribute = name
    self.comparison = comparison
    switch comparison {
    case .isSet, .isUnset: values = []
    case .among, .notAmong:
      guard let list = words.list() else { return nil }
      values = list
    default:
      guard let value = words.value() else { return nil }
      values = [value]
    }
    guard words.isAtEnd else { return nil }
  }

  private static func isAttribute(_ name: String) -> Bool {
    let parts = name.split(separator: ":", omittingEmptySubsequences: false)
    return parts.count == 2 && parts.allSatisfy { !$0.isEmpty }
  }

  /// Whether a device of these attributes meets it.
  ///
  /// What is not known meets nothing but that it is not known, or is not some value.
  func isMet(by attributes: [String: PostureValue]) -> Bool {
    let known = attributes[attribute]
    switch comparison {
    case .isSet: return known != nil
    case .isUnset: return known == nil
    case .different: return known.map { $0 != values[0] } ?? true
    case .notAmong: return known.map { !values.contains($0) } ?? true
    case .equal: return known == values[0]
    case .among: return known.map(values.contains) ?? false
    case .less: return order(known).map { $0 < 0 } ?? false
    case .atMost: return order(known).map { $0 <= 0 } ?? false
    case .greater: return order(known).map { $0 > 0 } ?? false
    case .atLeast: return order(known).map { $0 >= 0 } ?? false
    }
  }

  /// How what is known stands to the value: versions part by part.
  private func order(_ known: PostureValue?) -> Int? {
    switch (known, values[0]) {
    case (.number(let left)?, .number(let right)):
      return left < right ? -1 : left > right ? 1 : 0
    case (.text(let left)?, .text(let right)):
      return Self.versionOrder(left, right)
    default: return nil
    }
  }

  static func versionOrder(_ left: String, _ right: String) -> Int {
    func parts(_ text: String) -> [Int] {
      text.split { !$0.isNumber || !$0.isASCII }.map { Int($0) ?? .max }
    }
    let (a, b) = (parts(left), parts(right))
    for index in 0..<max(a.count, b.count) {
      let (x, y) = (index < a.count ? a[index] : 0, index < b.count ? b[index] : 0)
      if x != y { return x < y ? -1 : 1 }
    }
    return 0
  }
}

/// Takes a condition apart.
private struct PostureWords {
  private var rest: Substring

  init(_ text: String) { rest = Substring(text) }

  var isAtEnd: Bool { rest.allSatisfy(\.isWhitespace) }

  private mutating func skipBlanks() { rest = rest.drop { $0.isWhitespace } }

  mutating func name() -> String? {
    skipBlanks()
    let name = rest.prefix { $0.isLetter || $0.isNumber || ":_-.".contains($0) }
    rest = rest.dropFirst(name.count)
    return name.isEmpty ? nil : String(name)
  }

  mutating func comparison() -> PostureCondition.Comparison? {
    skipBlanks()
    let symbol = rest.prefix { "=!<>".contains($0) }
    if !symbol.isEmpty {
      rest = rest.dropFirst(symbol.count)
      return PostureCondition.Comparison(rawValue: String(symbol))
    }
    guard let first = word() else { return nil }
    if first == "IN" { return .among }
    guard let second = word() else { return nil }
    return PostureCondition.Comparison(rawValue: first + " " + second)
  }

  private mutating func word() -> String? {
    skipBlanks()
    let word = rest.prefix { $0.isLetter }
    rest = rest.dropFirst(word.count)
    return word.isEmpty ? nil : word.uppercased()
  }

  mutating func value() -> PostureValue? {
    skipBlanks()
    guard let first = rest.first else { return nil }
    if first == "'" || first == "\"" {
      rest.removeFirst()
      guard let end = rest.firstIndex(of: first) else { return nil }
      defer { rest = rest[rest.index(after: end)...] }
      return .text(String(rest[..<end]))
    }
    let token = rest.prefix { !$0.isWhitespace && $0 != "," && $0 != "]" }
    rest = rest.dropFirst(token.count)
    switch token.lowercased() {
    case "true": return .flag(true)
    case "false": return .flag(false)
    default:
      guard let number = Double(token), number.isFinite else { return nil }
      return .number(number)
    }
  }

  mutating func list() -> [PostureValue]? {
    skipBlanks()
    guard rest.first == "[" else { return nil }
    rest.removeFirst()
    var values: [PostureValue] = []
    while let value = value() {
      values.append(value)
      skipBlanks()
      switch rest.first {
      case ",": rest.removeFirst()
      case "]":
        rest.removeFirst()
        return values
      default: return nil
      }
    }
    return nil
  }
}
