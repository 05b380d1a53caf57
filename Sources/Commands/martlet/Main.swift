// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine

/// The command line of a node.
@main
struct Martlet: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "martlet",
    abstract: "Joins this machine to a private network, and shows how it is doing.",
    discussion: """
      Every command speaks to martletd, which must be running. Flags that take true|false mean true \
      when they stand alone. To see a command's flags: martlet <command> --help

      Exit codes: 0 done, 1 not done, 2 not understood.
      """,
    version: Version.long,
    subcommands: [
      UpCommand.self, DownCommand.self, SetCommand.self, GetCommand.self, LoginCommand.self,
      LogoutCommand.self, StatusCommand.self, IPCommand.self, PingCommand.self, WhoIsCommand.self,
      NetcheckCommand.self, WaitCommand.self, VersionCommand.self, DebugCommand.self,
    ]
  )

  /// Names that scripts still use.
  static let style = FlagStyle(
    of: Martlet.self,
    aliases: ["authkey": "auth-key", "posture-checking": "report-posture"],
    refusals: [
      "qr": "no QR codes are shown; open the address in a browser",
      "qr-format": "no QR codes are shown; open the address in a browser",
    ]
  )

  @OptionGroup var daemon: DaemonOptions

  static func main() async { await Program.main(Martlet.self, style: style) }
}

/// How to reach the daemon.
struct DaemonOptions: ParsableArguments {
  @Option(help: "The socket of martletd (or MARTLET_SOCKET; /run/martlet/martletd.sock).")
  var socket: String?
}
