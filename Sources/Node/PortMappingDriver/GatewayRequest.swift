// SPDX-License-Identifier: Apache-2.0

import Addressing
import HTTPTransport
import PortMapping

/// A request over HTTP to a gateway: no redirects, no other host, little time and little room.
enum GatewayRequest {
  private static let timeout = Duration.seconds(3)

  /// The document that came back with status 200 or 500 (a refusal with its reason); nil for none.
  static func answer(to request: PortMapperEffects.Request, mark: UInt32) async -> [UInt8]? {
    // Why there is no answer makes no difference: the next way is tried.
    try? await document(request, mark)
  }

  private static func document(
    _ request: PortMapperEffects.Request,
    _ mark: UInt32
  ) async throws -> [UInt8]? {
    let host = "\(request.server.address)"
    let stream = try await Dialer(mark: mark)
      .dial(host: host, port: request.server.port, timeout: timeout)
    let deadline = stream.abort(after: timeout, because: "the gateway did not answer in time")
    defer { deadline.cancel() }
    var headers: HTTPHeaders = ["Connection": "close", "User-Agent": "martlet UPnP/1.1"]
    if let post = request.post {
      headers.set("Content-Type", "text/xml; charset=\"utf-8\"")
      headers.set("SOAPAction", post.action)
    }
    let response = try await HTTPClient.request(
      request.post == nil ? "GET" : "POST",
      over: stream,
      host: request.server.port == 80 ? host : "\(request.server)",
      path: request.path,
      headers: headers,
      body: request.post?.body ?? [],
      timeout: timeout
    )
    guard response.status == 200 || response.status == 500 else {
      response.body.cancel()
      return nil
    }
    return try await response.collect(upTo: XMLReader.maximumBytes)
  }
}
