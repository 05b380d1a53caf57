// SPDX-License-Identifier: Apache-2.0

import Addressing

/// Which connections go through which proxy.
package struct ProxySettings: Hashable, Sendable {
  /// For connections without TLS; nil for none.
  package var plain: HTTPProxy?
  /// For connections with TLS; nil for none.
  package var secure: HTTPProxy?
  private var exceptions: [Exception] = []

  /// Whom no proxy is used for.
  private enum Exception: Hashable, Sendable {
    case everybody
    case network(IPPrefix)
    /// A name and all below it, or with a dot before it only those below; perhaps one port only.
    case name(String, port: UInt16?)
  }

  /// How many exceptions are read; the rest is left out.
  private static let maximumExceptions = 256

  /// No proxy.
  package init() {}

  /// One proxy for everything.
  package init(_ proxy: HTTPProxy) { (plain, secure) = (proxy, proxy) }

  /// What the environment says by the variables that many programs share: `HTTPS_PROXY`, `HTTP_PROXY`
  /// and `NO_PROXY`, in either case.
  ///
  /// - Parameter environment: The variables.
  package init(environment: [String: String]) {
    func value(_ name: String) -> String {
      let found = environment[name] ?? ""
      return found.isEmpty ? environment[name.lowercased()] ?? "" : found
    }
    plain = HTTPProxy(value("HTTP_PROXY"))
    secure = HTTPProxy(value("HTTPS_PROXY"))
    exceptions = Self.exceptions(value("NO_PROXY"))
  }

  private static func exceptions(_ text: String) -> [Exception] {
    text.split { $0 == "," || $0 == " " }.prefix(maximumExceptions).compactMap { part in
      if part == "*" { return .everybody }
      if let prefix = IPPrefix(part) { return .network(prefix) }
      if let address = IPAddress(part) { return .network(IPPrefix(host: address)) }
      let pieces = part.split(separator: ":", omittingEmptySubsequences: false)
      guard pieces.count <= 2, !pieces[0].isEmpty else { return nil }
      let name = pieces[0].hasPrefix("*.") ? pieces[0].dropFirst() : pieces[0]
      let port = pieces.count == 2 ? UInt16(pieces[1]) : nil
      guard pieces.count == 1 || port != nil else { return nil }
      return .name(name.lowercased(), port: port)
    }
  }

  /// The proxy for a connection; nil for none.
  ///
  /// This machine is never reached through one.
  package func proxy(for host: String, port: UInt16, isSecure: Bool) -> HTTPProxy? {
    guard let proxy = isSecure ? secure : plain else { return nil }
    let host = host.lowercased()
    let address = IPAddress(host)
    let isOwn = address?.isLoopback ?? (host == "localhost" || host.hasSuffix(".localhost"))
    guard !isOwn else { return nil }
    let isExcepted = exceptions.contains { exception in
      switch exception {
      case .everybody: true
      case .network(let prefix): address.map { prefix.contains($0.unmapped) } ?? false
      case .name(let name, let only):
        (only == nil || only == port) && Self.matches(host, name)
      }
    }
    return isExcepted ? nil : proxy
  }

  private static func matches(_ host: String, _ name: String) -> Bool {
    name.hasPrefix(".") ? host.hasSuffix(name) : host == name || host.hasSuffix("." + name)
  }
}
