// SPDX-License-Identifier: Apache-2.0

import JSON
import Testing

@Suite("Writing JSON")
struct JSONWriterTests {
  @Test("Members, elements and commas on one line")
  func compact() {
    var writer = JSONWriter()
    writer.object { writer in
      writer.field("a", 1)
      writer.field("b", ["x", "y"])
      writer.field("c", ifNonempty: [String]())
      writer.field("d", ifPresent: Int?.none)
      writer.field("e", orNull: Int?.none)
      writer.field("f", ifTrue: false)
      writer.field("g", base64: [1, 2, 3, 4])
      writer.field("h", raw: Array("{\"x\": 1}".utf8))
      writer.field("i") { $0.array { _ in } }
      writer.field("j", ifNonzero: 0.5)
      writer.field("k", ["z": 1, "y": 2])
      writer.object { _ in }
    }
    #expect(
      writer.text
        == #"{"a":1,"b":["x","y"],"e":null,"g":"AQIDBA==","h":{"x": 1},"i":[],"j":0.5,"#
        + #""k":{"y":2,"z":1},{}}"#
    )
  }

  @Test("Each level is indented, empty containers stay closed")
  func indented() throws {
    let value = try JSONValue(parsing: #"{"a":[1,{"b":"c"}],"d":{},"e":[]}"#)
    let text = """
      {
      \t"a": [
      \t\t1,
      \t\t{
      \t\t\t"b": "c"
      \t\t}
      \t],
      \t"d": {},
      \t"e": []
      }
      """
    #expect(value.text(indentation: "\t") == text)
    var writer = JSONWriter(indentation: "\t")
    writer.raw(Array(#"{"a":[1,{"b":"c"}],"d":{},"e":[]}"#.utf8))
    #expect(writer.text == text)
  }

  @Test("Control characters, quotes and backslashes are escaped; everything reads back")
  func escaping() throws {
    let text = String(String.UnicodeScalarView((0..<0x100).compactMap { Unicode.Scalar($0) }))
    let value = JSONValue.string(text + "\u{2028}😀")
    let written = value.text()
    #expect(!written.utf8.contains { $0 < 0x20 })
    #expect(try JSONValue(parsing: written) == value)
    #expect(JSONValue.string("\u{1F}\n\"\\").text() == #""\u001f\n\"\\""#)
  }

  @Test("Numbers read back as they were", arguments: [0, 0.1, -1.5e300, 1e-300, 1e21, 123_456])
  func numbers(number: Double) throws {
    #expect(try JSONValue(parsing: JSONValue.number(number).text()).double == number)
  }

  @Test("What JSON cannot spell becomes null")
  func unspellable() {
    #expect(JSONValue.number(.infinity).text() == "null")
    var writer = JSONWriter()
    writer.raw(Array("{broken".utf8))
    #expect(writer.text == "null")
  }

  @Test("Objects are equal in any order and keep theirs")
  func objects() throws {
    let value = try JSONValue(parsing: #"{"b":1,"a":2}"#)
    #expect(value == ["a": 2, "b": 1])
    #expect(value.hashValue == (["a": 2, "b": 1] as JSONValue).hashValue)
    #expect(value.object?.names == ["b", "a"])
    #expect(value.text() == #"{"b":1,"a":2}"#)
    var members = try #require(value.object)
    members["b"] = nil
    members["c"] = nil
    members["d"] = [1, nil]
    #expect(JSONValue.object(members).text() == #"{"a":2,"d":[1,null]}"#)
  }
}
