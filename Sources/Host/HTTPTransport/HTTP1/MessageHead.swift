// SPDX-License-Identifier: Apache-2.0

/// The first line and the header fields of an HTTP/1 message.
///
/// Strict where leniency has been abused to smuggle requests: lines end in CR LF, nothing is folded,
/// no blank before a colon, no control characters, lengths are digits and agree.
///
/// - Source: RFC 9112 §§2-6, RFC 9110 §5.
package struct MessageHead: Hashable, Sendable {
  /// The first line taken apart.
  package enum Start: Hashable, Sendable {
    /// Method and target.
    case request(method: String, target: String)
    /// The status; its phrase means nothing.
    case response(status: Int)
  }

  /// How the end of a body is found.
  package enum Framing: Hashable, Sendable {
    /// It has this many bytes.
    case length(Int)
    /// It comes in chunks.
    case chunked
    /// It lasts until the connection ends.
    case untilEnd
  }

  /// Why a head is refused.
  package enum Refusal: Error, Hashable, Sendable {
    /// It is longer than allowed, or has too many fields.
    case tooLarge
    /// It breaks the grammar.
    case malformed(String)
    /// It is HTTP, but of a version or coding that is not served.
    case unsupported(String)
  }

  /// The most header fields of one message.
  package static let maximumFields = 128

  /// The first line.
  package let start: Start
  /// Whether it is HTTP/1.1, not 1.0.
  package let isVersion11: Bool
  /// The header fields.
  package let headers: HTTPHeaders

  /// The head that `bytes` hold, without the empty line that ends it.
  package init(parsing bytes: ArraySlice<UInt8>) throws(Refusal) {
    var lines = Lines(rest: bytes)
    let first = try lines.next() ?? ""
    (start, isVersion11) = try Self.parseStart(first)
    var headers = HTTPHeaders()
    while let line = try lines.next() {
      guard headers.fields.count < Self.maximumFields else { throw .tooLarge }
      guard let colon = line.firstIndex(of: ":") else {
        throw .malformed("a header line has no colon")
      }
      let name = line[..<colon]
      guard !name.isEmpty, name.utf8.allSatisfy(isTokenByte) else {
        throw .malformed("a header field has no proper name")
      }
      headers.add(String(name), String(trimmed(line[line.index(after: colon)...])))
    }
    self.headers = headers
  }

  private static func parseStart(_ line: Substring) throws(Refusal) -> (Start, Bool) {
    let parts = line.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard parts.count >= 2 else { throw .malformed("the first line is not HTTP") }
    if let minor = minorVersion(parts[0]) {
      guard parts[1].utf8.count == 3, parts[1].utf8.allSatisfy(isDigit), let status = Int(parts[1]),
        status >= 100
      else { throw .malformed("the status is not a number of three digits") }
      return (.response(status: status), minor == 1)
    }
    guard parts.count == 3 else { throw .malformed("the first line is not HTTP") }
    guard let minor = minorVersion(parts[2]) else {
      guard isVersion(parts[2]) else { throw .malformed("the first line is not HTTP") }
      throw .unsupported("only HTTP/1.1 and HTTP/1.0 are spoken here")
    }
    guard !parts[0].isEmpty, parts[0].utf8.allSatisfy(isTokenByte) else {
      throw .malformed("the method is not a word")
    }
    guard !parts[1].isEmpty, parts[1].utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
      throw .malformed("the target has characters that it must not have")
    }
    return (.request(method: String(parts[0]), target: String(parts[1])), minor == 1)
  }

  private static func isVersion(_ text: Substring) -> Bool {
    let bytes = Array(text.utf8)
    return bytes.starts(with: "HTTP/".utf8) && bytes.count == 8 && isDigit(bytes[5])
      && bytes[6] == UInt8(ascii: ".") && isDigit(bytes[7])
  }

  private static func minorVersion(_ text: Substring) -> Int? {
    switch text {
    case "HTTP/1.1": 1
    case "HTTP/1.0": 0
    default: nil
    }
  }

  /// Whether the sender wants to use the connection again.
  package var keepsAlive: Bool {
    if headers.contains("close", in: "Connection") { return false }
    return isVersion11 || headers.contains("keep-alive", in: "Connection")
  }

  /// Where the body of a request ends.
  package func requestFraming() throws(Refusal) -> Framing {
    guard headers["Transfer-Encoding"] != nil else { return .length(try contentLength() ?? 0) }
    return try chunkedFraming()
  }

  /// Where the body of a response to `method` ends.
  package func responseFraming(to method: String) throws(Refusal) -> Framing {
    guard case .response(let status) = start else {
      throw .malformed("a request came where a response was due")
    }
    if method == "HEAD" || status < 200 || status == 204 || status == 304 { return .length(0) }
    if headers["Transfer-Encoding"] != nil { return try chunkedFraming() }
    return try contentLength().map { .length($0) } ?? .untilEnd
  }

  private func chunkedFraming() throws(Refusal) -> Framing {
    guard headers["Content-Length"] == nil else {
      throw .malformed("a body has both a length and a transfer coding")
    }
    guard headers.values("Transfer-Encoding").count == 1,
      headers["Transfer-Encoding"].map({ equalIgnoringCase($0, "chunked") }) == true, isVersion11
    else { throw .unsupported("the only transfer coding here is 'chunked'") }
    return .chunked
  }

  private func contentLength() throws(Refusal) -> Int? {
    let values = Set(headers.values("Content-Length"))
    guard let value = values.first else { return nil }
    guard values.count == 1, (1...18).contains(value.utf8.count), value.utf8.allSatisfy(isDigit),
      let length = Int(value)
    else { throw .malformed("the length of the body is not a number") }
    return length
  }
}

/// Takes a head apart into lines that end in CR LF and hold no other control characters.
private struct Lines {
  private var rest: ArraySlice<UInt8>?

  init(rest: ArraySlice<UInt8>) { self.rest = rest }

  mutating func next() throws(MessageHead.Refusal) -> Substring? {
    guard var line = rest else { return nil }
    rest = nil
    if let end = line.firstIndex(of: UInt8(ascii: "\r")) {
      let after = line[(end + 1)...]
      guard after.first == UInt8(ascii: "\n") else {
        throw .malformed("a carriage return does not end its line")
      }
      rest = after.dropFirst()
      line = line[..<end]
    }
    guard line.allSatisfy({ $0 == 0x09 || $0 >= 0x20 && $0 != 0x7F }),
      let text = String(validating: line, as: UTF8.self)
    else { throw .malformed("a header line has characters that it must not have") }
    return text[...]
  }
}

private func isDigit(_ byte: UInt8) -> Bool {
  (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
}

/// The characters of a token.
///
/// - Source: RFC 9110 §5.6.2.
private func isTokenByte(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"):
    true
  default: "!#$%&'*+-.^_`|~".utf8.contains(byte)
  }
}
