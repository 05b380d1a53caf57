// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON

/// `martlet-control auth`: machines that wait to be let in.
struct AuthCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "auth",
    abstract: "List, approve and reject machines that wait to be let in.",
    subcommands: [List.self, Approve.self, Reject.self]
  )

  struct List: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "List the machines that wait.")

    @OptionGroup var shared: SharedFlags

    func run() async throws {
      let answer = try await server.call("GET", "auth")
      let (logins, checks) = (answer["authRequests"] ?? [], answer["sshChecks"]?.array ?? [])
      show(logins) {
        var table = Table()
        table.add("ID", "Hostname", "OS", "Asks for tags", "Machine key", "Since")
        for login in logins.array ?? [] {
          table.add(
            login.cell("id"),
            login.cell("hostname"),
            login.cell("os"),
            login.cell("requestedTags"),
            login.cell("machineKey"),
            login.timeCell("createdAt")
          )
        }
        guard !checks.isEmpty else { return table.text }
        var sessions = Table()
        sessions.add("ID", "Session from", "To", "As", "Since")
        for check in checks {
          sessions.add(
            check.cell("id"),
            check.cell("source"),
            check.cell("target"),
            check.cell("login"),
            check.timeCell("createdAt")
          )
        }
        return table.text + "\n" + sessions.text
      }
    }
  }

  struct Approve: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Let a machine in.")

    @OptionGroup var shared: SharedFlags
    @Option(
      help: ArgumentHelp(
        "Whose node it becomes; may be left out where there is one user.",
        valueName: "user"
      )
    )
    var user: String?
    @Option(
      help: ArgumentHelp(
        "Tags that it gets instead of a user, with commas between them.",
        valueName: "tags"
      ),
      transform: settingValue
    )
    var tags: [String]?
    @Argument(help: "The machine's number in the list, or the address that it printed.")
    var id: String

    func run() async throws {
      let answer = try await server.call(
        "POST",
        "auth/approve",
        [
          "authId": .string(AuthCommand.login(id)), "user": .string(user ?? ""),
          "tags": .array((tags ?? []).map { .string($0) }),
        ]
      )
      guard let node = answer["node"] else { return show(answer) { "The session may go on.\n" } }
      show(node) {
        let owner = node["user"]?.cell("name") ?? node.cell("tags")
        return
          "Node \(node.cell("givenName")) of \(owner) joined with \(node.cell("ipAddresses")).\n"
      }
    }
  }

  struct Reject: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Send a machine away.")

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The machine's number in the list, or the address that it printed.")
    var id: String

    func run() async throws {
      let answer = try await server.call(
        "POST",
        "auth/reject",
        ["authId": .string(AuthCommand.login(id))]
      )
      show(answer) { "Rejected.\n" }
    }
  }

  /// The id of a login, also out of the whole address that the machine printed.
  fileprivate static func login(_ text: String) -> String {
    text.split(separator: "/").last.map(String.init) ?? text
  }
}

/// `martlet-control audit`: who did what.
struct AuditCommand: AdminCommand {
  static let configuration = CommandConfiguration(
    commandName: "audit",
    abstract: "Show the youngest administrative acts."
  )

  @OptionGroup var shared: SharedFlags
  @Option(help: ArgumentHelp("How many acts to show (50).", valueName: "n"))
  var limit: Int?

  func run() async throws {
    let entries = try await server.call("GET", "audit?limit=\(limit ?? 50)")["entries"] ?? []
    show(entries) {
      var table = Table()
      table.add("Time", "Actor", "Act", "Subject", "Details")
      for entry in entries.array ?? [] {
        table.add(
          entry.timeCell("time"),
          entry.cell("actor"),
          entry.cell("action"),
          entry.cell("subject"),
          entry.cell("details")
        )
      }
      return table.text
    }
  }
}
