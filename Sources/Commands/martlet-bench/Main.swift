// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine

/// What `make bench` and the instruction budget of `make test` run: a developer's tool, not installed.
@main
struct MartletBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet-bench",
    abstract: "Measures parts of Martlet, and drives load through tunnels.",
    discussion: """
      Each subcommand prints one JSON object on one line. Figures of different machines, or of one \
      machine at different times, do not compare: take ratios within one run.
      """,
    version: Version.long,
    subcommands: [
      PacketsCommand.self, SendCommand.self, ReceiveCommand.self, HandshakesCommand.self,
      RelayCommand.self, ControlCommand.self, LookupsCommand.self,
    ]
  )

  static func main() async { await Program.main(MartletBench.self) }
}
