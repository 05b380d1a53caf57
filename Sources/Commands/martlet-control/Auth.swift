// SPDX-License-Identifier: Apache-2.0

import CommandLine
import JSON

/// `martlet-control auth`: machines that wait to be let in.
enum Auth {
  private static let user = Flag<String>(
    "user",
    default: "",
    help: "whose node it becomes; may be left out where there is one user"
  )
  private static let tags = Flag<[String]>(
    "tags",
    default: [],
    help: "tags that it gets instead of a user, with commas between them"
  )

  static let command = Command(
    "auth",
    summary: "List, approve and reject machines that wait to be let in.",
    usage: "<subcommand>",
    subcommands: [list, approve, reject]
  )

  private static let list = Command(
    "list",
    summary: "List the machines that wait.",
    action: { invocation in
      _ = try invocation.operands()
      let presenter = try Presenter(invocation)
      let answer = try await AdminClient(invocation).call("GET", "auth")
      let logins = answer["authRequests"] ?? []
      presenter.show(logins) {
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
        return table.text
      }
    }
  )

  private static let approve = Command(
    "approve",
    summary: "Let a machine in.",
    usage: "[flags] <id>",
    flags: [user, tags],
    action: { invocation in
      let id = try invocation.operands("id")[0]
      let presenter = try Presenter(invocation)
      let arguments = invocation.arguments
      let answer = try await AdminClient(invocation).call(
        "POST",
        "auth/approve",
        [
          "authId": .string(login(id)), "user": .string(arguments[user]),
          "tags": .array(arguments[tags].map { .string($0) }),
        ]
      )
      let node = answer["node"] ?? .null
      presenter.show(node) {
        let owner = node["user"]?.cell("name") ?? node.cell("tags")
        return
          "Node \(node.cell("givenName")) of \(owner) joined with \(node.cell("ipAddresses")).\n"
      }
    }
  )

  private static let reject = Command(
    "reject",
    summary: "Send a machine away.",
    usage: "<id>",
    action: { invocation in
      let id = try invocation.operands("id")[0]
      let presenter = try Presenter(invocation)
      let answer = try await AdminClient(invocation).call(
        "POST",
        "auth/reject",
        ["authId": .string(login(id))]
      )
      presenter.show(answer) { "Rejected.\n" }
    }
  )

  /// The id of a login, also out of the whole address that the machine printed.
  private static func login(_ text: String) -> String {
    text.split(separator: "/").last.map(String.init) ?? text
  }
}

/// `martlet-control audit`: who did what.
enum Audit {
  private static let limit = Flag<Int>("limit", default: 50, help: "how many acts to show")

  static let command = Command(
    "audit",
    summary: "Show the youngest administrative acts.",
    flags: [limit],
    action: { invocation in
      _ = try invocation.operands()
      let presenter = try Presenter(invocation)
      let answer = try await AdminClient(invocation).call(
        "GET",
        "audit?limit=\(invocation.arguments[limit])"
      )
      let entries = answer["entries"] ?? []
      presenter.show(entries) {
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
  )
}
