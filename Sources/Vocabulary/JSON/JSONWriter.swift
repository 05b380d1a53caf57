// SPDX-License-Identifier: Apache-2.0

import Bytes

/// Writes JSON text value by value.
///
///     var writer = JSONWriter()
///     writer.object { writer in
///       writer.field("Name", name)
///       writer.field("Tags", ifNonempty: tags)
///     }
///
/// Commas, quotes and indentation are the writer's; that there is one value at the top, and a name
/// before every member, is the caller's.
public struct JSONWriter: Sendable {
  /// What has been written.
  public private(set) var bytes: [UInt8] = []
  /// One level of indentation; nil writes everything on one line without spaces.
  public let indentation: String?

  private var depth = 0
  private var isFirst = true
  private var followsName = false

  /// A writer that puts all on one line, or indents each level by `indentation` and puts each
  /// member and element on a line of its own.
  public init(indentation: String? = nil) { self.indentation = indentation }

  /// What has been written, as text.
  public var text: String { String(decoding: bytes, as: UTF8.self) }

  /// Writes an object whose members `body` writes.
  public mutating func object(_ body: (inout JSONWriter) -> Void) {
    container(UInt8(ascii: "{"), UInt8(ascii: "}"), body)
  }

  /// Writes an array whose elements `body` writes.
  public mutating func array(_ body: (inout JSONWriter) -> Void) {
    container(UInt8(ascii: "["), UInt8(ascii: "]"), body)
  }

  /// Writes the name of a member; its value is written next.
  public mutating func name(_ name: String) {
    begin()
    append(quoted: name)
    bytes.append(UInt8(ascii: ":"))
    if indentation != nil { bytes.append(UInt8(ascii: " ")) }
    followsName = true
  }

  /// Writes a string.
  public mutating func string(_ value: some StringProtocol) {
    begin()
    append(quoted: value)
  }

  /// Writes an integer.
  public mutating func integer(_ value: some FixedWidthInteger) { plain(String(value)) }

  /// Writes a number; one that JSON cannot spell (not finite) becomes null.
  ///
  /// Whole numbers are written without a fraction.
  public mutating func double(_ value: Double) {
    if !value.isFinite {
      null()
    } else if let whole = Int64(exactly: value), abs(value) < 9_007_199_254_740_992 {
      plain(String(whole))
    } else {
      plain(String(value))
    }
  }

  /// Writes `true` or `false`.
  public mutating func bool(_ value: Bool) { plain(value ? "true" : "false") }

  /// Writes null.
  public mutating func null() { plain("null") }

  /// Writes bytes as base-64 text.
  public mutating func base64(_ value: some Collection<UInt8>) { string(Base64.encode(value)) }

  /// Writes a value that is JSON already.
  ///
  /// It is laid out anew when this writer indents; otherwise it is copied as it is. Bytes that are
  /// not one JSON value become null.
  public mutating func raw(_ value: [UInt8]) {
    if indentation == nil {
      guard (try? JSONReader.read(value, { (r) throws(JSONError) in try r.skip() })) != nil else {
        return null()  // The error is of no use here: the caller broke its promise.
      }
      begin()
      bytes.append(contentsOf: value)
    } else if let value = try? JSONValue(parsing: value) {  // As above.
      value.write(to: &self)
    } else {
      null()
    }
  }
}

extension JSONWriter {
  private mutating func container(
    _ open: UInt8,
    _ close: UInt8,
    _ body: (inout JSONWriter) -> Void
  ) {
    begin()
    bytes.append(open)
    depth += 1
    isFirst = true
    body(&self)
    precondition(!followsName, "a member has a name and no value")
    depth -= 1
    if !isFirst { newLine() }
    bytes.append(close)
    isFirst = false
  }

  private mutating func begin() {
    guard !followsName else {
      followsName = false
      isFirst = false
      return
    }
    if !isFirst { bytes.append(UInt8(ascii: ",")) }
    if depth > 0 { newLine() }
    isFirst = false
  }

  private mutating func newLine() {
    guard let indentation else { return }
    bytes.append(UInt8(ascii: "\n"))
    for _ in 0..<depth { bytes.append(contentsOf: indentation.utf8) }
  }

  private mutating func plain(_ token: String) {
    begin()
    bytes.append(contentsOf: token.utf8)
  }

  private mutating func append(quoted value: some StringProtocol) {
    bytes.append(UInt8(ascii: "\""))
    for byte in value.utf8 {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
      case 0x08: bytes += Array("\\b".utf8)
      case 0x0C: bytes += Array("\\f".utf8)
      case 0x0A: bytes += Array("\\n".utf8)
      case 0x0D: bytes += Array("\\r".utf8)
      case 0x09: bytes += Array("\\t".utf8)
      case 0..<0x20, 0x7F: bytes += Array("\\u00".utf8) + Array(Hex.encode([byte]).utf8)
      default: bytes.append(byte)
      }
    }
    bytes.append(UInt8(ascii: "\""))
  }
}
