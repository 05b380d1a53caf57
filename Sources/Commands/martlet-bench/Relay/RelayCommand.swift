// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// `martlet-bench derp`: parts of the relay.
struct RelayCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "derp",
    abstract: "Measures the relay.",
    subcommands: [LoadCommand.self, ConnectCommand.self, LookupCacheCommand.self]
  )
}
