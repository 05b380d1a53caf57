// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

private func parse(_ text: String) throws -> JSONValue { try JSONValue(parsing: Array(text.utf8)) }

private func write(_ value: JSONValue, indented: Bool = false) -> String {
  var writer = JSONWriter(indented: indented)
  value.write(to: &writer)
  return String(decoding: writer.bytes, as: UTF8.self)
}

@Suite("JSON")
struct JSONTests {
  @Test(
    "What RFC 8259 allows is read, and written back to the same value",
    arguments: [
      "null", " true ", "false", "0", "-0", "-1", "9223372036854775807", "-9223372036854775808",
      "1.5", "1e3", "1E+3", "-1.25e-2", "\"\"", "\"a\\u0000b\"",
      "\"\\ud83d\\ude00 \\\\ \\/ \\b\\f\\n\\r\\t\"",
      "\"é😀\"", "[]", "[ ]", "[1,[2,{\"a\":[]}]]", "{}", "{\"a\":1,\"a\":2}", "{ \"\" : null }",
      "18446744073709551615",
    ]
  )
  func valid(text: String) throws {
    let value = try parse(text)
    #expect(try parse(write(value)) == value)
    #expect(try parse(write(value, indented: true)) == value)
  }

  @Test(
    "What RFC 8259 does not allow is refused",
    arguments: [
      "", " ", "nul", "True", "01", "-", "+1", "1.", ".5", "1e", "0x1", "NaN", "Infinity", "1e999",
      "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\n\"",
      "'a'", "[", "[1",
      "[1,]", "[,1]", "[1 2]", "{", "{\"a\"", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:1}",
      "{\"a\" 1}",
      "1 2", "[]]", "// c\n1", "\u{FEFF}1",
    ]
  )
  func invalid(text: String) {
    #expect(throws: JSONError.self) { try parse(text) }
  }

  @Test("Bytes that are not UTF-8 are refused inside strings")
  func encoding() {
    for bytes: [UInt8] in [
      [0xFF], [0xC0, 0x80], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xE2, 0x82],
    ] {
      #expect(throws: JSONError.self) { try JSONValue(parsing: [0x22] + bytes + [0x22]) }
    }
  }

  @Test("Nesting is read to its bound and refused beyond")
  func depth() throws {
    let bound = JSONReader.maximumDepth
    _ = try parse(String(repeating: "[", count: bound) + String(repeating: "]", count: bound))
    #expect(throws: JSONError(.depth, at: bound)) {
      try parse(String(repeating: "[", count: bound + 1) + String(repeating: "]", count: bound + 1))
    }
    #expect(throws: JSONError.self) { try parse(String(repeating: "[", count: 1_000_000)) }
  }

  @Test("A typed reader takes what it expects and names the place of the rest")
  func typed() throws {
    var reader = JSONReader(
      Array(#"{"n": 7, "s": "x", "raw": {"a": [1, 2]}, "more": [true]}"#.utf8)
    )
    var number = 0
    var text = ""
    var raw: [UInt8] = []
    try reader.object { (key, reader) throws(JSONError) in
      switch key {
      case "n": number = try reader.int()
      case "s": text = try reader.string()
      case "raw": raw = try reader.rawValue()
      default: try reader.skip()
      }
    }
    try reader.finish()
    #expect(number == 7 && text == "x")
    #expect(String(decoding: raw, as: UTF8.self) == #"{"a": [1, 2]}"#)
    #expect(throws: JSONError(.mismatch(expected: "a string"), at: 1)) {
      var wrong = JSONReader([0x20, 0x31])
      _ = try wrong.string()
    }
    #expect(throws: JSONError(.number, at: 0)) {
      var wrong = JSONReader(Array("256".utf8))
      _ = try wrong.integer(UInt8.self)
    }
    #expect(throws: JSONError.self) {
      var wrong = JSONReader(Array("1.0".utf8))
      _ = try wrong.int()
    }
  }

  @Test("Every truncation of a text is an error")
  func truncation() {
    let text = Array(#"{"key":["\u00e9\n",-1.5e3,true,null,{"a":"😀"}]}"#.utf8)
    for end in text.indices {
      #expect(throws: JSONError.self) { try JSONValue(parsing: Array(text[..<end])) }
    }
  }

  @Test("Any mutation of a text is read or refused, and what is read round-trips")
  func mutation() throws {
    var state: UInt64 = 42
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int(state >> 33) % bound
    }
    let seed = Array(
      #"{"Node":{"ID":1,"Name":"a\u00e9\ud83d\ude00","Up":true,"L":[1.5,-2,null,{}]}}"#.utf8
    )
    for _ in 0..<5000 {
      var text = seed
      for _ in 0...random(3) {
        switch random(3) {
        case 0: text[random(text.count)] = UInt8(random(256))
        case 1: text.remove(at: random(text.count))
        default: text.insert(UInt8(random(128)), at: random(text.count))
        }
      }
      guard let value = try? JSONValue(parsing: text) else { continue }
      #expect(try parse(write(value)) == value)
    }
  }

  @Test("Written text escapes what a page could take for markup, and indents with tabs")
  func written() throws {
    let value = try parse(#"{"a":"</script>&\u0001","b":[1,{}],"c":{}}"#)
    #expect(write(value) == "{\"a\":\"\\u003c/script\\u003e\\u0026\\u0001\",\"b\":[1,{}],\"c\":{}}")
    #expect(
      write(value, indented: true)
        == "{\n\t\"a\": \"\\u003c/script\\u003e\\u0026\\u0001\",\n\t\"b\": [\n\t\t1,\n\t\t{}\n\t],\n\t\"c\": {}\n}"
    )
  }
}
