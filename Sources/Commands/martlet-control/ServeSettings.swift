// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import ControlProtocol
import Coordination
import CoordinationServer
import HTTPTransport
import JSON
import Logging

/// What `serve` was told, checked.
struct ServeSettings {
  var listen: [Endpoint]
  /// Where counters are told to whoever asks.
  var metricsListen: [Endpoint]
  var socket: String
  var state: String
  var tls: TLSServerSettings?
  var tailnet: TailnetOptions
  var relay: Relay?
  /// Where the policy to put in force is; empty for the stored one.
  var policy: String
  /// A file with names that nodes are told; empty for none.
  var recordsFile: String
  /// Who says who people are.
  var identityProvider: IdentityProviderOptions?

  /// What was told about the embedded relay.
  struct Relay {
    var port: UInt16
    var stunPort: UInt16
    var hostname: String
    var address: IPAddress?
    var region: Int
    var certificate: (chain: String, key: String)?
  }

  var logLevel: Logger.Level

  init(
    _ flags: ServeFlags,
    socket: String?,
    environment: [String: String]
  ) throws(CommandError) {
    var settings = try Settings(
      prefix: "MARTLET_CONTROL",
      environment: environment,
      file: flags.config,
      defaultFile: "/etc/martlet/control.json"
    )
    let listen = try settings.value("listen", flags.listen, default: ["0.0.0.0:8080"])
    let metrics = try settings.value("metrics-listen", flags.metricsListen, default: [])
    self.socket = try settings.value("socket", socket, default: AdminSocket.path)
    state = try settings.value("state", flags.state, default: "/var/lib/martlet/control")
    let url = try settings.value("url", flags.url, default: "")
    let chain = try settings.value("tls-cert", flags.tlsCert, default: "")
    let key = try settings.value("tls-key", flags.tlsKey, default: "")
    let ipv4 = try settings.value("ipv4-prefix", flags.ipv4Prefix, default: "100.64.0.0/10")
    let ipv6 = try settings.value("ipv6-prefix", flags.ipv6Prefix, default: "fd7a:115c:a1e0::/48")
    let domain = try settings.value("domain", flags.domain, default: "tailnet.internal")
    let expiry = try settings.value("node-expiry", flags.nodeExpiry, default: .zero)
    let timeout = try settings.value(
      "ephemeral-timeout",
      flags.ephemeralTimeout,
      default: .seconds(30 * 60)
    )
    let approval = try settings.value("node-approval", flags.nodeApproval, default: false)
    let idle = try settings.value("api-key-idle", flags.apiKeyIdle, default: .seconds(30 * 86_400))
    let probe = try settings.value("router-probe", flags.routerProbe, default: .seconds(10))
    let relayMap = try settings.value("derp-map", flags.derpMap, default: "")
    policy = try settings.value("policy", flags.policy, default: "")
    logLevel = try settings.value("log-level", flags.logLevel, default: .info)
    let relay = try RelayTexts(flags, &settings)
    let provider = try ProviderTexts(flags, &settings)
    let names = try NameTexts(flags, &settings)
    try settings.finish()

    let place = try ServerURL(url)
    self.listen = try Self.endpoints(listen, "listen", settings)
    metricsListen = metrics.isEmpty ? [] : try Self.endpoints(metrics, "metrics-listen", settings)
    tls = try Self.pair(chain, key, "--tls-cert and --tls-key").map { pair throws(CommandError) in
      try Self.tls(pair)
    }
    tailnet = TailnetOptions(
      url: place.text,
      domain: try Self.domain(domain, url: place, settings),
      ipv4Prefix: try Self.prefix("ipv4-prefix", ipv4, .v4, settings),
      ipv6Prefix: try Self.prefix("ipv6-prefix", ipv6, .v6, settings),
      relayMap: try Self.relayMap(relayMap),
      keyLifetime: expiry == .zero ? nil : expiry,
      ephemeralTimeout: timeout,
      needsApproval: approval,
      credentialIdle: idle,
      routerProbe: probe,
      names: try names.checked(settings)
    )
    recordsFile = names.recordsFile
    guard idle == .zero || idle >= .seconds(86_400) else {
      throw settings.wrong("api-key-idle", "has to be a day or more, or 0")
    }
    guard probe == .zero || probe >= .seconds(2) else {
      throw settings.wrong("router-probe", "has to be two seconds or more, or 0")
    }
    guard timeout >= .seconds(60) else {
      throw settings.wrong("ephemeral-timeout", "has to be a minute or more")
    }
    identityProvider = try provider.checked(settings)
    if relay.isWanted { self.relay = try relay.checked(url: place, settings) }
  }

  /// What was told about the embedded relay, as it was told.
  private struct RelayTexts {
    var isWanted: Bool
    var port: UInt16
    var stunPort: UInt16
    var hostname: String
    var ip: String
    var region: Int
    var chain: String
    var key: String

    init(_ flags: ServeFlags, _ settings: inout Settings) throws(CommandError) {
      isWanted = try settings.value("derp", flags.derp, default: false)
      port = try settings.value("derp-port", flags.derpPort, default: 8443)
      stunPort = try settings.value("stun-port", flags.stunPort, default: 3478)
      hostname = try settings.value("derp-hostname", flags.derpHostname, default: "")
      ip = try settings.value("derp-ip", flags.derpIP, default: "")
      region = try settings.value("derp-region", flags.derpRegion, default: 900)
      chain = try settings.value("derp-cert", flags.derpCert, default: "")
      key = try settings.value("derp-key", flags.derpKey, default: "")
    }

    func checked(url: ServerURL, _ settings: Settings) throws(CommandError) -> Relay {
      let address = ip.isEmpty ? IPAddress(hostname.isEmpty ? url.host : hostname) : IPAddress(ip)
      guard ip.isEmpty || address != nil else {
        throw settings.wrong("derp-ip", "has to be an address")
      }
      guard (900...999).contains(region) else {
        throw settings.wrong("derp-region", "has to lie between 900 and 999")
      }
      let certificate = try pair(chain, key, "--derp-cert and --derp-key")
      return Relay(
        port: port,
        stunPort: stunPort,
        hostname: hostname.isEmpty ? (ip.isEmpty ? url.host : ip) : hostname,
        address: address,
        region: region,
        certificate: certificate.map { ($0.0, $0.1) }
      )
    }
  }

  private static func endpoints(
    _ texts: [String],
    _ name: String,
    _ settings: Settings
  ) throws(CommandError) -> [Endpoint] {
    var endpoints: [Endpoint] = []
    for text in texts {
      guard let endpoint = Endpoint(text.hasPrefix(":") ? "0.0.0.0" + text : text) else {
        throw settings.wrong(
          name,
          "has to be like 0.0.0.0:8080 or [::]:8080, not \"\(text)\""
        )
      }
      endpoints.append(endpoint)
    }
    guard !endpoints.isEmpty else {
      throw settings.wrong("listen", "has to name an address and port")
    }
    return endpoints
  }

  private static func domain(
    _ text: String,
    url: ServerURL,
    _ settings: Settings
  ) throws(CommandError) -> String {
    let domain = text.lowercased()
    guard NodeName.isDomain(domain) else {
      throw settings.wrong("domain", "has to be a domain name such as tailnet.internal")
    }
    guard url.host != domain, !url.host.hasSuffix("." + domain) else {
      throw settings.wrong(
        "domain",
        "must not hold the server's own name \(url.host): nodes would look for it in the tailnet"
      )
    }
    return domain
  }

  private static func prefix(
    _ name: String,
    _ text: String,
    _ family: IPAddress.Family,
    _ settings: Settings
  ) throws(CommandError) -> IPPrefix {
    guard let prefix = IPPrefix(text) else {
      throw settings.wrong(name, "has to be like 10.0.0.0/8 or fd00::/48, not \"\(text)\"")
    }
    do {
      return try AddressAllocation.validated(prefix, family: family)
    } catch {
      throw CommandError("\(settings.title(of: name)): \(error.message)", code: .configuration)
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
    _ chain: String,
    _ key: String,
    _ names: String
  ) throws(CommandError) -> (String, String)? {
    guard chain.isEmpty == key.isEmpty else {
      throw CommandError("\(names) belong together: give both", code: .configuration)
    }
    return chain.isEmpty ? nil : (chain, key)
  }

  private static func tls(_ pair: (String, String)) throws(CommandError) -> TLSServerSettings {
    do {
      return try TLSServerSettings(certificateFile: pair.0, keyFile: pair.1)
    } catch {
      throw CommandError(error.what, code: .configuration)
    }
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
