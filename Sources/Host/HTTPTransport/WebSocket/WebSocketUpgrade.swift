// SPDX-License-Identifier: Apache-2.0

import Bytes
import CNIOBoringSSL

extension HTTPRequest {
  /// Whether it asks to go on as a WebSocket.
  package var isForWebSocket: Bool { headers.contains("websocket", in: "Upgrade") }
}

extension HTTPResponse {
  /// The answer to a request for a WebSocket that speaks `name`, a subprotocol.
  ///
  /// `run` gets the stream of bytes that both sides' binary messages carry; where one ends and the
  /// next begins it is not told. Requests that are not as they have to be are refused. Browsers ask
  /// in the name of any page, so what runs inside has to prove who it is.
  ///
  /// - Source: RFC 6455 §4.2.
  package static func webSocket(
    answering request: HTTPRequest,
    speaking name: String,
    _ run: @escaping @Sendable (ByteStream) async -> Void
  ) -> HTTPResponse {
    guard request.method == "GET", request.headers.contains("upgrade", in: "Connection") else {
      return refusal(400, "A WebSocket begins with GET and 'Connection: Upgrade'.")
    }
    guard request.headers.values("Sec-WebSocket-Version") == ["13"] else {
      return refusal(
        426,
        "Version 13 of WebSocket is spoken here.",
        ["Sec-WebSocket-Version": "13"]
      )
    }
    let keys = request.headers.values("Sec-WebSocket-Key")
    guard keys.count == 1, let key = keys.first, Base64.decode(key)?.count == 16 else {
      return refusal(400, "Sec-WebSocket-Key has to be 16 bytes in base64.")
    }
    guard request.headers.contains(name, in: "Sec-WebSocket-Protocol") else {
      return refusal(400, "Ask for the subprotocol '\(name)' in Sec-WebSocket-Protocol.")
    }
    return HTTPResponse(
      status: 101,
      headers: ["Sec-WebSocket-Accept": accept(key), "Sec-WebSocket-Protocol": name],
      body: .upgrade(protocol: "websocket") { stream in
        // It ended before it began: nobody is left to be told.
        guard (try? await stream.becomeWebSocket()) != nil else { return stream.abort() }
        await run(stream)
      }
    )
  }

  /// What proves that the server knows what a WebSocket is.
  static func accept(_ key: String) -> String {
    let text = Array((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").utf8)
    var digest = [UInt8](repeating: 0, count: Int(SHA_DIGEST_LENGTH))
    // SAFETY: both buffers live as long as the call, and the digest has the length of one.
    _ = unsafe CNIOBoringSSL.SHA1(text, text.count, &digest)
    return Base64.encode(digest)
  }

  private static func refusal(
    _ status: Int,
    _ text: String,
    _ headers: HTTPHeaders = [:]
  ) -> HTTPResponse {
    var headers = headers
    headers.set("Content-Type", "text/plain; charset=utf-8")
    return HTTPResponse(status: status, headers: headers, body: .bytes(Array((text + "\n").utf8)))
  }
}
