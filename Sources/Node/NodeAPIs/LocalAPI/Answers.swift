// SPDX-License-Identifier: Apache-2.0

import HTTPTransport
import JSON
import LocalAPI

extension HTTPResponse {
  /// Text, with a line end.
  static func text(_ text: String, status: Int = 200) -> HTTPResponse {
    HTTPResponse(
      status: status,
      headers: ["Content-Type": "text/plain; charset=utf-8"],
      body: .bytes(Array(text.utf8) + [0x0A])
    )
  }

  /// JSON on one line, with a line end.
  static func json(_ value: some JSONWritable, status: Int = 200) -> HTTPResponse {
    HTTPResponse(
      status: status,
      headers: ["Content-Type": "application/json"],
      body: .bytes(value.json + [0x0A])
    )
  }

  /// JSON indented by tabs, with a line end.
  static func indented(_ value: some JSONWritable) -> HTTPResponse {
    var writer = JSONWriter(indentation: "\t")
    value.write(to: &writer)
    return HTTPResponse(
      status: 200,
      headers: ["Content-Type": "application/json"],
      body: .bytes(writer.bytes + [0x0A])
    )
  }

  /// Nothing but the news that it is done.
  static let done = HTTPResponse(status: 204)

  /// Prometheus text.
  static func metrics(_ text: String) -> HTTPResponse {
    HTTPResponse(
      status: 200,
      headers: ["Content-Type": "text/plain; version=0.0.4"],
      body: .bytes(Array(text.utf8))
    )
  }

  /// The caller may not do that.
  static func denied(_ what: String) -> HTTPResponse {
    .text("\(what) access denied", status: 403)
  }

  /// There is no such thing.
  static let unknown = HTTPResponse.text("404 page not found", status: 404)

  /// A reason under the key that clients look for.
  static func error(_ error: any Error) -> HTTPResponse {
    .json(ErrorReply(reason(of: error)), status: statusCode(of: error))
  }
}

/// What is told of a failure.
func reason(of error: any Error) -> String { "\(error)" }

/// The number that tells the kind of a failure.
func statusCode(of error: any Error) -> Int {
  switch error {
  case let refusal as NodeRefusal: refusal.kind.rawValue
  case is PreferenceError: 400
  default: 500
  }
}
