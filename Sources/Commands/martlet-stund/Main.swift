// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import Logging

/// Tells machines the addresses from which their datagrams come.
@main
struct MartletSTUND: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet-stund",
    abstract: "Answers STUN binding requests, and nothing else.",
    discussion: """
      Whoever runs a relay needs no second program: martlet-derp answers STUN as well.

      Exit codes: 0 stopped, 1 failed, 2 not understood, 3 wrong configuration, 4 not permitted, \
      5 another instance holds the port.
      """,
    version: Version.long
  )

  @Option(
    help: ArgumentHelp(
      "Where it answers, several with commas between them (0.0.0.0:3478,[::]:3478).",
      valueName: "address:port"
    ),
    transform: settingValue
  )
  var stun: [String] = ["0.0.0.0:3478", "[::]:3478"]
  @Option(
    help: ArgumentHelp(
      "Where Prometheus finds /metrics; by default nowhere.",
      valueName: "address:port"
    )
  )
  var http: String?

  static let style = FlagStyle(of: MartletSTUND.self)

  static func main() async { await Program.main(MartletSTUND.self, style: style) }

  func run() async throws {
    LogSetup.bootstrap(level: .info, environment: environment)
    try await STUNService(
      stun: try stun.map { try endpoint($0, "stun") },
      http: try http.map { try endpoint($0, "http") }
    )
    .run()
  }

  private func endpoint(_ text: String, _ name: String) throws(CommandError) -> Endpoint {
    if let endpoint = Endpoint(text) { return endpoint }
    throw CommandError.usage("--\(name) has to be an address and port, not '\(text)'")
  }
}
