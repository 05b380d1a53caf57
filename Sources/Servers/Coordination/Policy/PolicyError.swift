// SPDX-License-Identifier: Apache-2.0

/// Why a policy is refused, and where in its text.
package struct PolicyError: Error, Hashable, Sendable, CustomStringConvertible {
  /// A place in a text, counted from one as editors do.
  package struct Position: Hashable, Sendable, CustomStringConvertible {
    /// Which line.
    package let line: Int
    /// Which character of the line.
    package let column: Int

    /// The place `offset` bytes into `text`.
    init(offset: Int, in text: [UInt8]) {
      let before = text.prefix(max(offset, 0))
      line = before.count(where: { $0 == 0x0A }) + 1
      let start = before.lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
      // A character begins at every byte that does not go on with one.
      column = before[start...].count(where: { $0 & 0xC0 != 0x80 }) + 1
    }

    /// `line:column`.
    package var description: String { "\(line):\(column)" }
  }

  /// What is wrong.
  package let message: String
  /// Where.
  package let position: Position
  /// What more there is to know, such as each test that failed.
  package let details: [String]

  /// A fault, seen in the text that it is in.
  init(_ fault: PolicyFault, in text: [UInt8]) {
    message = fault.message
    position = Position(offset: fault.offset, in: text)
    details = fault.details
  }

  /// The place, what is wrong, and what more there is to know.
  package var description: String {
    let rest = details.isEmpty ? "" : ": " + details.joined(separator: "; ")
    return "\(position): \(message)\(rest)"
  }
}

/// A fault at a byte of the text, before it is known which line that is.
struct PolicyFault: Error, Hashable, Sendable {
  var offset: Int
  var message: String
  var details: [String] = []

  init(_ offset: Int, _ message: String, details: [String] = []) {
    self.offset = offset
    self.message = message
    self.details = details
  }
}

/// A value with the byte at which it is written.
struct Located<Value: Hashable & Sendable>: Hashable, Sendable {
  var value: Value
  var offset: Int

  init(_ value: Value, at offset: Int) {
    self.value = value
    self.offset = offset
  }
}
