// SPDX-License-Identifier: Apache-2.0

/// A JSON value as a tree, for tests, command lines and configuration files.
///
/// Wire types are read with `JSONReader` instead, which knows what it expects.
public indirect enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// A whole number: exact when it is spelled without fraction and exponent, else within 2^53.
  case integer(Int64)
  /// Any other number.
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object(JSONObject)

  /// Reads the one value that `bytes` hold.
  public init(parsing bytes: [UInt8]) throws(JSONError) { try self.init(json: bytes) }

  /// Reads the one value that `text` holds.
  public init(parsing text: String) throws(JSONError) { try self.init(json: Array(text.utf8)) }

  /// The member of that name, when this is an object that has it.
  public subscript(_ name: String) -> JSONValue? {
    if case .object(let members) = self { members[name] } else { nil }
  }

  /// The element at `index`, when this is an array that long.
  public subscript(_ index: Int) -> JSONValue? {
    if case .array(let elements) = self, elements.indices.contains(index) {
      elements[index]
    } else {
      nil
    }
  }

  /// The text, when this is a string.
  public var string: String? { if case .string(let text) = self { text } else { nil } }

  /// The number, when this is an integer.
  public var int: Int? { if case .integer(let number) = self { Int(number) } else { nil } }

  /// The number, when this is an integer.
  public var int64: Int64? { if case .integer(let number) = self { number } else { nil } }

  /// The number, when this is one.
  public var double: Double? {
    switch self {
    case .integer(let number): Double(number)
    case .number(let number): number
    default: nil
    }
  }

  /// The truth value, when this is one.
  public var bool: Bool? { if case .bool(let value) = self { value } else { nil } }

  /// The elements, when this is an array.
  public var array: [JSONValue]? { if case .array(let elements) = self { elements } else { nil } }

  /// The members, when this is an object.
  public var object: JSONObject? { if case .object(let members) = self { members } else { nil } }

  /// Whether this is null.
  public var isNull: Bool { self == .null }
}

/// The members of a JSON object, in the order they are written.
///
/// Equal to another when both have the same members, in whatever order.
public struct JSONObject: Sendable, Sequence {
  /// The members in order.
  public private(set) var members: [(name: String, value: JSONValue)] = []
  private var indices: [String: Int] = [:]

  /// No members.
  public init() {}

  /// How many members there are.
  public var count: Int { members.count }

  /// The names in order.
  public var names: [String] { members.map(\.name) }

  /// The value of the member of that name; setting nil removes it.
  public subscript(_ name: String) -> JSONValue? {
    get { indices[name].map { members[$0].value } }
    set {
      switch (indices[name], newValue) {
      case (let index?, let value?): members[index].value = value
      case (nil, let value?):
        indices[name] = members.count
        members.append((name, value))
      case (let index?, nil):
        members.remove(at: index)
        indices = Dictionary(
          uniqueKeysWithValues: members.enumerated().map { ($1.name, $0) }
        )
      case (nil, nil): break
      }
    }
  }

  /// Goes over the members in order.
  public func makeIterator() -> IndexingIterator<[(name: String, value: JSONValue)]> {
    members.makeIterator()
  }
}

extension JSONObject: Hashable {
  /// Whether both have the same members.
  public static func == (left: JSONObject, right: JSONObject) -> Bool {
    left.count == right.count && left.allSatisfy { right[$0.name] == $0.value }
  }

  /// Hashes what does not depend on the order.
  public func hash(into hasher: inout Hasher) { hasher.combine(Set(names)) }
}

extension JSONObject: ExpressibleByDictionaryLiteral {
  /// The members of a literal.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    for (name, value) in elements { self[name] = value }
  }
}

extension JSONValue: JSONReadable, JSONWritable {
  /// Reads any value.
  public init(reading reader: inout JSONReader) throws(JSONError) {
    switch try reader.peek() {
    case .null:
      _ = try reader.null()
      self = .null
    case .bool: self = .bool(try reader.bool())
    case .string: self = .string(try reader.string())
    case .number:
      let start = reader
      if let integer: Int64 = try? reader.integer() {  // Not an integer: read again as a double.
        self = .integer(integer)
      } else {
        reader = start
        self.init(floatLiteral: try reader.double())
      }
    case .array:
      var elements: [JSONValue] = []
      try reader.array { (reader) throws(JSONError) in
        elements.append(try JSONValue(reading: &reader))
      }
      self = .array(elements)
    case .object:
      var members = JSONObject()
      try reader.object { (key, reader) throws(JSONError) in
        members[key.text] = try JSONValue(reading: &reader)
      }
      self = .object(members)
    }
  }

  /// Writes this value, members in their order.
  public func write(to writer: inout JSONWriter) {
    switch self {
    case .null: writer.null()
    case .bool(let value): writer.bool(value)
    case .integer(let number): writer.integer(number)
    case .number(let number): writer.double(number)
    case .string(let text): writer.string(text)
    case .array(let elements): elements.write(to: &writer)
    case .object(let members):
      writer.object { writer in
        for member in members { writer.field(member.name, member.value) }
      }
    }
  }

  /// This value as text, on one line or indented.
  public func text(indentation: String? = nil) -> String {
    var writer = JSONWriter(indentation: indentation)
    write(to: &writer)
    return writer.text
  }
}

extension JSONValue: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
  ExpressibleByFloatLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral,
  ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
  /// A string.
  public init(stringLiteral text: String) { self = .string(text) }
  /// An integer.
  public init(integerLiteral number: Int64) { self = .integer(number) }
  /// A number.
  public init(floatLiteral number: Double) {
    // What is equal has one form, so that a value that is written and read stays the same.
    if let whole = Int64(exactly: number), abs(number) < 9_007_199_254_740_992 {
      self = .integer(whole)
    } else {
      self = .number(number)
    }
  }
  /// A truth value.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// An array.
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  /// An object.
  public init(dictionaryLiteral members: (String, JSONValue)...) {
    var object = JSONObject()
    for (name, value) in members { object[name] = value }
    self = .object(object)
  }
  /// Null.
  public init(nilLiteral: ()) { self = .null }
}
