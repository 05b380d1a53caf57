// SPDX-License-Identifier: Apache-2.0

import HTTPTransport
import LocalAPI
import Testing

@testable import NodeAPIs

@Suite("The gate of the LocalAPI")
struct RequestGateTests {
  @Test(
    "A browser's request is refused and changes nothing",
    arguments: [
      ["Host": "local-martletd.sock", "Origin": "http://evil.example"],
      ["Host": "local-martletd.sock", "Origin": "null"],
      ["Host": "local-martletd.sock", "Referer": "http://evil.example/page"],
      ["Host": "local-martletd.sock", "Sec-Fetch-Site": "cross-site"],
      ["Host": "local-martletd.sock", "Sec-Fetch-Site": "same-origin"],
      ["Host": "evil.example"], ["Host": "localhost"], ["Host": "127.0.0.1:41112"],
      ["Host": "local-martletd.sock:80"], ["Host": "local-martletd.sock.evil.example"],
      ["Host": "LOCAL-MARTLETD.SOCK "],
    ]
  )
  func browsers(fields: [String: String]) async {
    let node = FakeNode()
    let headers = HTTPHeaders(fields.map { ($0.key, $0.value) })
    for (method, path) in [("POST", "logout"), ("PATCH", "prefs"), ("GET", "status"), ("GET", "/")]
    {
      let answer = await handler(node).respond(to: request(method, path, headers: headers))
      #expect(answer.status == 403)
      #expect(answer.text == "invalid localapi request\n")
    }
    #expect(node.acts.isEmpty)
  }

  @Test(
    "Our clients and those of the original come in",
    arguments: ["", "local-martletd.sock", "local-tailscaled.sock"]
  )
  func clients(host: String) async {
    let answer = await handler(FakeNode()).respond(
      to: request("GET", "status", headers: ["Host": host, "Origin": ""])
    )
    #expect(answer.status == 200)
  }

  @Test("Every answer tells versions and forbids browsers to show it", arguments: ["status", "no"])
  func headers(path: String) async {
    let answer = await handler(FakeNode()).respond(to: request("GET", path))
    #expect(answer.headers["Tailscale-Version"] == "0.1.0")
    #expect(answer.headers["Tailscale-Cap"] == "138")
    #expect(answer.headers["X-Frame-Options"] == "DENY")
    #expect(answer.headers["X-Content-Type-Options"] == "nosniff")
    #expect(answer.headers["Content-Security-Policy"]?.hasPrefix("default-src 'none';") == true)
  }
}
