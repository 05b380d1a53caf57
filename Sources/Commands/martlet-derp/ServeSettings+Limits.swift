// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import DERP
import RelayServer

/// Who may use the relay, how much, and who may look inside.
extension ServeSettings {
  /// Where the node daemon of this machine listens.
  static let daemonSocket = "/run/martlet/martletd.sock"

  static func verifier(
    _ flags: ServeFlags,
    _ settings: inout Settings
  ) throws(CommandError) -> ClientVerifier {
    let asksDaemon = try settings.value("verify-clients", flags.verifyClients, default: false)
    let socket = try settings.value("socket", flags.socket, default: daemonSocket)
    let url = try settings.value("verify-client-url", flags.verifyClientUrl, default: "")
    let failsOpen = try settings.value(
      "verify-client-url-fail-open",
      flags.verifyClientUrlFailOpen,
      default: true
    )
    guard url.isEmpty || ClientVerifier.canAsk(url) else {
      throw settings.wrong("verify-client-url", "has to be an http:// or https:// address")
    }
    return ClientVerifier(
      daemonSocket: asksDaemon ? socket : nil,
      url: url.isEmpty ? nil : url,
      failsOpen: failsOpen
    )
  }

  static func plainListen(
    _ flags: ServeFlags,
    beside listen: [Endpoint],
    _ settings: inout Settings
  ) throws(CommandError) -> [Endpoint] {
    let texts = try settings.value("http-listen", flags.httpListen, default: [])
    let number = try settings.value("http-port", flags.httpPort, default: -1)
    let named = try endpoints("http-listen", texts, settings)
    guard number != -1 else { return named }
    guard let port = UInt16(exactly: number), port > 0 else {
      throw settings.wrong("http-port", "has to be a port, or -1 for none")
    }
    var all = named
    for endpoint in listen.map({ Endpoint($0.address, port: port) }) where !all.contains(endpoint) {
      all.append(endpoint)
    }
    return all
  }

  static func home(
    _ flags: ServeFlags,
    _ settings: inout Settings
  ) throws(CommandError) -> RelayOptions.Home {
    let text = try settings.value("home", flags.home, default: "")
    switch text {
    case "": return .page
    case "blank": return .blank
    case _ where ClientVerifier.canAsk(text): return .redirect(to: text)
    default:
      throw settings.wrong("home", "has to be blank, or an http:// or https:// address")
    }
  }

  /// The bounds of connections and of what comes over them.
  struct Limits {
    private let accepts: (limit: Int, burst: Int)
    private let timeouts: (write: Duration, keepAlive: Duration, user: Duration)
    private let debuggers: [IPPrefix]
    private let rate: RelayRateLimit?
    let rateFile: RateFile?

    init(_ flags: ServeFlags, _ settings: inout Settings) throws(CommandError) {
      accepts.limit = try settings.value(
        "accept-connection-limit",
        flags.acceptConnectionLimit,
        default: 0
      )
      accepts.burst = try settings.value(
        "accept-connection-burst",
        flags.acceptConnectionBurst,
        default: 0
      )
      guard accepts.limit >= 0, accepts.burst >= 0 else {
        throw settings.wrong("accept-connection-limit", "and its burst have to be zero or more")
      }
      timeouts.write = try Self.duration("tcp-write-timeout", flags.tcpWriteTimeout, 2, &settings)
      timeouts.keepAlive = try Self.duration(
        "tcp-keepalive-time",
        flags.tcpKeepaliveTime,
        600,
        &settings
      )
      timeouts.user = try Self.duration("tcp-user-timeout", flags.tcpUserTimeout, 15, &settings)
      guard timeouts.keepAlive >= .seconds(1) else {
        throw settings.wrong("tcp-keepalive-time", "has to be a second or more")
      }
      var prefixes: [IPPrefix] = []
      for text in try settings.value("debug-from", flags.debugFrom, default: []) {
        guard let prefix = IPPrefix(text) ?? IPAddress(text).map(IPPrefix.init(host:)) else {
          throw settings.wrong("debug-from", "has to be like 10.0.0.0/8, not \"\(text)\"")
        }
        prefixes.append(prefix)
      }
      debuggers = prefixes
      let path = try settings.value("rate-config", flags.rateConfig, default: "")
      rateFile = path.isEmpty ? nil : RateFile(path: path)
      rate = try rateFile?.read() ?? nil
    }

    func apply(to options: inout RelayOptions) {
      options.acceptsPerSecond = accepts.limit == 0 ? nil : accepts.limit
      options.acceptBurst = accepts.burst == 0 ? nil : accepts.burst
      options.writeTimeout = timeouts.write == .zero ? nil : timeouts.write
      options.keepAliveSeconds = Int(timeouts.keepAlive.components.seconds)
      options.userTimeoutMilliseconds = Int(timeouts.user / .milliseconds(1))
      options.debuggers = debuggers
      options.rateLimit = rate
    }

    /// At most a day: longer is a slip of the pen.
    private static func duration(
      _ name: String,
      _ given: String?,
      _ seconds: Int,
      _ settings: inout Settings
    ) throws(CommandError) -> Duration {
      let value = try settings.value(
        name,
        given,
        expecting: "a duration like 10s",
        DurationText.parse
      )
      guard let value else { return .seconds(seconds) }
      guard (.zero...Duration.seconds(86_400)).contains(value) else {
        throw settings.wrong(name, "has to be from 0s to 24h")
      }
      return value
    }
  }
}

/// The file that says how much one client may send.
struct RateFile: Hashable, Sendable {
  /// More than this no such file has.
  private static let maximumBytes = 65_536

  let path: String

  /// What it says now; nil where it sets no limit.
  func read() throws(CommandError) -> RelayRateLimit? {
    guard let bytes = try SmallFile.read(path, upTo: Self.maximumBytes) else {
      throw CommandError("\(path), the file of rate limits, is not there", code: .configuration)
    }
    do {
      return try RelayRateLimit.read(json: bytes)
    } catch {
      throw CommandError(
        "\(path) does not say how much a client may send: \(error)",
        hint:
          #"It takes {"PerClientRateLimitBytesPerSec": 1000000, "PerClientRateBurstBytes": 200000}."#,
        code: .configuration
      )
    }
  }
}
