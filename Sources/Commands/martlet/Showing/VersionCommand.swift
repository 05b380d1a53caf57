// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import ControlProtocol
import JSON
import LocalAPI

/// `martlet version`: what this program and the daemon call themselves.
struct VersionCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "version",
    abstract: "Show the version."
  )

  @OptionGroup var daemon: DaemonOptions
  @Option(name: .customLong("daemon"), help: .yesNo("Ask the daemon for its version too."))
  var asksDaemon: Bool?
  @Option(help: .yesNo("Print JSON."))
  var json: Bool?

  func run() async throws {
    let daemonVersion =
      asksDaemon ?? false ? try await client.status(peers: false).version : nil
    if json ?? false {
      output.print(VersionText.json(daemon: daemonVersion).text(indentation: "  "))
    } else {
      output.print(VersionText.text(daemon: daemonVersion), terminator: "")
    }
  }
}

/// How versions are shown.
enum VersionText {
  static func text(daemon: String?) -> String {
    if let daemon { return "Client: \(Version.long)\nDaemon: \(daemon)\n" }
    let commit = Version.commit.isEmpty ? "" : "  martlet commit: \(Version.commit)\n"
    return Version.short + "\n" + commit + "  long version: \(Version.long)\n"
  }

  static func json(daemon: String?) -> JSONValue {
    var members: JSONObject = [
      "majorMinorPatch": .string(Version.short), "short": .string(Version.short),
      "long": .string(Version.long),
    ]
    if !Version.commit.isEmpty { members["gitCommit"] = .string(Version.commit) }
    if let daemon { members["daemonLong"] = .string(daemon) }
    members["cap"] = .integer(Int64(CapabilityVersion.current))
    return .object(members)
  }
}
