// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine

/// `martlet-control serve`: the server itself.
struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Run the coordination server.",
    discussion: """
      A flag wins over its environment variable (--node-expiry is MARTLET_CONTROL_NODE_EXPIRY), that \
      over the configuration file, a JSON object whose keys are the names of flags.

      Without a certificate it speaks plain HTTP, which is safe for what matters (clients and server \
      prove themselves inside it) but needs a client that accepts it: use it on a trusted network, \
      or behind a proxy that speaks TLS.
      """
  )

  @OptionGroup var shared: SharedFlags
  @OptionGroup var flags: ServeFlags

  func run() async throws {
    let settings = try ServeSettings(flags, socket: shared.socket, environment: environment)
    try await Serve.run(settings, environment)
  }
}
