// SPDX-License-Identifier: Apache-2.0

/// Header fields in the order they were sent; names are compared without regard to case.
package struct HTTPHeaders: Hashable, Sendable, ExpressibleByDictionaryLiteral {
  /// One field.
  package struct Field: Hashable, Sendable {
    /// Its name as written.
    package var name: String
    /// Its value, without surrounding blanks.
    package var value: String
  }

  /// The fields in order.
  package private(set) var fields: [Field] = []

  /// No fields.
  package init() {}

  /// Fields in the order given.
  package init(_ fields: [(String, String)]) {
    for (name, value) in fields { add(name, value) }
  }

  /// Fields in the order given.
  package init(dictionaryLiteral elements: (String, String)...) { self.init(elements) }

  /// Appends a field.
  package mutating func add(_ name: String, _ value: String) {
    fields.append(Field(name: name, value: value))
  }

  /// Replaces every field of that name by one.
  package mutating func set(_ name: String, _ value: String) {
    remove(name)
    add(name, value)
  }

  /// Removes every field of that name.
  package mutating func remove(_ name: String) {
    fields.removeAll { equalIgnoringCase($0.name, name) }
  }

  /// The first value of that name; setting replaces every one.
  package subscript(name: String) -> String? {
    get { fields.first { equalIgnoringCase($0.name, name) }?.value }
    set {
      remove(name)
      if let newValue { add(name, newValue) }
    }
  }

  /// Every value of that name, in order.
  package func values(_ name: String) -> [String] {
    fields.filter { equalIgnoringCase($0.name, name) }.map(\.value)
  }

  /// Whether a comma-separated list under that name has `token`, without regard to case.
  package func contains(_ token: String, in name: String) -> Bool {
    values(name).contains { list in
      list.split(separator: ",").contains { equalIgnoringCase(trimmed($0), token) }
    }
  }
}

/// Whether two texts are equal when ASCII letters are compared without regard to case.
func equalIgnoringCase(_ left: some StringProtocol, _ right: some StringProtocol) -> Bool {
  left.utf8.count == right.utf8.count
    && zip(left.utf8, right.utf8).allSatisfy { lowercased($0) == lowercased($1) }
}

/// `text` without blanks and tabs at either end.
func trimmed(_ text: Substring) -> Substring {
  let isBlank = { (character: Character) in character == " " || character == "\t" }
  guard let first = text.firstIndex(where: { !isBlank($0) }),
    let last = text.lastIndex(where: { !isBlank($0) })
  else { return "" }
  return text[first...last]
}

private func lowercased(_ byte: UInt8) -> UInt8 {
  (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
}
