// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON
import LocalAPI

/// `martlet status`: how the node is doing, and its peers.
struct StatusCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Show how this machine and its peers are doing.",
    discussion: """
      A line a machine: address, name, owner, system, and the path to it. Ends with 1 when this \
      machine is not connected; --json ends with 0 and tells the state as BackendState.
      """
  )

  @OptionGroup var daemon: DaemonOptions
  @Option(help: .yesNo("Print JSON."))
  var json: Bool?
  @Option(help: .yesNo("Leave out peers that were quiet lately."))
  var active: Bool?
  @Option(name: .customLong("self"), help: .yesNo("Include this machine (true)."))
  var includesSelf: Bool?
  @Option(help: .yesNo("Include peers (true)."))
  var peers: Bool?
  @Option(help: .yesNo("Print a line with the names of the columns."))
  var header: Bool?

  func run() async throws {
    var status = try await client.status(peers: peers ?? true)
    if active ?? false { status.peers = status.peers?.filter { $0.value.active } }
    if json ?? false {
      return output.print(status.text(indentation: "  "), terminator: "")
    }
    let report = StatusReport(
      status,
      includesSelf: includesSelf ?? true,
      withHeader: header ?? false,
      now: .current
    )
    output.print(report.text, terminator: "")
    // The report says why.
    if !report.isConnected { throw CommandError("") }
  }
}
