// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine

/// The node daemon.
@main
struct Martletd: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martletd",
    abstract: "Keeps this machine on its private network.",
    discussion: """
      A flag wins over its environment variable (--port is MARTLET_PORT), that over the \
      configuration file, a JSON object whose keys are the names of flags.

      SIGTERM and SIGINT end it; routes, rules and the interface go away. What a killed daemon \
      left behind is removed with --cleanup, and by the next start.

      Exit codes: 0 ended, 1 failed, 2 not understood, 3 wrong configuration, 4 not permitted, \
      5 another daemon uses the state directory, the socket, the port or the routing rules.
      """,
    version: Version.long
  )

  @Option(help: "The configuration file (/etc/martlet/martletd.json).")
  var config: String?

  @Option(help: "The directory of keys and state (/var/lib/martlet).")
  var statedir: String?

  @Option(help: "The socket for the command line (/run/martlet/martletd.sock).")
  var socket: String?

  @Option(help: "The name of the network interface (martlet0).")
  var tun: String?

  @Option(
    help: """
      The UDP port; 0 for any. Without this flag it is 41641, or another one if that is taken.
      """
  )
  var port: String?

  @Option(help: "The largest packet in the tunnel, in bytes: 1280 to 9000 (1280).")
  var mtu: String?

  @Option(
    help: """
      What packets are sealed with: auto, boringssl or ipsec-mb (auto: the fastest that this machine \
      has; see 'martlet debug crypto').
      """
  )
  var cipher: String?

  @Option(
    help: """
      How many threads share the data path, each with peers of its own: 1 to 8 (1 up to four \
      processors, then half of them).
      """
  )
  var shards: String?

  @Option(
    help: """
      How many threads help each of those to seal and open what a heavy flow brings: 0 to 4 (none on \
      one or two processors, else 1).
      """
  )
  var helpers: String?

  @Option(
    help: """
      By which services the router is asked to forward the UDP port: on, off, or some of pcp, pmp and \
      upnp with commas between (on).
      """
  )
  var portMapping: String?

  @Option(
    help: """
      The HTTP proxy for connections to the coordination server and to relays, or none. Without it the \
      variables HTTPS_PROXY, HTTP_PROXY and NO_PROXY count.
      """
  )
  var proxy: String?

  @Option(help: "How much to log: trace, debug, info, notice, warning or error (info).")
  var logLevel: String?

  @ArgumentParser.Flag(
    help: "Remove what a killed daemon left behind (routes, rules, interface), and end."
  )
  var cleanup = false

  static func main() async { await Program.main(self) }

  mutating func run() async throws {
    let settings = try DaemonSettings(self, environment: ProcessFacts.environment)
    LogSetup.bootstrap(level: settings.logLevel, environment: ProcessFacts.environment)
    if cleanup {
      try Daemon.cleanUp(settings)
    } else {
      try await Daemon.run(settings)
    }
  }
}
