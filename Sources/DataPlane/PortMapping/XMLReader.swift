// SPDX-License-Identifier: Apache-2.0

/// Why a document is not read.
package enum XMLError: Error, Hashable, Sendable {
  /// It ends in the middle of something.
  case truncated
  /// It is no XML, at that byte.
  case malformed(at: Int)
  /// It declares a document type: a way to make a small document large.
  case declaresType
  /// It is longer, deeper or fuller than any device needs.
  case tooLarge
  /// An end that is not that of the element that is open.
  case mismatchedEnd
}

/// Reads the little XML that gateways write: elements and text, within bounds, in one pass.
///
/// Attributes, comments and instructions are passed over; the prefix of a name is dropped. A document
/// type, and with it every entity but the five of the language, is refused.
package struct XMLReader: Sendable {
  /// What comes next in a document.
  package enum Event: Hashable, Sendable {
    /// An element begins; its name without prefix.
    case start(String)
    /// Text, with blanks around it.
    case text(String)
    /// The innermost element ends.
    case end(String)
  }

  /// The longest document.
  package static let maximumBytes = 64 * 1024
  /// How deep elements may lie in one another.
  package static let maximumDepth = 32
  /// The longest name.
  package static let maximumNameLength = 128
  /// The longest piece of text.
  package static let maximumTextLength = 4096
  /// The most elements.
  package static let maximumElements = 4096

  private let bytes: [UInt8]
  private var position = 0
  private var open: [String] = []
  private var elements = 0
  private var pendingEnd: String?
  private var hasEnded = false

  /// Reads `document`.
  package init(_ document: [UInt8]) throws(XMLError) {
    guard document.count <= Self.maximumBytes else { throw .tooLarge }
    // A byte order mark says nothing here.
    bytes = document.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(document.dropFirst(3)) : document
  }

  /// What comes next; nil at the end of the document.
  package mutating func next() throws(XMLError) -> Event? {
    if let name = pendingEnd.take() { return .end(name) }
    while position < bytes.count {
      if bytes[position] != UInt8(ascii: "<") {
        guard let text = try text() else { continue }
        return .text(text)
      }
      if try skip("<!--", to: "-->") { continue }
      if try skip("<?", to: "?>") { continue }
      if starts(with: "<![CDATA[") {
        let text = try characterData()
        if !text.isEmpty { return .text(text) }
        continue
      }
      if starts(with: "<!") { throw .declaresType }
      if starts(with: "</") { return try end() }
      return try start()
    }
    guard open.isEmpty, hasEnded else { throw .truncated }
    return nil
  }

  // MARK: Elements

  private mutating func start() throws(XMLError) -> Event {
    guard !hasEnded else { throw .malformed(at: position) }
    position += 1
    let name = try name()
    elements += 1
    guard elements <= Self.maximumElements, open.count < Self.maximumDepth else { throw .tooLarge }
    let isEmpty = try skipAttributes()
    if isEmpty {
      pendingEnd = name
      if open.isEmpty { hasEnded = true }
    } else {
      open.append(name)
    }
    return .start(name)
  }

  private mutating func end() throws(XMLError) -> Event {
    position += 2
    let name = try name()
    skipBlanks()
    guard position < bytes.count else { throw .truncated }
    guard bytes[position] == UInt8(ascii: ">") else { throw .malformed(at: position) }
    position += 1
    guard open.popLast() == name else { throw .mismatchedEnd }
    if open.isEmpty { hasEnded = true }
    return .end(name)
  }

  /// Passes over attributes up to the end of the tag.
  ///
  /// - Returns: Whether the element is empty.
  private mutating func skipAttributes() throws(XMLError) -> Bool {
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      switch byte {
      case UInt8(ascii: ">"): return false
      case UInt8(ascii: "/"):
        guard position < bytes.count else { throw .truncated }
        guard bytes[position] == UInt8(ascii: ">") else { throw .malformed(at: position) }
        position += 1
        return true
      case UInt8(ascii: "\""), UInt8(ascii: "'"):
        guard let end = bytes[position...].firstIndex(of: byte) else { throw .truncated }
        position = end + 1
      case UInt8(ascii: "<"): throw .malformed(at: position - 1)
      default: break
      }
    }
    throw .truncated
  }

  private mutating func name() throws(XMLError) -> String {
    let begin = position
    while position < bytes.count, Self.isNameByte(bytes[position]) { position += 1 }
    guard position < bytes.count else { throw .truncated }
    guard position - begin <= Self.maximumNameLength else { throw .tooLarge }
    let whole = bytes[begin..<position]
    let local = whole.lastIndex(of: UInt8(ascii: ":")).map { whole[($0 + 1)...] } ?? whole
    guard !local.isEmpty else { throw .malformed(at: begin) }
    return String(decoding: local, as: UTF8.self)
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"),
      UInt8(ascii: "."), UInt8(ascii: ":"):
      true
    default: false
    }
  }

  // MARK: Text

  /// The text up to the next tag; nil for blanks.
  private mutating func text() throws(XMLError) -> String? {
    let end = bytes[position...].firstIndex(of: UInt8(ascii: "<")) ?? bytes.endIndex
    let raw = bytes[position..<end]
    let begin = position
    position = end
    if raw.allSatisfy(Self.isBlank) { return nil }
    guard !open.isEmpty else { throw .malformed(at: begin) }
    guard raw.count <= Self.maximumTextLength else { throw .tooLarge }
    return try Self.unescaped(raw)
  }

  private mutating func characterData() throws(XMLError) -> String {
    let begin = position + "<![CDATA[".utf8.count
    position = try place(of: "]]>", from: begin)
    let raw = bytes[begin..<position]
    position += 3
    guard !open.isEmpty else { throw .malformed(at: begin) }
    guard raw.count <= Self.maximumTextLength else { throw .tooLarge }
    return String(decoding: raw, as: UTF8.self)
  }

  private static func unescaped(_ raw: ArraySlice<UInt8>) throws(XMLError) -> String {
    var text: [UInt8] = []
    var index = raw.startIndex
    while index < raw.endIndex {
      guard raw[index] == UInt8(ascii: "&") else {
        text.append(raw[index])
        index += 1
        continue
      }
      guard let end = raw[index...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else {
        throw .malformed(at: index)
      }
      guard let character = character(named: raw[(index + 1)..<end]) else {
        throw .malformed(at: index)
      }
      text += Array(String(character).utf8)
      index = end + 1
    }
    return String(decoding: text, as: UTF8.self)
  }

  private static func character(named name: ArraySlice<UInt8>) -> Character? {
    let name = String(decoding: name, as: UTF8.self)
    switch name {
    case "amp": return "&"
    case "lt": return "<"
    case "gt": return ">"
    case "quot": return "\""
    case "apos": return "'"
    default: break
    }
    guard name.hasPrefix("#") else { return nil }
    let isHexadecimal = name.hasPrefix("#x")
    let digits = name.dropFirst(isHexadecimal ? 2 : 1)
    guard digits.utf8.allSatisfy({ $0 != UInt8(ascii: "+") && $0 != UInt8(ascii: "-") }) else {
      return nil
    }
    let number = UInt32(digits, radix: isHexadecimal ? 16 : 10)
    return number.flatMap { $0 == 0 ? nil : Unicode.Scalar($0) }.map(Character.init)
  }

  // MARK: Places

  private func starts(with text: String) -> Bool { bytes[position...].starts(with: text.utf8) }

  /// Passes over what begins and ends with these, if it is what comes next.
  private mutating func skip(_ begin: String, to end: String) throws(XMLError) -> Bool {
    guard starts(with: begin) else { return false }
    position = try place(of: end, from: position + begin.utf8.count) + end.utf8.count
    return true
  }

  private func place(of mark: String, from begin: Int) throws(XMLError) -> Int {
    let mark = Array(mark.utf8)
    var index = begin
    while index + mark.count <= bytes.count {
      if bytes[index..<(index + mark.count)].elementsEqual(mark) { return index }
      index += 1
    }
    throw .truncated
  }

  private mutating func skipBlanks() {
    while position < bytes.count, Self.isBlank(bytes[position]) { position += 1 }
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D
  }
}
