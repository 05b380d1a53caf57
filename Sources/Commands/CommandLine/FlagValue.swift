// SPDX-License-Identifier: Apache-2.0

/// What a flag may hold.
package protocol FlagValue: Sendable, Hashable {
  /// The value that `text` spells, or nil.
  init?(flagText text: String)
  /// The text that spells this value.
  var flagText: String { get }
  /// What stands for the value in help: `string`, `duration`.
  static var placeholder: String { get }
  /// Whether the flag alone means "yes", as in `--json`.
  static var isSwitch: Bool { get }
}

extension FlagValue {
  package static var isSwitch: Bool { false }
}

extension Bool: FlagValue {
  package init?(flagText text: String) {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": self = true
    case "0", "f", "F", "false", "FALSE", "False": self = false
    default: return nil
    }
  }

  package var flagText: String { self ? "true" : "false" }
  package static var placeholder: String { "" }
  package static var isSwitch: Bool { true }
}

extension String: FlagValue {
  package init?(flagText text: String) { self = text }
  package var flagText: String { self }
  package static var placeholder: String { "string" }
}

extension Int: FlagValue {
  package init?(flagText text: String) { self.init(text) }
  package var flagText: String { String(self) }
  package static var placeholder: String { "int" }
}

extension UInt16: FlagValue {
  package init?(flagText text: String) {
    guard text.first != "+" else { return nil }
    self.init(text)
  }

  package var flagText: String { String(self) }
  package static var placeholder: String { "uint" }
}

extension Duration: FlagValue {
  package init?(flagText text: String) {
    guard let duration = DurationText.parse(text) else { return nil }
    self = duration
  }

  package var flagText: String { DurationText.format(self) }
  package static var placeholder: String { "duration" }
}

/// A list written with commas; an empty text is an empty list.
extension [String]: FlagValue {
  package init?(flagText text: String) {
    self = text.split(separator: ",").map { part in
      String(part.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
  }

  package var flagText: String { joined(separator: ",") }
  package static var placeholder: String { "list" }
}
