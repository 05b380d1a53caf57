// SPDX-License-Identifier: Apache-2.0

internal import HTTPTransport
internal import JSON

/// The answers that every door of the server gives, with the headers that every answer carries.
enum Answer {
  static func text(_ status: Int, _ text: String) -> HTTPResponse {
    bytes(status, "text/plain; charset=utf-8", Array((text + "\n").utf8))
  }

  static func html(_ status: Int, _ page: String, mayPost: Bool = false) -> HTTPResponse {
    bytes(
      status,
      "text/html; charset=utf-8",
      Array(page.utf8),
      ("Content-Security-Policy", LoginPage.securityPolicy(mayPost: mayPost))
    )
  }

  static func json(_ status: Int, _ bytes: [UInt8]) -> HTTPResponse {
    Self.bytes(status, "application/json", bytes)
  }

  static func empty(_ status: Int) -> HTTPResponse { bytes(status, nil, []) }

  static func bytes(
    _ status: Int,
    _ type: String?,
    _ bytes: [UInt8],
    _ more: (String, String)...
  ) -> HTTPResponse {
    Self.bytes(status, type, bytes, more)
  }

  static func bytes(
    _ status: Int,
    _ type: String?,
    _ bytes: [UInt8],
    _ more: [(String, String)]
  ) -> HTTPResponse {
    HTTPResponse(status: status, headers: headers(type, more), body: .bytes(bytes))
  }

  static func headers(_ type: String?, _ more: [(String, String)] = []) -> HTTPHeaders {
    var headers = HTTPHeaders()
    if let type { headers.add("Content-Type", type) }
    headers.add("X-Content-Type-Options", "nosniff")
    headers.add("X-Frame-Options", "DENY")
    headers.add("Referrer-Policy", "no-referrer")
    headers.add("Cache-Control", "no-store")
    if !more.contains(where: { $0.0 == "Content-Security-Policy" }) {
      headers.add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
    }
    for (name, value) in more { headers.add(name, value) }
    return headers
  }
}

/// The path and the query of a request target, told apart.
struct RequestTarget {
  let path: String
  let query: [(name: String, value: String)]

  /// Takes a target apart; nil when it cannot be one.
  init?(_ target: String) {
    guard target.hasPrefix("/"), target.utf8.count <= 8192 else { return nil }
    let parts = target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    guard let path = Self.decoded(parts[0], plusIsSpace: false) else { return nil }
    self.path = path
    var query: [(name: String, value: String)] = []
    for field in parts.count > 1 ? parts[1].split(separator: "&").prefix(100) : [] {
      let pair = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard let name = Self.decoded(pair[0], plusIsSpace: true),
        let value = Self.decoded(pair.count > 1 ? pair[1] : "", plusIsSpace: true)
      else { return nil }
      query.append((name, value))
    }
    self.query = query
  }

  /// The first value of a name in the query.
  func value(_ name: String) -> String? { query.first { $0.name == name }?.value }

  /// The parts of the path between its slashes.
  var segments: [Substring] { path.split(separator: "/") }

  private static func decoded(_ text: Substring, plusIsSpace: Bool) -> String? {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "%"):
        guard let digits = String(rest.prefix(2)), digits.utf8.count == 2,
          let value = UInt8(digits, radix: 16)
        else { return nil }
        rest = rest.dropFirst(2)
        bytes.append(value)
      case UInt8(ascii: "+") where plusIsSpace: bytes.append(0x20)
      default: bytes.append(byte)
      }
    }
    return String(validating: bytes, as: UTF8.self)
  }
}
