// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

@Suite("Reading JSON")
struct JSONReaderTests {
  @Test(
    "Well-formed values are accepted",
    arguments: [
      "null", "true", "false", "0", "-0", "12", "-1.5e+10", "1E5", "0.5e-3", "\"\"", "[]", "{}",
      " [ 1 , 2 ]\n", "{\"a\":{\"b\":[{}]}}", "\"\\u0000\\\"\\/\"", "\"\u{7F}\"",
      "{\"a\":1,\"a\":2}", "\"\\uD83D\\uDE00\"", "9223372036854775807", "1e-400",
    ]
  )
  func accepted(text: String) throws {
    _ = try JSONValue(parsing: text)
    var reader = JSONReader(Array(text.utf8))
    let raw = try reader.rawValue()
    try reader.end()
    #expect(try JSONValue(parsing: raw) == JSONValue(parsing: text))
  }

  @Test(
    "Malformed text is refused, read or skipped",
    arguments: [
      "", " ", "nul", "nulll", "True", "tru", "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x10",
      "-01", "NaN", "Infinity", "1 2", "[1,]", "[,1]", "[1 2]", "[", "]", "{", "}", "{,}",
      "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{'a':1}", "{1:2}", "\"", "\"\\\"",
      "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\n\"", "\"\u{1}\"", "\"\\uD800\"",
      "\"\\uD800x\"", "\"\\uD800\\u0041\"", "\"\\uDC00\"", "// c\n1", "[1]]", "\u{FEFF}1",
      "{\"a\":1 \"b\":2}", "\"\\uD800\\uD800\"", "1,", "--1", "\u{A0}1",
    ]
  )
  func refused(text: String) {
    #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
    #expect(throws: JSONError.self) {
      try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in try reader.skip() }
    }
  }

  @Test(
    "Strings that are not UTF-8 are refused, read or skipped",
    arguments: [
      [0xFF], [0xC3], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0x80],
      [0xE2, 0x82],
    ] as [[UInt8]]
  )
  func invalidUTF8(bytes: [UInt8]) {
    let quoted = [UInt8(ascii: "\"")] + bytes + [UInt8(ascii: "\"")]
    let escaped = Array("\"\\n".utf8) + bytes + [UInt8(ascii: "\"")]
    for text in [quoted, escaped] {
      #expect(throws: JSONError.self) { try JSONValue(parsing: text) }
      #expect(throws: JSONError.self) {
        try JSONReader.read(text) { (reader) throws(JSONError) in try reader.skip() }
      }
    }
  }

  @Test("Escapes and surrogate pairs spell characters")
  func escapes() throws {
    let text = #""\"\\\/\b\f\n\r\tA\u00e9\u20AC\uD83D\uDE00é""#
    #expect(try JSONValue(parsing: text).string == "\"\\/\u{8}\u{C}\n\r\tAé€😀é")
  }

  @Test("Integers are exact over the whole range and refused past it")
  func integers() throws {
    func integer<Value: FixedWidthInteger>(_ text: String, _: Value.Type) throws -> Value {
      try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
        try reader.integer()
      }
    }
    #expect(try integer("9223372036854775807", Int64.self) == .max)
    #expect(try integer("-9223372036854775808", Int64.self) == .min)
    #expect(try integer("18446744073709551615", UInt64.self) == .max)
    #expect(try integer("65535", UInt16.self) == 65535)
    #expect(throws: JSONError.self) { try integer("9223372036854775808", Int64.self) }
    #expect(throws: JSONError.self) { try integer("65536", UInt16.self) }
    #expect(throws: JSONError.self) { try integer("-1", UInt8.self) }
    #expect(throws: JSONError.self) { try integer("1.0", Int64.self) }
    #expect(throws: JSONError.self) { try integer("1e3", Int64.self) }
    #expect(throws: JSONError.self) { try integer("\"1\"", Int64.self) }
    #expect(throws: JSONError.self) { try JSONValue(parsing: "1e999") }
    #expect(try JSONValue(parsing: "9223372036854775808") == .number(9_223_372_036_854_775_808))
  }

  @Test("Nesting is bounded")
  func depth() throws {
    func nested(_ depth: Int) -> String {
      String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
    }
    _ = try JSONValue(parsing: nested(128))
    let error = #expect(throws: JSONError.self) { try JSONValue(parsing: nested(129)) }
    #expect(error?.problem == .tooDeep)
    #expect(throws: JSONError.self) {
      try JSONValue(parsing: String(repeating: "{\"a\":", count: 100_000))
    }
  }

  @Test("Members are matched byte by byte and the last of a name wins")
  func members() throws {
    var seen: [String] = []
    let text = #"{"Key":1,"key":2,"\#u{212A}ey":3,"Key":4,"Null":null}"#
    try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
      try reader.fields { (key, reader) throws(JSONError) in
        switch key {
        case "Key": seen.append("Key=\(try reader.int())")
        default:
          seen.append(key.text)
          try reader.skip()
        }
      }
    }
    #expect(seen == ["Key=1", "key", "\u{212A}ey", "Key=4"])
    #expect(try JSONValue(parsing: #"{"a":1,"a":2}"#) == ["a": 2])
  }

  @Test("Errors say what, where and in which member")
  func errors() {
    let text = #"{"Peers":[{"Name":"a"},{"Name":7}]}"#
    let error = #expect(throws: JSONError.self) {
      try JSONReader.read(Array(text.utf8)) { (reader) throws(JSONError) in
        try reader.object { (_, reader) throws(JSONError) in
          try reader.array { (reader) throws(JSONError) in
            try reader.object { (_, reader) throws(JSONError) in _ = try reader.string() }
          }
        }
      }
    }
    #expect(error == JSONError(.expected("a string"), offset: 31, path: ["Peers", "1", "Name"]))
    #expect(error?.description == "JSON: expected a string in Peers.1.Name, at byte 31")
  }

  @Test("Lists pass over null, and null is an empty list, dictionary or byte string")
  func tolerance() throws {
    var reader = JSONReader(Array(#"[null,"a",null] null null null"#.utf8))
    #expect(try reader.list(of: String.self) == ["a"])
    #expect(try reader.list(of: String.self) == [])
    #expect(try reader.dictionary { (r) throws(JSONError) in try r.int() } == [:])
    #expect(try reader.base64() == [])
  }

  @Test("Raw values are taken as they are written")
  func raw() throws {
    var reader = JSONReader(Array(#"{"a": [1, {"b" :"\n"}] , "c":2}"#.utf8))
    var raw: [UInt8] = []
    try reader.object { (key, reader) throws(JSONError) in
      if key == "a" { raw = try reader.rawValue() } else { try reader.skip() }
    }
    #expect(String(decoding: raw, as: UTF8.self) == #"[1, {"b" :"\n"}]"#)
  }
}
