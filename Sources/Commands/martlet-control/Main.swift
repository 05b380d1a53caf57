// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine

/// The coordination server, and its administrator's command line.
@main
struct MartletControl: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet-control",
    abstract: "Coordinates a private network: who is in it, and who may reach whom.",
    discussion: """
      'serve' runs the server; 'policy eval', 'restore', 'import' and 'openapi' need none. Every other subcommand speaks to the running server over its socket, \
      which only root and the server's own user may use. Flags that take true|false mean true when \
      they stand alone.

      Exit codes: 0 done, 1 failed, 2 not understood, 3 wrong configuration, 4 not permitted, \
      5 another instance holds the state or the port.
      """,
    version: Version.long,
    subcommands: [
      ServeCommand.self, UsersCommand.self, NodesCommand.self, RoutesCommand.self,
      PreAuthKeysCommand.self, AuthCommand.self, PolicyCommand.self, APIKeysCommand.self,
      OAuthClientsCommand.self,
      DNSCommand.self, WebhooksCommand.self, BackupCommand.self, RestoreCommand.self,
      ImportCommand.self,
      AuditCommand.self, OpenAPICommand.self, VersionCommand.self,
    ]
  )

  @OptionGroup var shared: SharedFlags

  static func main() async { await Program.main(MartletControl.self) }

  func run() throws {
    throw CommandError.usage("missing subcommand", hint: "martlet-control --help lists them.")
  }
}

/// Flags that several subcommands take.
struct SharedFlags: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "The socket of the administrator's interface (or MARTLET_CONTROL_SOCKET; \(AdminSocket.path)).",
      valueName: "path"
    )
  )
  var socket: String?
  @Option(
    help: ArgumentHelp("How to show what was asked for: table, json or json-line (table).")
  )
  var output: OutputForm?
}

/// How an answer is shown.
enum OutputForm: String, ExpressibleByArgument, CaseIterable {
  case table
  case json
  case jsonLine = "json-line"
}

/// `martlet-control version`: what this build calls itself.
struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version",
    abstract: "Print the version."
  )

  func run() { output.print(Version.long) }
}
