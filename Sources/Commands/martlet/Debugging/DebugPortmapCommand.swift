// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import LocalAPI

/// `martlet debug portmap`: what the router offers, and which port it forwards.
struct DebugPortmapCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "portmap",
    abstract: "Ask the router by which services it maps ports, and show the port that it forwards."
  )

  @OptionGroup var daemon: DaemonOptions
  @Option(help: .yesNo("Print JSON."))
  var json: Bool?

  func run() async throws {
    let report = try await client.portMapping()
    if json ?? false {
      output.print(report.text(indentation: "  "))
    } else {
      let lines = report.text.split(separator: "\n").map { printable(String($0)) + "\n" }
      output.print(lines.joined(), terminator: "")
    }
  }
}
