// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import ControlProtocol
import Coordination
import HTTPTransport
import JSON

/// What `serve` was told, checked.
struct ServeSettings {
  var listen: [Endpoint]
  var socket: String
  var state: String
  var tls: TLSServerSettings?
  var tailnet: TailnetOptions
  var relay: Relay?

  /// What was told about the embedded relay.
  struct Relay {
    var port: UInt16
    var stunPort: UInt16
    var hostname: String
    var address: IPAddress?
    var region: Int
    var certificate: (chain: String, key: String)?
  }

  init(_ arguments: Arguments) throws(CommandError) {
    listen = try Self.endpoints(arguments[ServeFlags.listen])
    socket = arguments[Shared.socket]
    state = arguments[ServeFlags.state]
    let url = try ServerURL(arguments[ServeFlags.url])
    if let pair = try Self.pair(arguments, ServeFlags.tlsCertificate, ServeFlags.tlsKey) {
      tls = try Self.tls(pair)
    }
    tailnet = TailnetOptions(
      url: url.text,
      domain: try Self.domain(arguments[ServeFlags.domain], url: url),
      ipv4Prefix: try Self.prefix(arguments[ServeFlags.ipv4Prefix], .v4, ServeFlags.ipv4Prefix),
      ipv6Prefix: try Self.prefix(arguments[ServeFlags.ipv6Prefix], .v6, ServeFlags.ipv6Prefix),
      relayMap: try Self.relayMap(arguments[ServeFlags.derpMap]),
      keyLifetime: arguments[ServeFlags.nodeExpiry] == .zero
        ? nil : arguments[ServeFlags.nodeExpiry],
      ephemeralTimeout: arguments[ServeFlags.ephemeralTimeout]
    )
    guard tailnet.ephemeralTimeout >= .seconds(60) else {
      throw Self.wrong("--ephemeral-timeout", "has to be a minute or more")
    }
    if arguments[ServeFlags.derp] { relay = try Self.relay(arguments, url: url) }
  }

  private static func relay(
    _ arguments: Arguments,
    url: ServerURL
  ) throws(CommandError) -> Relay {
    let ip = arguments[ServeFlags.derpIP]
    let hostname = arguments[ServeFlags.derpHostname]
    let address = ip.isEmpty ? IPAddress(hostname.isEmpty ? url.host : hostname) : IPAddress(ip)
    guard ip.isEmpty || address != nil else { throw wrong("--derp-ip", "has to be an address") }
    let region = arguments[ServeFlags.derpRegion]
    guard (900...999).contains(region) else {
      throw wrong("--derp-region", "has to lie between 900 and 999")
    }
    let certificate = try pair(arguments, ServeFlags.derpCertificate, ServeFlags.derpKey)
    return Relay(
      port: arguments[ServeFlags.derpPort],
      stunPort: arguments[ServeFlags.stunPort],
      hostname: hostname.isEmpty ? (ip.isEmpty ? url.host : ip) : hostname,
      address: address,
      region: region,
      certificate: certificate.map { ($0.0, $0.1) }
    )
  }

  private static func endpoints(_ texts: [String]) throws(CommandError) -> [Endpoint] {
    var endpoints: [Endpoint] = []
    for text in texts {
      guard let endpoint = Endpoint(text.hasPrefix(":") ? "0.0.0.0" + text : text) else {
        throw wrong("--listen", "has to be like 0.0.0.0:8080 or [::]:8080, not \"\(text)\"")
      }
      endpoints.append(endpoint)
    }
    guard !endpoints.isEmpty else { throw wrong("--listen", "has to name an address and port") }
    return endpoints
  }

  private static func domain(_ text: String, url: ServerURL) throws(CommandError) -> String {
    let domain = text.lowercased()
    guard NodeName.isDomain(domain) else {
      throw wrong("--domain", "has to be a domain name such as tailnet.internal")
    }
    guard url.host != domain, !url.host.hasSuffix("." + domain) else {
      throw wrong(
        "--domain",
        "must not hold the server's own name \(url.host): nodes would look for it in the tailnet"
      )
    }
    return domain
  }

  private static func prefix(
    _ text: String,
    _ family: IPAddress.Family,
    _ flag: Flag<String>
  ) throws(CommandError) -> IPPrefix {
    guard let prefix = IPPrefix(text) else {
      throw wrong("--\(flag.name)", "has to be like \(flag.defaultValue), not \"\(text)\"")
    }
    do {
      return try AddressAllocation.validated(prefix, family: family)
    } catch {
      throw CommandError("--\(flag.name): \(error.message)", code: .configuration)
    }
  }

  private static func relayMap(_ path: String) throws(CommandError) -> DERPMap {
    var map = DERPMap()
    map.omitDefaultRegions = true
    // None is not the same as unchanged, which is what an absent list would mean.
    map.regions = [:]
    guard !path.isEmpty else { return map }
    guard let bytes = try SmallFile.read(path) else {
      throw CommandError("cannot read \(path): no such file", code: .configuration)
    }
    do {
      map = try DERPMap(json: bytes)
    } catch {
      throw CommandError("\(path) is not a relay map: \(error)", code: .configuration)
    }
    map.omitDefaultRegions = true
    map.regions = map.regions ?? [:]
    return map
  }

  private static func pair(
    _ arguments: Arguments,
    _ certificate: Flag<String>,
    _ key: Flag<String>
  ) throws(CommandError) -> (String, String)? {
    let (chain, secret) = (arguments[certificate], arguments[key])
    guard chain.isEmpty == secret.isEmpty else {
      throw wrong("--\(certificate.name) and --\(key.name)", "belong together: give both")
    }
    return chain.isEmpty ? nil : (chain, secret)
  }

  private static func tls(_ pair: (String, String)) throws(CommandError) -> TLSServerSettings {
    do {
      return try TLSServerSettings(certificateFile: pair.0, keyFile: pair.1)
    } catch {
      throw CommandError(error.what, code: .configuration)
    }
  }

  static func wrong(_ flag: String, _ what: String) -> CommandError {
    CommandError("\(flag) \(what)", code: .configuration)
  }
}

/// The address that clients are told.
struct ServerURL {
  /// Without a slash at the end.
  let text: String
  /// The name or address in it.
  let host: String

  init(_ given: String) throws(CommandError) {
    var text = Substring(given)
    while text.hasSuffix("/") { text = text.dropLast() }
    let scheme = ["http://", "https://"].first { text.hasPrefix($0) }
    let authority = text.dropFirst(scheme?.count ?? 0)
    let host = Self.host(authority)
    guard scheme != nil, let host else {
      throw CommandError(
        given.isEmpty ? "--url is missing" : "--url \"\(given)\" cannot be one",
        hint: "Give the address at which machines reach this server: http://203.0.113.1:8080, or "
          + "https://control.example.org.",
        code: .configuration
      )
    }
    self.text = String(text)
    self.host = host
  }

  private static func host(_ authority: Substring) -> String? {
    if authority.hasPrefix("[") {
      guard let end = authority.firstIndex(of: "]") else { return nil }
      let inside = authority[authority.index(after: authority.startIndex)..<end]
      guard IPAddress(inside) != nil, isPort(authority[authority.index(after: end)...]) else {
        return nil
      }
      return String(inside)
    }
    let parts = authority.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 1 || isPort(":" + parts[1]) else { return nil }
    let host = parts[0].lowercased()
    return IPAddress(host) != nil || NodeName.isDomain(host) ? host : nil
  }

  private static func isPort(_ text: some StringProtocol) -> Bool {
    text.isEmpty || text.hasPrefix(":") && UInt16(text.dropFirst()) != nil
  }
}
