// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON

/// A command that speaks to the running server.
protocol AdminCommand: AsyncParsableCommand {
  var shared: SharedFlags { get }
}

extension AdminCommand {
  /// The server.
  var server: AdminClient {
    AdminClient(AdminSocket.path(flag: shared.socket, environment: environment))
  }

  /// Shows a value as JSON, or what `table` makes of it.
  func show(_ value: JSONValue, table: () -> String) {
    switch shared.output ?? .table {
    case .table: output.print(table(), terminator: "")
    case .json: output.print(value.forScripts.text(indentation: "\t"))
    case .jsonLine: output.print(value.forScripts.text())
    }
  }
}

/// A command that only groups those below it.
protocol CommandGroup: ParsableCommand {}

extension CommandGroup {
  func run() throws {
    let names = Self.configuration.subcommands.map { $0._commandName }.joined(separator: ", ")
    throw CommandError.usage("\(Self._commandName): missing subcommand: \(names)")
  }
}

/// Where the administrator's interface is.
enum AdminSocket {
  /// Unless told otherwise.
  static let path = "/run/martlet/control.sock"

  /// The socket that the flag names, or else the environment.
  static func path(flag: String?, environment: [String: String]) -> String {
    let variable = environment["MARTLET_CONTROL_SOCKET"] ?? ""
    return flag ?? (variable.isEmpty ? path : variable)
  }
}
