// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import DERP
import Logging
import RelayServer

/// What `serve` was told, checked.
struct ServeSettings {
  let options: RelayOptions
  /// The file of what clients may send, to be read again when asked.
  let rateFile: RateFile?
  let logLevel: Logger.Level

  init(_ flags: ServeFlags, environment: [String: String]) throws(CommandError) {
    var settings = try Settings(
      prefix: "MARTLET_DERP",
      environment: environment,
      file: flags.config,
      defaultFile: "/etc/martlet/derp.json"
    )
    let isTrial = try settings.value("dev", flags.dev, default: false)
    let listen = try Self.endpoints(
      "listen",
      try settings.value(
        "listen",
        flags.listen,
        default: [isTrial ? "0.0.0.0:3340" : "0.0.0.0:443"]
      ),
      settings
    )
    let named = try Self.plainListen(flags, beside: listen, &settings)
    let stunPort = try settings.value("stun-port", flags.stunPort, default: 3478)
    let answersSTUN = try settings.value("stun", flags.stun, default: true)
    let relays = try settings.value("derp", flags.derp, default: true)
    let home = try Self.home(flags, &settings)
    let hostname = try settings.value("hostname", flags.hostname, default: "")
    let state = try settings.value("state", flags.state, default: "/var/lib/martlet-derp")
    let certificate = try Self.certificate(flags, hostname, state, isTrial: isTrial, &settings)
    let verifier = try Self.verifier(flags, &settings)
    let limits = try Limits(flags, &settings)
    let connections = try settings.value(
      "connection-limit",
      flags.connectionLimit,
      default: 16_384
    )
    let cache = try Self.peerCache(flags, environment, &settings)
    let (meshKey, meshPeers) = try Self.mesh(flags, &settings)
    let duplicates = try settings.value(
      "duplicates",
      flags.duplicates,
      expecting: "last-writer or disable-fighters",
      RelayPeers.DuplicatePolicy.init(rawValue:)
    )
    logLevel = try settings.value("log-level", flags.logLevel, default: .info)
    try settings.finish()

    guard let first = listen.first else {
      throw settings.wrong("listen", "has to name an address and port")
    }
    guard !hostname.isEmpty || certificate != .selfSigned else {
      throw settings.wrong("hostname", "has to name the relay, for its own certificate")
    }
    guard Self.isHostname(hostname) else {
      throw settings.wrong("hostname", "\"\(hostname)\" is neither a name nor an address")
    }
    guard answersSTUN || relays else {
      throw CommandError("--stun=false and --derp=false leave nothing to do", code: .configuration)
    }
    guard connections > 0 else {
      throw settings.wrong("connection-limit", "has to be more than zero")
    }
    var options = RelayOptions(
      listen: listen,
      stun: answersSTUN ? try Self.stun(stunPort, beside: listen, settings) : [],
      plainListen: certificate.needsPlainHTTP && named.isEmpty
        ? listen.map { Endpoint($0.address, port: 80) } : named,
      hostname: hostname.isEmpty ? first.address.description : hostname,
      certificate: certificate,
      stateDirectory: isTrial ? nil : state,
      maximumConnections: connections
    )
    limits.apply(to: &options)
    options.verifier = verifier
    options.relays = relays
    options.home = home
    options.version = Version.short
    options.peerCache = cache
    options.duplicates = duplicates ?? .lastWriter
    (options.meshKey, options.meshPeers) = (meshKey, meshPeers)
    rateFile = limits.rateFile
    self.options = options
  }

  static func endpoints(
    _ name: String,
    _ texts: [String],
    _ settings: Settings
  ) throws(CommandError) -> [Endpoint] {
    var endpoints: [Endpoint] = []
    for text in texts {
      guard let endpoint = Endpoint(text.hasPrefix(":") ? "0.0.0.0" + text : text) else {
        throw settings.wrong(name, "has to be like 0.0.0.0:443 or [::]:443, not \"\(text)\"")
      }
      endpoints.append(endpoint)
    }
    return endpoints
  }

  /// STUN is answered at the addresses that clients connect to.
  private static func stun(
    _ number: Int,
    beside listen: [Endpoint],
    _ settings: Settings
  ) throws(CommandError) -> [Endpoint] {
    if number == -1 { return [] }
    guard let port = UInt16(exactly: number) else {
      throw settings.wrong("stun-port", "has to be a port, or -1 for none")
    }
    var addresses: [IPAddress] = []
    for endpoint in listen where !addresses.contains(endpoint.address) {
      addresses.append(endpoint.address)
    }
    return addresses.map { Endpoint($0, port: port) }
  }

  private static func isHostname(_ text: String) -> Bool {
    IPAddress(text) != nil
      || text.utf8.count <= 253
        && text.utf8.allSatisfy { byte in
          switch byte {
          case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."):
            true
          default: false
          }
        }
  }
}
