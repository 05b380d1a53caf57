// SPDX-License-Identifier: Apache-2.0

/// Reads JSON text value by value, in the order it is written.
///
/// A pull reader: the caller says what it expects next and the reader either gives it or throws.
/// Strict: the grammar of RFC 8259 and nothing more, names case-exact, strings valid UTF-8, integers
/// exact. Of members with one name the last wins, because callers assign as they read.
///
///     try reader.object { key, reader in
///       switch key {
///       case "Name": name = try reader.string()
///       default: try reader.skip()
///       }
///     }
///
/// - Source: RFC 8259.
public struct JSONReader: Sendable {
  /// How deep arrays and objects may nest.
  public static let maximumDepth = 128

  let bytes: [UInt8]
  var position = 0
  private var depth = 0
  /// Where the member name that was read last begins.
  public private(set) var nameOffset = 0

  /// A reader at the start of `bytes`.
  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Reads the one value that `bytes` hold.
  public static func read<Value>(
    _ bytes: [UInt8],
    _ body: (inout JSONReader) throws(JSONError) -> Value
  ) throws(JSONError) -> Value {
    var reader = JSONReader(bytes)
    let value = try body(&reader)
    try reader.end()
    return value
  }

  /// The kind of a value, told by its first byte.
  public enum Kind: Hashable, Sendable {
    case object
    case array
    case string
    case number
    case bool
    case null
  }

  /// The kind of the next value, which is not consumed.
  public mutating func peek() throws(JSONError) -> Kind {
    switch try nextByte() {
    case UInt8(ascii: "{"): return .object
    case UInt8(ascii: "["): return .array
    case UInt8(ascii: "\""): return .string
    case UInt8(ascii: "t"), UInt8(ascii: "f"): return .bool
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return .number
    case let other: throw JSONError(.unexpectedByte(other), offset: position)
    }
  }

  /// How many bytes have been consumed.
  public var offset: Int { position }

  /// Where the next value begins; it is not consumed.
  public mutating func nextOffset() throws(JSONError) -> Int {
    _ = try nextByte()
    return position
  }

  /// Reads an object, giving `body` each name with the reader at its value.
  ///
  /// The body must consume the value: read it or `skip` it.
  public mutating func object(
    _ body: (JSONKey, inout JSONReader) throws(JSONError) -> Void
  ) throws(JSONError) {
    try open(UInt8(ascii: "{"), "an object")
    if try !close(UInt8(ascii: "}")) {
      repeat {
        guard try nextByte() == UInt8(ascii: "\"") else {
          throw JSONError(.expected("a member name"), offset: position)
        }
        nameOffset = position
        let key = JSONKey(try string())
        try expect(UInt8(ascii: ":"))
        do { try body(key, &self) } catch { throw error.inside(key.text) }
      } while try separated(by: UInt8(ascii: "}"))
    }
    depth -= 1
  }

  /// Reads an object as `object` does, passing over members that are null.
  ///
  /// Null and absence mean the same in most protocols; where they do not, use `object`.
  public mutating func fields(
    _ body: (JSONKey, inout JSONReader) throws(JSONError) -> Void
  ) throws(JSONError) {
    try object { (key, reader) throws(JSONError) in
      if try !reader.null() { try body(key, &reader) }
    }
  }

  /// Reads an array, calling `body` with the reader at each element, which it must consume.
  public mutating func array(
    _ body: (inout JSONReader) throws(JSONError) -> Void
  ) throws(JSONError) {
    try open(UInt8(ascii: "["), "an array")
    if try !close(UInt8(ascii: "]")) {
      var index = 0
      repeat {
        do { try body(&self) } catch { throw error.inside(String(index)) }
        index += 1
      } while try separated(by: UInt8(ascii: "]"))
    }
    depth -= 1
  }

  /// Whether the next value is null; it is consumed when it is.
  public mutating func null() throws(JSONError) -> Bool {
    guard try nextByte() == UInt8(ascii: "n") else { return false }
    try literal("null")
    return true
  }

  /// Reads `true` or `false`.
  public mutating func bool() throws(JSONError) -> Bool {
    switch try nextByte() {
    case UInt8(ascii: "t"):
      try literal("true")
      return true
    case UInt8(ascii: "f"):
      try literal("false")
      return false
    default: throw JSONError(.expected("true or false"), offset: position)
    }
  }

  /// Passes over the next value, whatever it is, having checked that it is well-formed.
  public mutating func skip() throws(JSONError) {
    switch try peek() {
    case .object: try object { (_, reader) throws(JSONError) in try reader.skip() }
    case .array: try array { (reader) throws(JSONError) in try reader.skip() }
    case .string: try skipString()
    case .number: _ = try scanNumber()
    case .bool: _ = try bool()
    case .null: _ = try null()
    }
  }

  /// The next value as it is written, having checked that it is well-formed.
  public mutating func rawValue() throws(JSONError) -> [UInt8] {
    _ = try peek()
    let start = position
    try skip()
    return Array(bytes[start..<position])
  }

  /// Checks that nothing but white space is left.
  public mutating func end() throws(JSONError) {
    skipSpace()
    guard position == bytes.count else { throw JSONError(.trailingBytes, offset: position) }
  }

  /// The error that the value just read is no valid `wanted`.
  public func invalid(_ wanted: String) -> JSONError {
    JSONError(.invalidValue(wanted), offset: position)
  }
}

extension JSONReader {
  /// The first byte of the next token, which is not consumed.
  mutating func nextByte() throws(JSONError) -> UInt8 {
    skipSpace()
    guard position < bytes.count else { throw JSONError(.unexpectedEnd, offset: position) }
    return bytes[position]
  }

  private mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x09, 0x0A, 0x0D: position += 1
      default: return
      }
    }
  }

  private mutating func open(_ bracket: UInt8, _ kind: String) throws(JSONError) {
    guard try nextByte() == bracket else { throw JSONError(.expected(kind), offset: position) }
    guard depth < Self.maximumDepth else { throw JSONError(.tooDeep, offset: position) }
    depth += 1
    position += 1
  }

  private mutating func close(_ bracket: UInt8) throws(JSONError) -> Bool {
    guard try nextByte() == bracket else { return false }
    position += 1
    return true
  }

  /// Whether a comma follows, rather than the end of the container.
  private mutating func separated(by end: UInt8) throws(JSONError) -> Bool {
    let byte = try nextByte()
    guard byte == UInt8(ascii: ",") || byte == end else {
      throw JSONError(.unexpectedByte(byte), offset: position)
    }
    position += 1
    return byte != end
  }

  private mutating func expect(_ wanted: UInt8) throws(JSONError) {
    let byte = try nextByte()
    guard byte == wanted else { throw JSONError(.unexpectedByte(byte), offset: position) }
    position += 1
  }

  private mutating func literal(_ word: StaticString) throws(JSONError) {
    for wanted in word.description.utf8 {
      guard position < bytes.count else { throw JSONError(.unexpectedEnd, offset: position) }
      guard bytes[position] == wanted else {
        throw JSONError(.unexpectedByte(bytes[position]), offset: position)
      }
      position += 1
    }
  }
}
