// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON
import Timing

#if canImport(Glibc)
import Glibc
#endif

/// `martlet-control preauthkeys`: keys that let machines join without a person at their screens.
struct PreAuthKeysCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "preauthkeys",
    abstract: "Create, list, expire and delete auth keys.",
    subcommands: [Create.self, List.self, Expire.self, Delete.self]
  )

  struct Create: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key and print it; it is shown this once."
    )

    @OptionGroup var shared: SharedFlags
    @Option(
      help: ArgumentHelp("Whose nodes the key makes: a name or number.", valueName: "user")
    )
    var user: String?
    @Option(help: .yesNo("Let the key serve many machines."))
    var reusable: Bool?
    @Option(
      help: ArgumentHelp("How many machines a reusable key serves at most.", valueName: "count")
    )
    var uses: Int?
    @Option(help: .yesNo("Forget its nodes when they have been away for a while."))
    var ephemeral: Bool?
    @Option(help: .yesNo("Let its nodes talk to others at once, where nodes need approval."))
    var preauthorized: Bool?
    @Option(
      help: ArgumentHelp("How long the key works: 30m, 24h, 90d (1h).", valueName: "duration"),
      transform: settingValue
    )
    var expiration: Duration?
    @Option(
      help: ArgumentHelp(
        "Tags that its nodes get, with commas between them: tag:web,tag:db.",
        valueName: "tags"
      ),
      transform: settingValue
    )
    var tags: [String]?

    func run() async throws {
      let lifetime = expiration ?? .seconds(3600)
      guard lifetime > .zero, lifetime <= .seconds(100 * 366 * 86_400) else {
        throw CommandError.usage("--expiration has to lie between a second and a hundred years")
      }
      let end = Timestamp(seconds: Int64(time(nil))) + lifetime
      let answer = try await server.call(
        "POST",
        "preauthkey",
        [
          "user": .string(user ?? ""), "reusable": .bool(reusable ?? false),
          "ephemeral": .bool(ephemeral ?? false), "expiration": .string(end.description),
          "maximumUses": uses.map { .integer(Int64($0)) } ?? .null,
          "preauthorized": .bool(preauthorized ?? false),
          "aclTags": .array((tags ?? []).map { .string($0) }),
        ]
      )
      let key = answer["preAuthKey"] ?? .null
      show(key) { key.cell("key") + "\n" }
    }
  }

  struct List: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the keys, without their secrets."
    )

    @OptionGroup var shared: SharedFlags

    func run() async throws {
      let keys = try await server.call("GET", "preauthkey")["preAuthKeys"] ?? []
      show(keys) {
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
  }

  struct Expire: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "End a key now; nodes that it let in stay."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The key's number.")
    var number: String

    func run() async throws {
      let answer = try await server.call("POST", "preauthkey/expire", ["id": .string(number)])
      show(answer) { "Key \(number) expired.\n" }
    }
  }

  struct Delete: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Forget a key; nodes that it let in stay."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The key's number.")
    var number: String

    func run() async throws {
      let answer = try await server.call("DELETE", "preauthkey?id=" + AdminClient.quoted(number))
      show(answer) { "Key \(number) deleted.\n" }
    }
  }
}
