// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import HTTPTransport
import Keys

/// The pages for those who run the relay: what it measures, and who is there.
///
/// They are answered to this machine, to the overlay and to those who were named, and to nobody who
/// comes through a proxy or by a name that is not the relay's: pages of browsers could ask by one
/// that leads here.
struct RelayDebugPages {
  /// Where nodes of the overlay come from.
  private static let overlay = ["100.64.0.0/10", "fd7a:115c:a1e0::/48"].compactMap { IPPrefix($0) }
  /// What a proxy says of those for whom it asks.
  private static let marksOfProxies = ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"]
  /// How many clients are shown.
  static let maximumClients = 10_000

  let hostname: String
  let debuggers: [IPPrefix]
  let facts: RelayFacts
  let clients: () -> [RelayLink]
  let metrics: () -> [MetricFamily]

  /// Whether a path is one of these pages.
  static func holds(_ path: Substring) -> Bool {
    path == "/metrics" || path == "/debug" || path.hasPrefix("/debug/")
  }

  func answer(_ request: HTTPRequest, _ path: Substring) -> HTTPResponse {
    guard isFriend(request) else {
      facts.strangers.increment()
      return RelayPages.text(403, "This is for the relay's own machine and its overlay only.")
    }
    guard request.method == "GET" || request.method == "HEAD" else {
      return RelayPages.text(405, "Only GET is answered here.")
    }
    switch path {
    case "/metrics", "/debug/varz":
      return page(
        "text/plain; version=0.0.4; charset=utf-8",
        Array(MetricFamily.text(metrics()).utf8)
      )
    case "/debug/vars":
      return page("application/json; charset=utf-8", MetricFamily.variables(metrics()) + [0x0A])
    case "/debug/clients": return RelayPages.text(200, list())
    case "/debug", "/debug/":
      return RelayPages.text(
        200,
        """
        /metrics, /debug/varz  what is measured, for Prometheus
        /debug/vars            the same as JSON
        /debug/clients         who is connected
        """
      )
    default: return RelayPages.text(404, "There is nothing here. See /debug/.")
    }
  }

  private func page(_ type: String, _ body: [UInt8]) -> HTTPResponse {
    HTTPResponse(
      status: 200,
      headers: ["Content-Type": type, "Cache-Control": "no-store"],
      body: .bytes(body)
    )
  }

  private func isFriend(_ request: HTTPRequest) -> Bool {
    guard !Self.marksOfProxies.contains(where: { request.headers[$0] != nil }) else { return false }
    guard isOurs(request.headers["Host"] ?? "") else { return false }
    guard let source = request.remote.endpoint?.address.unmapped else { return false }
    return source.isLoopback || (Self.overlay + debuggers).contains { $0.contains(source) }
  }

  /// Whether the name by which the relay was asked is none that others could have pointed here.
  private func isOurs(_ host: String) -> Bool {
    var name = host[...]
    if let colon = host.lastIndex(of: ":"), host.last != "]", !host.hasPrefix("::") {
      name = host[..<colon]
    }
    let bare = String(name.filter { $0 != "[" && $0 != "]" }).lowercased()
    return IPAddress(bare) != nil || bare == "localhost" || bare == hostname.lowercased()
  }

  private func list() -> String {
    let links = clients()
    var lines = ["client\tfrom\tversion\ttls\tkind\twaiting bytes"]
    for link in links.prefix(Self.maximumClients) {
      guard let client = link.admitted else { continue }
      let kind = client.isMesh ? "relay" : client.flags & 4 != 0 ? "prober" : "node"
      let fields = [
        client.key.short, client.endpoint?.description ?? "-", "\(client.version)",
        link.stream.tlsVersion ?? "-", kind, "\(link.stream.outstandingBytes)",
      ]
      lines.append(fields.joined(separator: "\t"))
    }
    if links.count > Self.maximumClients {
      lines.append("and \(links.count - Self.maximumClients) more")
    }
    return lines.joined(separator: "\n")
  }
}
