// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
package import Logging

/// What a setting may hold: something that a word on the command line, in a variable or in a file
/// spells.
package protocol SettingValue: Sendable {
  /// The value that `text` spells, or nil.
  init?(settingText text: String)
  /// What such a text looks like: `a duration such as 30s`.
  static var expectation: String { get }
}

/// The value that `text` spells, for `@Option(transform:)`.
///
/// - Throws: `ValidationError` that says what was expected.
package func settingValue<Value: SettingValue>(_ text: String) throws -> Value {
  guard let value = Value(settingText: text) else {
    throw ValidationError("it takes \(Value.expectation)")
  }
  return value
}

extension Bool: SettingValue {
  package init?(settingText text: String) {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": self = true
    case "0", "f", "F", "false", "FALSE", "False": self = false
    default: return nil
    }
  }

  package static var expectation: String { "true or false" }
}

extension String: SettingValue {
  package init?(settingText text: String) { self = text }
  package static var expectation: String { "a text" }
}

extension Int: SettingValue {
  package init?(settingText text: String) { self.init(text) }
  package static var expectation: String { "a whole number" }
}

extension UInt16: SettingValue {
  package init?(settingText text: String) {
    guard text.first != "+" else { return nil }
    self.init(text)
  }

  package static var expectation: String { "a whole number from 0 to 65535" }
}

extension Duration: SettingValue {
  package init?(settingText text: String) {
    guard let duration = DurationText.parse(text) else { return nil }
    self = duration
  }

  package static var expectation: String { "a duration such as 30s, 5m or 90d" }
}

/// A list written with commas; an empty text is an empty list.
extension [String]: SettingValue {
  package init?(settingText text: String) {
    self = text.split(separator: ",").map { part in
      String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
  }

  package static var expectation: String { "a list with commas between its parts" }
}

extension Logger.Level: SettingValue {
  package init?(settingText text: String) { self.init(rawValue: text) }

  package static var expectation: String {
    "trace, debug, info, notice, warning, error or critical"
  }
}
