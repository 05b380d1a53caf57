// SPDX-License-Identifier: Apache-2.0

import CommandLine
import JSON
import Timing

#if canImport(Glibc)
import Glibc
#endif

/// `martlet-control preauthkeys`: keys that let machines join without a person at their screens.
enum PreAuthKeys {
  private static let user = Flag<String>(
    "user",
    default: "",
    help: "whose nodes the key makes: a name or number"
  )
  private static let reusable = Flag<Bool>("reusable", help: "let the key serve many machines")
  private static let ephemeral = Flag<Bool>(
    "ephemeral",
    help: "forget its nodes when they have been away for a while"
  )
  private static let expiration = Flag<Duration>(
    "expiration",
    default: .seconds(3600),
    help: "how long the key works: 30m, 24h, 90d"
  )
  private static let tags = Flag<[String]>(
    "tags",
    default: [],
    help: "tags that its nodes get, with commas between them: tag:web,tag:db"
  )

  static let command = Command(
    "preauthkeys",
    summary: "Create, list, expire and delete auth keys.",
    usage: "<subcommand>",
    subcommands: [create, list, expire, delete]
  )

  private static let create = Command(
    "create",
    summary: "Make a key and print it; it is shown this once.",
    flags: [user, reusable, ephemeral, expiration, tags],
    action: { invocation in
      _ = try invocation.operands()
      let presenter = try Presenter(invocation)
      let arguments = invocation.arguments
      let lifetime = arguments[expiration]
      guard lifetime > .zero, lifetime <= .seconds(100 * 366 * 86_400) else {
        throw CommandError.usage("--expiration has to lie between a second and a hundred years")
      }
      let end = Timestamp(seconds: Int64(time(nil))) + lifetime
      let answer = try await AdminClient(invocation).call(
        "POST",
        "preauthkey",
        [
          "user": .string(arguments[user]), "reusable": .bool(arguments[reusable]),
          "ephemeral": .bool(arguments[ephemeral]), "expiration": .string(end.description),
          "aclTags": .array(arguments[tags].map { .string($0) }),
        ]
      )
      let key = answer["preAuthKey"] ?? .null
      presenter.show(key) { key.cell("key") + "\n" }
    }
  )

  private static let list = Command(
    "list",
    summary: "List the keys, without their secrets.",
    action: { invocation in
      _ = try invocation.operands()
      let presenter = try Presenter(invocation)
      let answer = try await AdminClient(invocation).call("GET", "preauthkey")
      let keys = answer["preAuthKeys"] ?? []
      presenter.show(keys) {
        var table = Table()
        table.add(
          row: [
            "ID", "Key/Prefix", "Reusable", "Ephemeral", "Uses", "Expiration", "Created", "Owner",
          ]
        )
        for key in keys.array ?? [] {
          let owner = key.cell("aclTags").isEmpty ? key["user"]?.cell("name") : key.cell("aclTags")
          table.add(
            row: [
              key.cell("id"), key.cell("key"), key.cell("reusable"), key.cell("ephemeral"),
              key.cell("uses"), key.timeCell("expiration", none: "never"),
              key.timeCell("createdAt"), owner ?? "",
            ]
          )
        }
        return table.text
      }
    }
  )

  private static let expire = Command(
    "expire",
    summary: "End a key now; nodes that it let in stay.",
    usage: "<number>",
    action: { invocation in
      let id = try invocation.operands("number")[0]
      let presenter = try Presenter(invocation)
      let answer = try await AdminClient(invocation).call(
        "POST",
        "preauthkey/expire",
        ["id": .string(id)]
      )
      presenter.show(answer) { "Key \(id) expired.\n" }
    }
  )

  private static let delete = Command(
    "delete",
    summary: "Forget a key; nodes that it let in stay.",
    usage: "<number>",
    action: { invocation in
      let id = try invocation.operands("number")[0]
      let presenter = try Presenter(invocation)
      let answer = try await AdminClient(invocation).call(
        "DELETE",
        "preauthkey?id=" + AdminClient.quoted(id)
      )
      presenter.show(answer) { "Key \(id) deleted.\n" }
    }
  )
}
