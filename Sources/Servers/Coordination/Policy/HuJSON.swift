// SPDX-License-Identifier: Apache-2.0

internal import JSON

/// JSON as people write it: with comments and with commas after the last item.
enum HuJSON {
  /// How long a text may be.
  static let maximumBytes = 1 << 20
  /// How many values it may hold.
  static let maximumValues = 200_000

  /// The same text as plain JSON, every byte where it was.
  static func standardized(_ text: [UInt8]) throws(PolicyFault) -> [UInt8] {
    guard text.count <= maximumBytes else {
      throw PolicyFault(maximumBytes, "the policy is longer than \(maximumBytes) bytes")
    }
    var bytes = text
    var index = text.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    for mark in 0..<index { bytes[mark] = 0x20 }
    var last: UInt8 = 0
    var comma: Int?
    while index < bytes.count {
      let byte = bytes[index]
      switch byte {
      case 0x20, 0x09, 0x0A, 0x0D: index += 1
      case UInt8(ascii: "/"):
        let end = try endOfComment(at: index, in: bytes)
        for place in index..<end where bytes[place] != 0x0A { bytes[place] = 0x20 }
        index = end
      case UInt8(ascii: ","):
        comma = [0, UInt8(ascii: "["), UInt8(ascii: "{"), byte].contains(last) ? nil : index
        last = byte
        index += 1
      case UInt8(ascii: "]"), UInt8(ascii: "}"):
        if let comma { bytes[comma] = 0x20 }
        comma = nil
        last = byte
        index += 1
      default:
        comma = nil
        last = byte
        index = byte == UInt8(ascii: "\"") ? endOfString(at: index, in: bytes) : index + 1
      }
    }
    return bytes
  }

  private static func endOfComment(
    at start: Int,
    in bytes: [UInt8]
  ) throws(PolicyFault) -> Int {
    var index = start + 2
    switch start + 1 < bytes.count ? bytes[start + 1] : 0 {
    case UInt8(ascii: "/"):
      while index < bytes.count, bytes[index] != 0x0A { index += 1 }
      return index
    case UInt8(ascii: "*"):
      while index + 1 < bytes.count {
        if bytes[index] == UInt8(ascii: "*"), bytes[index + 1] == UInt8(ascii: "/") {
          return index + 2
        }
        index += 1
      }
      throw PolicyFault(start, "this comment does not end")
    default: throw PolicyFault(start, "unexpected '/'")
    }
  }

  /// Past the closing quote; the end of the text where there is none, which the reader then says.
  private static func endOfString(at start: Int, in bytes: [UInt8]) -> Int {
    var index = start + 1
    while index < bytes.count {
      switch bytes[index] {
      case UInt8(ascii: "\""): return index + 1
      case UInt8(ascii: "\\"): index += 2
      default: index += 1
      }
    }
    return bytes.count
  }
}

/// A value of the text, with the place of every part of it.
struct PolicySyntax: Hashable, Sendable {
  /// A member of an object.
  struct Member: Hashable, Sendable {
    var name: String
    var offset: Int
    var value: PolicySyntax
  }

  enum Content: Hashable, Sendable {
    case null
    case bool(Bool)
    case number
    case string(String)
    case array([PolicySyntax])
    case object([Member])
  }

  var content: Content
  /// Where it begins.
  var offset: Int
  /// Where it ends.
  var end: Int

  /// The one value that plain JSON holds.
  init(parsing bytes: [UInt8]) throws(PolicyFault) {
    var values = 0
    do throws(JSONError) {
      self = try JSONReader.read(bytes) { (reader) throws(JSONError) in
        try PolicySyntax(reading: &reader, counting: &values)
      }
    } catch {
      throw PolicyFault(min(error.offset, bytes.count), error.sentence)
    }
  }

  private init(
    reading reader: inout JSONReader,
    counting values: inout Int
  ) throws(JSONError) {
    values += 1
    offset = try reader.nextOffset()
    guard values <= HuJSON.maximumValues else {
      throw JSONError(.invalidValue("policy: it has too many values"), offset: offset)
    }
    switch try reader.peek() {
    case .null:
      _ = try reader.null()
      content = .null
    case .bool: content = .bool(try reader.bool())
    case .number:
      try reader.skip()
      content = .number
    case .string: content = .string(try reader.string())
    case .array:
      var elements: [PolicySyntax] = []
      try reader.array { (reader) throws(JSONError) in
        elements.append(try PolicySyntax(reading: &reader, counting: &values))
      }
      content = .array(elements)
    case .object:
      var members: [Member] = []
      try reader.object { (key, reader) throws(JSONError) in
        let place = reader.nameOffset
        let value = try PolicySyntax(reading: &reader, counting: &values)
        members.append(Member(name: key.text, offset: place, value: value))
      }
      content = .object(members)
    }
    end = reader.offset
  }

  /// What it is, for people.
  var kind: String {
    switch content {
    case .null: "null"
    case .bool: "true or false"
    case .number: "a number"
    case .string: "a text"
    case .array: "a list"
    case .object: "an object"
    }
  }
}
