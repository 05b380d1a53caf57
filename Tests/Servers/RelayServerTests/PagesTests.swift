// SPDX-License-Identifier: Apache-2.0

import Addressing
import HTTPTransport
import RelayServer
import Testing

@Suite("Pages", .timeLimit(.minutes(10)))
struct PagesTests {
  private func ask(
    _ relay: RelayServer,
    _ path: String,
    method: String = "GET",
    at endpoint: Endpoint? = nil,
    headers: HTTPHeaders = [:]
  ) async throws -> (status: Int, headers: HTTPHeaders, body: String) {
    let endpoint = try #require(endpoint ?? relay.endpoints.first)
    let tls = relay.certificateSHA256.map { TLSClientSettings.pinned(sha256: $0, hostname: nil) }
    let isPlain = relay.plainEndpoints.contains(endpoint)
    let answer = try await HTTPClient().request(
      method,
      to: .tcp(
        host: endpoint.address.description,
        port: endpoint.port,
        tls: isPlain ? nil : tls
      ),
      path: path,
      headers: headers
    )
    let body = try await answer.collect(upTo: 4096)
    return (answer.status, answer.headers, String(decoding: body, as: UTF8.self))
  }

  @Test("Probes of the latency are answered with nothing, to browsers too")
  func probes() async throws {
    try await withRelay { relay in
      for path in ["/derp/probe", "/derp/latency-check", "/derp/probe?x=1"] {
        for method in ["GET", "HEAD"] {
          let answer = try await ask(relay, path, method: method)
          #expect(answer.status == 200)
          #expect(answer.headers["Access-Control-Allow-Origin"] == "*")
          #expect(answer.body.isEmpty)
        }
        let post = try await ask(relay, path, method: "POST")
        #expect(post.status == 405)
      }
    }
  }

  @Test("The captive portal probe is answered with its challenge, unless that is odd")
  func captivePortal() async throws {
    try await withRelay { relay in
      let fair = try await ask(relay, "/generate_204", headers: ["X-Tailscale-Challenge": "ts_a.b"])
      #expect(fair.status == 204)
      #expect(fair.headers["X-Tailscale-Response"] == "response ts_a.b")
      #expect(fair.headers["Cache-Control"]?.contains("no-store") == true)
      for odd in ["a b", "<script>", String(repeating: "a", count: 65)] {
        let answer = try await ask(relay, "/generate_204", headers: ["X-Tailscale-Challenge": odd])
        #expect(answer.status == 204)
        #expect(answer.headers["X-Tailscale-Response"] == nil)
      }
    }
  }

  @Test("Strangers find a page that says what this is, and robots are sent away")
  func pages() async throws {
    try await withRelay { relay in
      let root = try await ask(relay, "/")
      #expect(root.status == 200)
      #expect(root.body == "This is a Martlet relay.\n")
      let robots = try await ask(relay, "/robots.txt")
      #expect(robots.body == "User-agent: *\nDisallow: /\n")
      let nothing = try await ask(relay, "/etc/passwd")
      #expect(nothing.status == 404)
    }
  }

  @Test("DERP without an upgrade, or with another, is told what is expected")
  func noUpgrade() async throws {
    try await withRelay { relay in
      for headers: HTTPHeaders in [[:], ["Upgrade": "h2c", "Connection": "Upgrade"]] {
        let answer = try await ask(relay, "/derp", headers: headers)
        #expect(answer.status == 426)
        #expect(answer.body.contains("Upgrade: DERP"))
      }
      let browser = try await ask(
        relay,
        "/derp",
        headers: [
          "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
          "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        ]
      )
      #expect(browser.status == 400)
      #expect(browser.body.contains("subprotocol 'derp'"))
    }
  }

  @Test("The plain port beside TLS answers pages and does not speak DERP")
  func plainPort() async throws {
    let options = RelayOptions.local(.selfSigned).with { $0.plainListen = [loopback] }
    try await withRelay(options) { relay in
      let plain = try #require(relay.plainEndpoints.first)
      let portal = try await ask(relay, "/generate_204", at: plain)
      #expect(portal.status == 204)
      let derp = try await ask(
        relay,
        "/derp",
        at: plain,
        headers: ["Upgrade": "DERP", "Connection": "Upgrade"]
      )
      #expect(derp.status == 404)
    }
  }

  @Test("A request with a body, or with a giant header, is refused")
  func oversized() async throws {
    try await withRelay { relay in
      let stream = try await relay.dial()
      try await stream.write(
        Array("POST /derp HTTP/1.1\r\nHost: r\r\nContent-Length: 5\r\n\r\nhello".utf8)
      )
      let body = await stream.readToEnd()
      #expect(String(decoding: body, as: UTF8.self).hasPrefix("HTTP/1.1 413 "))
      let other = try await relay.dial()
      let long = "GET / HTTP/1.1\r\nHost: r\r\nX: " + String(repeating: "x", count: 20_000)
      try await other.write(Array(long.utf8))
      let header = await other.readToEnd()
      #expect(String(decoding: header, as: UTF8.self).hasPrefix("HTTP/1.1 431 "))
    }
  }
}
