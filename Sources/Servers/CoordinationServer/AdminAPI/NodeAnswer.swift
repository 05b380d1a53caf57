// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import JSON

/// A request that a node answers of itself, and its answer, as they stand on a connection.
///
/// - Source: RFC 9112 §2.1; `Documentation/Protocols/control.md`, questions to nodes.
struct NodeAnswer {
  /// The longest body of a question.
  static let maximumBody = 64 * 1024
  private static let methods: Set<String> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

  let status: Int64
  let contentType: String
  let body: String

  /// Takes an answer apart; nil when it is none.
  init?(_ bytes: [UInt8]) {
    let end = bytes.indices.first { bytes[$0...].starts(with: [0x0D, 0x0A, 0x0D, 0x0A]) }
    guard let end, end <= 16 * 1024 else { return nil }
    let lines = String(decoding: bytes[..<end], as: UTF8.self).split(separator: "\r\n")
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int64(words[1]),
      (100...599).contains(status)
    else { return nil }
    self.status = status
    let type = lines.dropFirst().first { $0.lowercased().hasPrefix("content-type:") }
    contentType = NodeName.printable(
      String((type ?? "").drop { $0 != ":" }.dropFirst().drop { $0 == " " })
    )
    body = String(decoding: bytes[(end + 4)...], as: UTF8.self)
  }

  /// A request as it is written; nothing in it begins another line.
  static func request(
    _ method: String,
    _ path: String,
    _ body: String
  ) throws(Refusal) -> [UInt8] {
    guard methods.contains(method) else {
      throw .invalid("The method has to be one of \(methods.sorted().joined(separator: ", ")).")
    }
    guard path.hasPrefix("/"), path.utf8.count <= 2048,
      path.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
    else { throw .invalid("The path has to be like /echo.") }
    guard body.utf8.count <= maximumBody else {
      throw .invalid("The body has more than \(maximumBody) bytes.")
    }
    let head =
      "\(method) \(path) HTTP/1.1\r\nHost: node\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
    return Array((head + body).utf8)
  }
}

extension AdminCall {
  /// Has a node answer a request.
  func ask(_ name: String) async throws -> JSONValue {
    let request = try NodeAnswer.request(
      try body.text("method") ?? "GET",
      try body.required("path"),
      try body.text("body") ?? ""
    )
    let node = try await coordinator.read { tailnet, _ in try tailnet.node(called: name).id }
    guard let bytes = try await coordinator.ask(node, request, by: actor) else {
      throw Refusal(.conflict, "The node gave no answer within a minute.")
    }
    guard let answer = NodeAnswer(bytes) else {
      throw Refusal(.conflict, "The node's answer cannot be read.")
    }
    return [
      "status": .integer(answer.status), "contentType": .string(answer.contentType),
      "body": .string(answer.body),
    ]
  }
}
