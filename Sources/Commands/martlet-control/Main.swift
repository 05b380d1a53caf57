// SPDX-License-Identifier: Apache-2.0

import CommandLine

/// The coordination server, and its administrator's command line.
@main
struct Main {
  static func main() async {
    Termination.ignoreBrokenPipes()
    let code = await root.run(ProcessFacts.arguments, environment: ProcessFacts.environment)
    ProcessFacts.exit(code)
  }

  /// Everything that `martlet-control` can do.
  static let root = Command(
    "martlet-control",
    summary: "Coordinates a private network: who is in it, and who may reach whom.",
    usage: "[flags] <subcommand>",
    discussion: """
      'serve' runs the server. Every other subcommand speaks to the running server over its socket,
      which only root and the server's own user may use.

      Exit codes: 0 done, 1 failed, 2 not understood, 3 wrong configuration, 4 not permitted,
      5 another instance holds the state or the port.
      """,
    flags: [Shared.socket, Shared.output, Shared.version],
    subcommands: [Serve.command, Users.command, Nodes.command, PreAuthKeys.command, Auth.command]
      + [Audit.command, VersionCommand.command],
    action: { invocation in
      guard invocation.arguments[Shared.version] else {
        throw CommandError.usage(
          "missing subcommand",
          hint: "martlet-control --help lists them."
        )
      }
      invocation.output.print(Version.long)
    }
  )
}

/// Flags that several subcommands take.
enum Shared {
  static let socket = Flag<String>(
    "socket",
    default: "/run/martlet/control.sock",
    environment: "MARTLET_CONTROL_SOCKET",
    help: "the unix socket of the administrator's interface"
  )
  static let output = Flag<String>(
    "output",
    default: "table",
    help: "how to show what was asked for: table, json or json-line"
  )
  static let version = Flag<Bool>("version", help: "print the version")
}

enum VersionCommand {
  static let command = Command(
    "version",
    summary: "Print the version.",
    usage: "",
    action: { invocation in invocation.output.print(Version.long) }
  )
}
