// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON

/// `martlet-control users`: who owns nodes.
struct UsersCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "users",
    abstract: "Create, list, rename and delete users, and say what they may do.",
    subcommands: [Create.self, List.self, Rename.self, Role.self, Delete.self]
  )

  struct Create: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Make a user.")

    @OptionGroup var shared: SharedFlags
    @Option(help: ArgumentHelp("The name that people read.", valueName: "name"))
    var displayName: String?
    @Option(help: ArgumentHelp("The user's mail address.", valueName: "address"))
    var email: String?
    @Argument(help: "The user's name.")
    var name: String

    func run() async throws {
      let answer = try await server.call(
        "POST",
        "user",
        [
          "name": .string(name), "displayName": .string(displayName ?? ""),
          "email": .string(email ?? ""),
        ]
      )
      let user = answer["user"] ?? .null
      show(user) { "User \(user.cell("name")) created, number \(user.cell("id")).\n" }
    }
  }

  struct List: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "List the users.")

    @OptionGroup var shared: SharedFlags

    func run() async throws {
      let users = try await server.call("GET", "user")["users"] ?? []
      show(users) {
        var table = Table()
        table.add("ID", "Name", "Username", "Email", "Role", "Groups", "Created")
        for user in users.array ?? [] {
          table.add(
            user.cell("id"),
            user.cell("displayName"),
            user.cell("name"),
            user.cell("email"),
            user.cell("role"),
            user.cell("groups"),
            user.timeCell("createdAt")
          )
        }
        return table.text
      }
    }
  }

  struct Rename: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Give a user another name.")

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The user's name or number.")
    var user: String
    @Argument(help: "The new name.")
    var name: String

    func run() async throws {
      let path = "user/\(AdminClient.quoted(user))/rename/\(AdminClient.quoted(name))"
      let renamed = try await server.call("POST", path)["user"] ?? .null
      show(renamed) { "User \(renamed.cell("id")) is now \(renamed.cell("name")).\n" }
    }
  }

  struct Role: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say what a user may do to the network, which policies speak of."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The user's name or number.")
    var user: String
    @Argument(
      help: ArgumentHelp(
        "owner (there is one: who was it before becomes an admin), admin, network-admin, it-admin, "
          + "billing-admin, auditor or member."
      )
    )
    var role: String

    func run() async throws {
      let answer = try await server.call(
        "POST",
        "user/\(AdminClient.quoted(user))/role",
        ["role": .string(role)]
      )
      let changed = answer["user"] ?? .null
      show(changed) { "User \(changed.cell("name")) is now: \(changed.cell("role")).\n" }
    }
  }

  struct Delete: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Forget a user who has no nodes, with the user's auth keys."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The user's name or number.")
    var user: String

    func run() async throws {
      let answer = try await server.call("DELETE", "user/\(AdminClient.quoted(user))")
      show(answer) { "User \(user) deleted.\n" }
    }
  }
}
