// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import LocalAPI

/// `martlet down`: disconnects, and stays logged in.
struct DownCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "down",
    abstract: "Disconnect from the network."
  )

  @OptionGroup var daemon: DaemonOptions

  func run() async throws {
    let client = client
    let status = try await client.status(peers: false)
    guard status.state != .stopped else {
      return output.complain("Martlet was already stopped.")
    }
    var edit = MaskedPreferences()
    edit.set(.wantRunning, \.wantRunning, false)
    try await client.edit(edit)
  }
}

/// `martlet logout`: disconnects, and gives up the node's key.
struct LogoutCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "logout",
    abstract: "Disconnect from the network and log out.",
    discussion: "This machine's key expires; it has to log in again to come back."
  )

  @OptionGroup var daemon: DaemonOptions

  func run() async throws { try await client.logout() }
}
