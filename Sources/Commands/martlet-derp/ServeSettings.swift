// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import Logging
import RelayServer

/// What `serve` was told, checked.
struct ServeSettings {
  let options: RelayOptions
  let logLevel: Logger.Level

  init(_ arguments: Arguments) throws(CommandError) {
    let listen = try Self.endpoints(arguments, ServeFlags.listen)
    guard let first = listen.first else {
      throw Self.wrong("--listen", "has to name an address and port")
    }
    let hostname = arguments[ServeFlags.hostname]
    let certificate = try Self.certificate(arguments)
    guard !hostname.isEmpty || certificate != .selfSigned else {
      throw Self.wrong("--hostname", "has to name the relay, for its own certificate")
    }
    guard Self.isHostname(hostname) else {
      throw Self.wrong("--hostname", "\"\(hostname)\" is neither a name nor an address")
    }
    options = RelayOptions(
      listen: listen,
      stun: try Self.stun(arguments, beside: listen),
      plainListen: try Self.endpoints(arguments, ServeFlags.httpListen),
      hostname: hostname.isEmpty ? first.address.description : hostname,
      certificate: certificate,
      stateDirectory: arguments[ServeFlags.state],
      maximumConnections: try Self.positive(arguments, ServeFlags.connectionLimit),
      acceptsPerSecond: arguments[ServeFlags.acceptLimit] == 0
        ? nil : try Self.positive(arguments, ServeFlags.acceptLimit)
    )
    logLevel = try Self.level(arguments[ServeFlags.logLevel])
  }

  private static func certificate(
    _ arguments: Arguments
  ) throws(CommandError) -> RelayOptions.Certificate {
    let (chain, key) = (arguments[ServeFlags.certificate], arguments[ServeFlags.key])
    guard chain.isEmpty == key.isEmpty else {
      throw wrong("--cert and --key", "belong together: give both")
    }
    let choices = [!chain.isEmpty, arguments[ServeFlags.selfSigned], arguments[ServeFlags.plain]]
    guard choices.count(where: { $0 }) == 1 else {
      throw CommandError(
        choices.contains(true)
          ? "--cert, --self-signed and --plain exclude each other"
          : "the relay has no certificate",
        hint: "Give --cert FILE --key FILE, or --self-signed --hostname NAME, or --plain.",
        code: .configuration
      )
    }
    if !chain.isEmpty { return .files(certificate: chain, key: key) }
    return arguments[ServeFlags.selfSigned] ? .selfSigned : .none
  }

  private static func endpoints(
    _ arguments: Arguments,
    _ flag: Flag<[String]>
  ) throws(CommandError) -> [Endpoint] {
    var endpoints: [Endpoint] = []
    for text in arguments[flag] {
      guard let endpoint = Endpoint(text.hasPrefix(":") ? "0.0.0.0" + text : text) else {
        throw wrong(
          "--\(flag.name)",
          "has to be like 0.0.0.0:443 or [::]:443, not \"\(text)\""
        )
      }
      endpoints.append(endpoint)
    }
    return endpoints
  }

  /// STUN is answered at the addresses that clients connect to.
  private static func stun(
    _ arguments: Arguments,
    beside listen: [Endpoint]
  ) throws(CommandError) -> [Endpoint] {
    let number = arguments[ServeFlags.stunPort]
    if number == -1 { return [] }
    guard let port = UInt16(exactly: number) else {
      throw wrong("--stun-port", "has to be a port, or -1 for none")
    }
    var addresses: [IPAddress] = []
    for endpoint in listen where !addresses.contains(endpoint.address) {
      addresses.append(endpoint.address)
    }
    return addresses.map { Endpoint($0, port: port) }
  }

  private static func positive(
    _ arguments: Arguments,
    _ flag: Flag<Int>
  ) throws(CommandError) -> Int {
    guard arguments[flag] > 0 else { throw wrong("--\(flag.name)", "has to be more than zero") }
    return arguments[flag]
  }

  private static func level(_ text: String) throws(CommandError) -> Logger.Level {
    guard let level = Logger.Level(rawValue: text) else {
      throw wrong("--log-level", "has to be trace, debug, info, notice, warning or error")
    }
    return level
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

  private static func wrong(_ flag: String, _ what: String) -> CommandError {
    CommandError("\(flag) \(what)", code: .configuration)
  }
}
