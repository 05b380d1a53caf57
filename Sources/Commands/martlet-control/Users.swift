// SPDX-License-Identifier: Apache-2.0

import CommandLine
import JSON

/// `martlet-control users`: who owns nodes.
enum Users {
  private static let displayName = Flag<String>(
    "display-name",
    default: "",
    help: "the name that people read"
  )
  private static let email = Flag<String>("email", default: "", help: "its mail address")

  static let command = Command(
    "users",
    summary: "Create, list, rename and delete users.",
    usage: "<subcommand>",
    subcommands: [
      Command(
        "create",
        summary: "Make a user.",
        usage: "[flags] <name>",
        flags: [displayName, email],
        action: { invocation in
          let name = try invocation.operands("name")[0]
          let presenter = try Presenter(invocation)
          let answer = try await AdminClient(invocation).call(
            "POST",
            "user",
            [
              "name": .string(name),
              "displayName": .string(invocation.arguments[displayName]),
              "email": .string(invocation.arguments[email]),
            ]
          )
          let user = answer["user"] ?? .null
          presenter.show(user) { "User \(user.cell("name")) created, number \(user.cell("id")).\n" }
        }
      ),
      Command(
        "list",
        summary: "List the users.",
        action: { invocation in
          _ = try invocation.operands()
          let presenter = try Presenter(invocation)
          let answer = try await AdminClient(invocation).call("GET", "user")
          let users = answer["users"] ?? []
          presenter.show(users) { table(of: users.array ?? []) }
        }
      ),
      Command(
        "rename",
        summary: "Give a user another name.",
        usage: "<name or number> <new name>",
        action: { invocation in
          let names = try invocation.operands("user", "new name").map(AdminClient.quoted)
          let presenter = try Presenter(invocation)
          let answer = try await AdminClient(invocation).call(
            "POST",
            "user/\(names[0])/rename/\(names[1])"
          )
          let user = answer["user"] ?? .null
          presenter.show(user) { "User \(user.cell("id")) is now \(user.cell("name")).\n" }
        }
      ),
      Command(
        "delete",
        summary: "Forget a user who has no nodes, with the user's auth keys.",
        usage: "<name or number>",
        action: { invocation in
          let name = try invocation.operands("user")[0]
          let presenter = try Presenter(invocation)
          let answer = try await AdminClient(invocation).call(
            "DELETE",
            "user/\(AdminClient.quoted(name))"
          )
          presenter.show(answer) { "User \(name) deleted.\n" }
        }
      ),
    ]
  )

  private static func table(of users: [JSONValue]) -> String {
    var table = Table()
    table.add("ID", "Name", "Username", "Email", "Created")
    for user in users {
      table.add(
        user.cell("id"),
        user.cell("displayName"),
        user.cell("name"),
        user.cell("email"),
        user.timeCell("createdAt")
      )
    }
    return table.text
  }
}
