// SPDX-License-Identifier: Apache-2.0

import CommandLine
import HTTPTransport
import JSON

#if canImport(Glibc)
import Glibc
#endif

/// Speaks to the running server over its socket.
struct AdminClient {
  private static let maximumAnswerBytes = 256 * 1024 * 1024

  private let path: String

  /// Speaks to the server whose socket is at `path`.
  init(_ path: String) { self.path = path }

  /// The answer to a request of the API, `path` being what follows `/api/v1/`.
  ///
  /// - Throws: `CommandError` in the server's own words when it refuses.
  func call(_ method: String, _ path: String, _ body: JSONValue? = nil) async throws -> JSONValue {
    let (status, bytes) = try await exchange(method, path, body?.json ?? [])
    // What cannot be read is told below, with its status.
    let answer = try? JSONValue(json: bytes)
    guard status == 200, let answer else {
      let detail = answer?["detail"]?.string ?? "the server answered with status \(status)"
      let isRefused = status == 403
      throw CommandError(detail, code: isRefused ? .permission : .failure)
    }
    return answer
  }

  private func exchange(
    _ method: String,
    _ path: String,
    _ body: [UInt8]
  ) async throws -> (Int, [UInt8]) {
    do {
      let response = try await HTTPClient().request(
        method,
        to: .unix(path: self.path),
        host: "martlet-control",
        path: path.hasPrefix("/") ? path : "/api/v1/" + path,
        headers: ["Content-Type": "application/json"],
        body: body
      )
      return (response.status, try await response.collect(upTo: Self.maximumAnswerBytes))
    } catch let error as HTTPTransportError {
      guard unsafe access(self.path, R_OK | W_OK) == 0 || errno != EACCES else {
        throw CommandError(
          "only root may administer the server at \(self.path)",
          hint: "Run this with sudo.",
          code: .permission
        )
      }
      throw CommandError(
        "cannot speak to the server at \(self.path): \(error.what)",
        hint: "Is 'martlet-control serve' running? Name its socket with --socket."
      )
    }
  }

  /// One part of a path, with everything quoted that means something in one.
  static func quoted(_ text: String) -> String {
    var result = ""
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."):
        result.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        result += "%" + (digits.count == 1 ? "0" : "") + digits
      }
    }
    return result
  }
}

extension JSONValue {
  /// The value as scripts know it from headscale's command line: names as in `ip_addresses`, and
  /// numbers for `id`.
  var forScripts: JSONValue {
    switch self {
    case .array(let items): .array(items.map(\.forScripts))
    case .object(let object): .object(object.reduce(into: JSONObject(), Self.add))
    default: self
    }
  }

  private static func add(
    to object: inout JSONObject,
    _ member: (name: String, value: JSONValue)
  ) {
    if member.name == "id", let number = member.value.string.flatMap({ Int64($0) }) {
      object[member.name] = .integer(number)
    } else {
      object[withUnderscores(member.name)] = member.value.forScripts
    }
  }

  /// `ip_addresses` for `ipAddresses`.
  private static func withUnderscores(_ name: String) -> String {
    name.reduce(into: "") { result, character in
      if character.isUppercase { result += "_" }
      result += character.lowercased()
    }
  }

  /// A member as it stands in a column; empty when it is absent or null.
  func cell(_ name: String) -> String {
    switch self[name] {
    case .string(let text)?: text
    case .integer(let number)?: String(number)
    case .bool(let flag)?: flag ? "yes" : "no"
    case .array(let items)?: items.compactMap(\.string).joined(separator: ", ")
    default: ""
    }
  }

  /// A time as it stands in a column: `2026-01-31 12:00:00`, in UTC.
  func timeCell(_ name: String, none: String = "") -> String {
    guard let text = self[name]?.string else { return none }
    return String(text.prefix(19).map { $0 == "T" ? " " : $0 })
  }
}
