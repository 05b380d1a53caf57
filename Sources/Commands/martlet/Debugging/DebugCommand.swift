// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `martlet debug`: what helps to find out why something is slow or does not work.
struct DebugCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "debug",
    abstract: "Show what helps to find a fault; what is shown may change from version to version.",
    subcommands: [
      DebugCryptoCommand.self, DebugPortmapCommand.self, DebugPeerRelaySessionsCommand.self,
    ]
  )

  @OptionGroup var daemon: DaemonOptions
}
