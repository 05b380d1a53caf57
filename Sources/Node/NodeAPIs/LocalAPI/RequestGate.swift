// SPDX-License-Identifier: Apache-2.0

import HTTPTransport
import LocalAPI

/// Decides whether a request to the LocalAPI may be looked at.
///
/// A page in a browser must never reach the daemon, not even through a name that resolves to this
/// machine: no browser can leave `Origin`, `Referer` and `Sec-Fetch-Site` out, nor send our `Host`.
enum RequestGate {
  /// What a browser's request is answered.
  static let refusal = "invalid localapi request"

  /// The only names by which the daemon is called over its socket.
  private static let hosts = ["", LocalAPIRoutes.host, LocalAPIRoutes.originalHost]

  /// Whether the request comes from a program on this machine that means us.
  static func admits(_ request: HTTPRequest) -> Bool {
    for name in ["Origin", "Referer", "Sec-Fetch-Site"]
    where request.headers.values(name).contains(where: { !$0.isEmpty }) {
      return false
    }
    return request.headers.values("Host").allSatisfy { hosts.contains($0) }
  }

  /// The header fields of every answer.
  static func headers(version: String, capability: Int) -> HTTPHeaders {
    [
      LocalAPIRoutes.versionHeader: version,
      LocalAPIRoutes.capabilityHeader: String(capability),
      "Content-Security-Policy":
        "default-src 'none'; frame-ancestors 'none'; script-src 'none'; script-src-elem 'none'; script-src-attr 'none'",
      "X-Frame-Options": "DENY",
      "X-Content-Type-Options": "nosniff",
    ]
  }
}
