// SPDX-License-Identifier: Apache-2.0

import Addressing
package import HTTPTransport

/// The address of a coordination server, as a person wrote it.
package struct ServerURL: Hashable, Sendable, CustomStringConvertible {
  /// The address without a path.
  package let url: HTTPURL

  /// Reads `http://host[:port]` or `https://host[:port]`, a slash at the end allowed.
  ///
  /// - Throws: `NodeError` of code `invalidRequest`, which says what a server URL looks like.
  package init(_ text: String) throws(NodeError) {
    guard let url = HTTPURL(text), url.target == "/" else {
      throw NodeError(
        .invalidRequest,
        "\"\(text)\" is not the URL of a coordination server",
        hint: "It looks like https://control.example.com or http://10.0.0.1:8080."
      )
    }
    self.url = url
  }

  /// The URL without a slash at the end.
  package var description: String { "\(url.isSecure ? "https" : "http")://\(url.hostField)" }

  /// Whether the host is this machine or a private address, where plain HTTP is the whole truth.
  var isPrivateHost: Bool {
    if url.host == "localhost" { return true }
    guard let address = IPAddress(url.host) else { return false }
    return address.isPrivate || address.isLoopback
  }

  /// Where the encrypted conversation may be had, in the order in which it is tried.
  ///
  /// The outer TLS is not what is trusted, so its certificate is not checked: a captive portal gets
  /// a connection and nothing else. Plain port 80 comes first, as the field does it, unless the
  /// last attempt was moments ago.
  ///
  /// - Source: `Documentation/Protocols/control.md`, getting through.
  func doors(onlyTLS: Bool) -> [HTTPClient.Target] {
    let tls = TLSClientSettings.unverified(hostname: url.host)
    if url.isSecure {
      let secure = HTTPClient.Target.tcp(host: url.host, port: url.port, tls: tls)
      return onlyTLS ? [secure] : [.tcp(host: url.host, port: 80, tls: nil), secure]
    }
    let plain = HTTPClient.Target.tcp(host: url.host, port: url.port, tls: nil)
    if isPrivateHost { return [plain] }
    let secure = HTTPClient.Target.tcp(host: url.host, port: 443, tls: tls)
    return onlyTLS ? [secure] : [plain, secure]
  }
}
