// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Foundation
import HTTPTransport
import Keys
import Testing

@testable import RelayServer

@Suite("What operators see", .timeLimit(.minutes(10)))
struct OperationsTests {
  private func ask(_ relay: RelayServer, _ path: String) async throws -> String {
    let endpoint = try #require(relay.endpoints.first)
    let answer = try await HTTPClient().request(
      to: .tcp(
        host: endpoint.address.description,
        port: endpoint.port,
        tls: relay.certificateSHA256.map { .pinned(sha256: $0, hostname: nil) }
      ),
      path: path
    )
    #expect(answer.status == 200)
    return String(decoding: try await answer.collect(upTo: 1 << 20), as: UTF8.self)
  }

  /// The values by their names with labels.
  private func values(_ text: String) -> [String: Double] {
    var values: [String: Double] = [:]
    for line in text.split(separator: "\n") where !line.hasPrefix("#") {
      let end = line.lastIndex(of: " ") ?? line.endIndex
      values[String(line[..<end])] = Double(line[end...].dropFirst())
    }
    return values
  }

  @Test("What happens is told under the original's names, and in the way of Go's programs too")
  func metrics() async throws {
    let options = RelayOptions.local(.selfSigned).with { $0.version = "1.2.3" }
    try await withRelay(options) { relay in
      var alice = try await TestClient(to: relay, isHome: true)
      var bob = try await TestClient(to: relay)
      for number in 0..<3 {
        try await alice.send(bulk(number), to: bob.key)
        try await bob.expect(bulk(number), from: alice.key)
      }
      try await alice.send(disco(1), to: someKey().publicKey)
      try await alice.settle()
      var told: [String: Double] = [:]
      // What was sent is counted right after.
      while told["derp_packets_sent"] != 3 || told["derp_sent_pong"] != 1 {
        try Task.checkCancellation()
        told = values(try await ask(relay, "/metrics"))
      }
      let expected: [String: Double] = [
        "derp_accepts": 2, "derp_packets_received": 4, "derp_packets_sent": 3,
        "derp_bytes_received": 4286, "derp_bytes_sent": 4200,
        #"derp_packets_received_kind{kind="disco"}"#: 1,
        #"derp_packets_received_kind{kind="other"}"#: 3,
        #"derp_packets_dropped{reason="unknown_dest",kind="disco"}"#: 1,
        #"derp_bytes_dropped{reason="unknown_dest",kind="disco"}"#: 86,
        #"derp_packets_dropped{reason="queue_head",kind="other"}"#: 0,
        "derp_current_connections": 2, "derp_current_home_connections": 1, "derp_clients_local": 2,
        "derp_got_ping": 1, "derp_sent_pong": 1, "derp_peer_gone_not_here_frames": 1,
        "derp_peer_lookup_cache_misses": 2, "derp_websocket_accepts": 0,
        #"martlet_relay_clients{version="2"}"#: 2,
        #"martlet_relay_bytes_total{direction="in"}"#: 4286,
        #"martlet_relay_queue_delay_seconds_bucket{le="+Inf"}"#: 3,
        "martlet_relay_queue_delay_seconds_count": 3,
        #"martlet_relay_tls_handshakes_total{outcome="failure"}"#: 0,
        #"martlet_build_info{version="1.2.3"}"#: 1,
      ]
      for (name, value) in expected { #expect(told[name] == value, "\(name)") }
      #expect((told[#"derper_tls_request_version{version="1.3"}"#] ?? 0) >= 3)
      #expect((told[#"derper_tls_active_version{version="1.3"}"#] ?? 0) >= 3)
      #expect((told["process_resident_memory_bytes"] ?? 0) > 1_000_000)
      #expect((told["derp_current_file_descriptors"] ?? 0) > 5)
      #expect((told["process_cpu_seconds_total"] ?? 0) > 0)

      let json = try await ask(relay, "/debug/vars")
      let object = try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any]
      let derp = try #require(object?["derp"] as? [String: Any])
      #expect(derp["accepts"] as? Int == 2)
      #expect(derp["gauge_current_connections"] as? Int == 2)
      #expect(derp["counter_packets_received_kind"] as? [String: Int] == ["disco": 1, "other": 3])
      let drops = object?["derp_packets_dropped"] as? [String: Int]
      #expect(drops?["reason=unknown_dest,kind=disco"] == 1)
    }
  }

  @Test("Nobody's key stands whole in any page")
  func keys() async throws {
    try await withRelay { relay in
      let alice = try await TestClient(to: relay)
      let digits = alice.key.bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
      for path in ["/debug/", "/debug/clients", "/debug/vars", "/debug/varz", "/metrics"] {
        #expect(try await !ask(relay, path).contains(digits.prefix(16)), "\(path)")
      }
      #expect(try await ask(relay, "/debug/clients").contains(alice.key.short))
    }
  }

  @Test(
    "They are for this machine, the overlay and those who were named, and never through a proxy"
  )
  func strangers() {
    let facts = RelayFacts()
    let pages = RelayDebugPages(
      hostname: "relay.example",
      debuggers: [IPPrefix("10.1.0.0/16")].compactMap(\.self),
      facts: facts,
      clients: { [] },
      metrics: { [] }
    )
    func status(from source: String, _ headers: HTTPHeaders = ["Host": "127.0.0.1"]) -> Int {
      let endpoint = IPAddress(source).map { Endpoint($0, port: 9) }
      let request = HTTPRequest(
        path: "/metrics",
        headers: headers,
        remote: HTTPRemote(endpoint: endpoint)
      )
      return pages.answer(request, "/metrics").status
    }
    for source in [
      "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "100.64.0.1", "100.127.255.254",
      "fd7a:115c:a1e0::1", "10.1.2.3",
    ] { #expect(status(from: source) == 200, "\(source)") }
    for source in [
      "8.8.8.8", "100.63.0.1", "100.128.0.1", "10.2.0.1", "fd7a:115c:a1e1::1", "2001:db8::1",
    ] {
      #expect(status(from: source) == 403, "\(source)")
    }
    for name in ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"] {
      #expect(status(from: "127.0.0.1", ["Host": "127.0.0.1", name: "127.0.0.1"]) == 403)
    }
    for (host, expected) in [
      ("localhost:80", 200), ("[::1]:443", 200), ("Relay.Example:443", 200), ("100.64.0.1", 200),
      ("rebound.example", 403), ("relay.example.evil.example", 403), ("", 403),
    ] { #expect(status(from: "127.0.0.1", ["Host": host]) == expected, "\(host)") }
    #expect(status(from: "127.0.0.1", [:]) == 403)
    #expect(facts.strangers.count == 14)
  }

  @Test("Texts that others chose cannot break out of a label")
  func escaping() {
    let family = MetricFamily(
      "one",
      .gauge,
      "Help.",
      [MetricFamily.Sample(labels: [("label", "a\"b\\c\nd")], value: 1.5)]
    )
    let expected = "# HELP one Help.\n# TYPE one gauge\none{label=\"a\\\"b\\\\c\\nd\"} 1.5\n"
    #expect(MetricFamily.text([family]) == expected)
    #expect(MetricFamily.variables([family]) == Array(#"{"one":{"a\"b\\c\nd":1.5}}"#.utf8))
  }

  @Test("Visitors find what the operator chose, and are sent from plain HTTP to TLS")
  func home() async throws {
    let options = RelayOptions.local(.selfSigned, hostname: "localhost").with {
      ($0.plainListen, $0.home) = ([loopback], .redirect(to: "https://example.org/"))
    }
    try await withRelay(options) { relay in
      let (plain, port) = try (#require(relay.plainEndpoints.first), #require(relay.derpPort))
      func location(
        _ path: String,
        at endpoint: Endpoint,
        _ tls: TLSClientSettings?
      ) async throws
        -> String?
      {
        let target = HTTPClient.Target.tcp(host: "127.0.0.1", port: endpoint.port, tls: tls)
        let answer = try await HTTPClient().request(to: target, host: "evil.example", path: path)
        answer.body.cancel()
        return answer.headers["Location"]
      }
      let pin = TLSClientSettings.pinned(
        sha256: try #require(relay.certificateSHA256),
        hostname: nil
      )
      let secure = try #require(relay.endpoints.first)
      #expect(try await location("/", at: secure, pin) == "https://example.org/")
      #expect(try await location("/", at: plain, nil) == "https://localhost:\(port)/")
      #expect(try await location("/a?b=c", at: plain, nil) == "https://localhost:\(port)/a?b=c")
      #expect(try await location("/generate_204", at: plain, nil) == nil)
      #expect(try await location("/derp/probe", at: plain, nil) == nil)
    }
  }
}
