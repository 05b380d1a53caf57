// SPDX-License-Identifier: Apache-2.0

import Bytes

/// Puts HTTP/1 messages into bytes.
enum MessageWriter {
  static func request(
    _ method: String,
    _ target: String,
    _ headers: HTTPHeaders
  ) throws -> [UInt8] {
    guard isSafe(method), isSafe(target), !target.contains(" ") else {
      throw HTTPTransportError(.malformed, "a request cannot go to '\(target)'")
    }
    return try bytes("\(method) \(target) HTTP/1.1", headers)
  }

  static func response(_ status: Int, _ headers: HTTPHeaders) throws -> [UInt8] {
    try bytes("HTTP/1.1 \(status) \(phrase(status))", headers)
  }

  private static func bytes(_ start: String, _ headers: HTTPHeaders) throws -> [UInt8] {
    var bytes = Array(start.utf8) + [0x0D, 0x0A]
    for field in headers.fields {
      // A line break in a value would let its author write headers of their own.
      guard isSafe(field.name), isSafe(field.value) else {
        throw HTTPTransportError(.malformed, "the header field '\(field.name)' has a line break")
      }
      bytes += field.name.utf8
      bytes += [UInt8(ascii: ":"), UInt8(ascii: " ")]
      bytes += field.value.utf8
      bytes += [0x0D, 0x0A]
    }
    return bytes + [0x0D, 0x0A]
  }

  private static func isSafe(_ text: String) -> Bool {
    text.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
  }

  /// One chunk of a body; it must not be empty.
  static func chunk(_ bytes: [UInt8]) -> [UInt8] {
    Array(String(bytes.count, radix: 16).utf8) + [0x0D, 0x0A] + bytes + [0x0D, 0x0A]
  }

  static let lastChunk = Array("0\r\n\r\n".utf8)

  private static func phrase(_ status: Int) -> String {
    switch status {
    case 100: "Continue"
    case 101: "Switching Protocols"
    case 200: "OK"
    case 201: "Created"
    case 202: "Accepted"
    case 204: "No Content"
    case 301: "Moved Permanently"
    case 302: "Found"
    case 304: "Not Modified"
    case 307: "Temporary Redirect"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 409: "Conflict"
    case 413: "Content Too Large"
    case 426: "Upgrade Required"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 500: "Internal Server Error"
    case 501: "Not Implemented"
    case 503: "Service Unavailable"
    default: "Status"
    }
  }
}
