// SPDX-License-Identifier: Apache-2.0

import HTTPTransport
import RelayProbe

/// What the status page answers.
enum StatusPage {
  static func answer(_ request: HTTPRequest, _ board: ProbeBoard) -> HTTPResponse {
    switch request.path.prefix(while: { $0 != "?" }) {
    case "/": reply(200, "text/html; charset=utf-8", Array(board.html.utf8))
    case "/json": reply(200, "application/json", board.json)
    case "/metrics": reply(200, "text/plain; version=0.0.4", Array(board.metrics.utf8))
    case "/healthz": reply(board.isGood ? 200 : 503, "text/plain", Array(board.text.utf8))
    default: reply(404, "text/plain", Array("There is no such page.\n".utf8))
    }
  }

  private static func reply(_ status: Int, _ type: String, _ body: [UInt8]) -> HTTPResponse {
    HTTPResponse(
      status: status,
      headers: ["Content-Type": type, "X-Content-Type-Options": "nosniff"],
      body: .bytes(body)
    )
  }
}
