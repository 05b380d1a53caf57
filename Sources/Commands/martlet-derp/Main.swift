// SPDX-License-Identifier: Apache-2.0

import CommandLine

/// The relay, on its own.
@main
struct Main {
  static func main() async {
    Termination.ignoreBrokenPipes()
    let code = await root.run(ProcessFacts.arguments, environment: ProcessFacts.environment)
    ProcessFacts.exit(code)
  }

  static let version = Flag<Bool>("version", help: "print the version")

  /// Everything that `martlet-derp` can do; without a subcommand it serves.
  static let root = Command(
    "martlet-derp",
    summary: "Relays packets between machines that cannot reach each other, and answers STUN.",
    usage: "[serve] [flags]",
    discussion: Serve.discussion,
    flags: [version] + ServeFlags.all,
    subcommands: [Serve.command, VersionCommand.command],
    settings: (flag: ServeFlags.config, defaultPath: "/etc/martlet/derp.json"),
    action: { invocation in
      if invocation.arguments[version] {
        invocation.output.print(Version.long)
      } else {
        try await Serve.run(invocation)
      }
    }
  )
}

enum VersionCommand {
  static let command = Command(
    "version",
    summary: "Print the version.",
    usage: "",
    action: { invocation in invocation.output.print(Version.long) }
  )
}
