// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import ControlProtocol
import JSON
import LocalAPI

/// `martlet netcheck`: what kind of network this machine is in.
struct NetcheckCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "netcheck",
    abstract: "Show what kind of network this machine is in, and how far the relays are."
  )

  @OptionGroup var daemon: DaemonOptions
  @Option(help: ArgumentHelp("json or json-line; without it, for people.", valueName: "format"))
  var format: String?
  @Option(
    help: ArgumentHelp("Do it again and again, that far apart.", valueName: "duration"),
    transform: settingValue
  )
  var every: Duration?

  func validate() throws {
    guard ["", "json", "json-line"].contains(format ?? "") else {
      throw ValidationError("--format takes json or json-line")
    }
  }

  func run() async throws {
    let client = client
    while true {
      let report = try await client.netcheck()
      switch format ?? "" {
      case "json": output.print(report.text(indentation: "\t"))
      case "json-line": output.print(String(decoding: report.json, as: UTF8.self))
      default:
        let regions = try await client.relayMap()?.regions ?? [:]
        output.print(NetcheckText.text(report, regions: regions), terminator: "")
      }
      guard let every, every > .zero else { return }
      try await Task.sleep(for: every)
    }
  }
}
