// SPDX-License-Identifier: Apache-2.0

import DERP
import HTTPTransport
import HostIO
import Magicsock
import Timing

/// Looks for a portal that wants people to sign in before they may use the network.
enum PortalProbe {
  private static let timeout = Duration.seconds(3)
  private static let port: UInt16 = 80

  /// Whether anybody but the relays answers in their place; nil when nobody answers at all.
  static func isCaptive(_ probe: Magicsock.Effects.PortalProbe, mark: UInt32) async -> Bool? {
    await withTaskGroup(of: Bool?.self) { group in
      for node in probe.nodes {
        group.addTask { await isCaptive(node, mark, min(probe.timeout, timeout)) }
      }
      var found: Bool?
      for await one in group {
        guard let one else { continue }
        if one {
          group.cancelAll()
          return true
        }
        found = false
      }
      return found
    }
  }

  /// A relay answers with status 204 and what we challenged it with; who is silent tells nothing.
  private static func isCaptive(
    _ node: RelayNode,
    _ mark: UInt32,
    _ timeout: Duration
  ) async -> Bool? {
    let challenge = "ts_\(node.hostName)"
    var headers: HTTPHeaders = ["Cache-Control": "no-cache"]
    headers.set("X-Tailscale-Challenge", challenge)
    let client = HTTPClient(dialer: Dialer(mark: mark), timeout: timeout)
    // Why there is no answer makes no difference.
    let response = try? await client.request(
      to: .tcp(host: node.ipv4, port: port, tls: nil),
      host: node.ipv4,
      path: "/generate_204?t=\(wallClock().seconds)",
      headers: headers
    )
    guard let response else { return nil }
    response.body.cancel()
    return response.status != 204
      || response.headers["X-Tailscale-Response"] != "response \(challenge)"
  }
}
