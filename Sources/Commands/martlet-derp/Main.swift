// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine

/// The relay, on its own; without a subcommand it serves.
@main
struct MartletDERP: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet-derp",
    abstract: "Relays packets between machines that cannot reach each other, and answers STUN.",
    discussion: ServeCommand.discussion,
    version: Version.long,
    subcommands: [ServeCommand.self, VersionCommand.self]
  )

  @OptionGroup var flags: ServeFlags

  /// The flags of the original that have another name here.
  static let style = FlagStyle(of: MartletDERP.self, aliases: ["a": "listen"])

  static func main() async { await Program.main(MartletDERP.self, style: style) }

  func run() async throws { try await ServeCommand.run(flags, environment: environment) }
}

/// `martlet-derp serve`: the relay itself.
struct ServeCommand: AsyncParsableCommand {
  static let discussion = """
    A flag wins over its environment variable (--stun-port is MARTLET_DERP_STUN_PORT), that over \
    the configuration file, a JSON object whose keys are the names of flags.

    With --self-signed the relay makes a certificate that nobody vouches for and prints its hash: \
    put it into the relay map as CertName. This works on a bare IP address.

    SIGTERM and SIGINT stop the relay. SIGHUP has it read its certificates and --rate-config again. Flags that take true|false mean true when they stand alone.

    Exit codes: 0 stopped, 1 failed, 2 not understood, 3 wrong configuration, 4 not permitted, \
    5 another instance holds the port.
    """

  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Run the relay.",
    discussion: discussion
  )

  @OptionGroup var flags: ServeFlags

  func run() async throws { try await Self.run(flags, environment: environment) }

  /// Serves as `flags` and the environment say.
  static func run(_ flags: ServeFlags, environment: [String: String]) async throws {
    try await Serve.run(try ServeSettings(flags, environment: environment), environment)
  }
}

/// `martlet-derp version`: what this build calls itself.
struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version",
    abstract: "Print the version."
  )

  func run() { output.print(Version.long) }
}
