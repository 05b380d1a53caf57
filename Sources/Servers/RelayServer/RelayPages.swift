// SPDX-License-Identifier: Apache-2.0

import HTTPTransport

/// What a relay answers over HTTP besides DERP.
///
/// - Source: `Documentation/Protocols/derp.md`, auxiliary endpoints.
enum RelayPages {
  /// The longest challenge that is answered.
  static let maximumChallenge = 64

  static func path(of request: HTTPRequest) -> Substring { request.path.prefix { $0 != "?" } }

  /// Whether a page is the same with TLS and without.
  static func isPlain(_ path: Substring) -> Bool {
    ["/derp/probe", "/derp/latency-check", "/generate_204", "/robots.txt", "/derp"].contains(path)
  }

  static func answer(
    _ request: HTTPRequest,
    home: RelayOptions.Home = .page
  ) -> HTTPResponse {
    guard request.method == "GET" || request.method == "HEAD" else {
      return text(405, "Only GET is answered here.")
    }
    switch path(of: request) {
    case "/derp/probe", "/derp/latency-check":
      return HTTPResponse(status: 200, headers: ["Access-Control-Allow-Origin": "*"])
    case "/generate_204": return noContent(request.headers["X-Tailscale-Challenge"])
    case "/robots.txt": return text(200, "User-agent: *\nDisallow: /")
    case "/derp": return text(404, "DERP is spoken at the port with TLS only.")
    case "/":
      switch home {
      case .page: return text(200, "This is a Martlet relay.")
      case .blank: return HTTPResponse(status: 200)
      case .redirect(let address): return redirect(to: address)
      }
    default: return text(404, "There is nothing here.")
    }
  }

  /// The answer by which a client knows that no portal stands between it and the world.
  private static func noContent(_ challenge: String?) -> HTTPResponse {
    var headers: HTTPHeaders = [
      "Cache-Control": "no-cache, no-store, must-revalidate, no-transform, max-age=0"
    ]
    if let challenge, isChallenge(challenge) {
      headers.add("X-Tailscale-Response", "response \(challenge)")
    }
    return HTTPResponse(status: 204, headers: headers)
  }

  private static func isChallenge(_ text: String) -> Bool {
    (1...maximumChallenge).contains(text.utf8.count)
      && text.utf8.allSatisfy { byte in
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
          UInt8(ascii: "0")...UInt8(ascii: "9"):
          true
        default: "._:-".utf8.contains(byte)
        }
      }
  }

  static func redirect(to address: String) -> HTTPResponse {
    HTTPResponse(status: 302, headers: ["Location": address])
  }

  static func text(_ status: Int, _ text: String) -> HTTPResponse {
    HTTPResponse(
      status: status,
      headers: ["Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff"],
      body: .bytes(Array((text + "\n").utf8))
    )
  }
}
