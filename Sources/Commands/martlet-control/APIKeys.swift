// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON
import Timing

#if canImport(Glibc)
import Glibc
#endif

/// `martlet-control apikeys`: keys that programs show at every call of the API.
struct APIKeysCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "apikeys",
    abstract: "Create, list, expire and delete keys of the API.",
    subcommands: [Create.self, List.self, Expire.self, Delete.self]
  )

  struct Create: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a key and print it; it is shown this once."
    )

    @OptionGroup var shared: SharedFlags
    @Option(
      help: ArgumentHelp("How long the key works: 30m, 24h, 90d (90d).", valueName: "duration"),
      transform: settingValue
    )
    var expiration: Duration?
    @Option(
      help: ArgumentHelp(
        "What it may do, with commas between: users:read,devices:core (all).",
        valueName: "scopes"
      ),
      transform: settingValue
    )
    var scopes: [String]?
    @Option(
      help: ArgumentHelp(
        "Whom it acts for: it may do no more than this person's role lets do.",
        valueName: "user"
      )
    )
    var user: String?
    @Option(help: ArgumentHelp("What it is for.", valueName: "text"))
    var description: String?

    func run() async throws {
      let lifetime = expiration ?? .seconds(90 * 86_400)
      guard lifetime > .zero, lifetime <= .seconds(100 * 366 * 86_400) else {
        throw CommandError.usage("--expiration has to lie between a second and a hundred years")
      }
      let end = Timestamp(seconds: Int64(time(nil))) + lifetime
      let made = try await server.call(
        "POST",
        "apikey",
        [
          "expiration": .string(end.description), "description": .string(description ?? ""),
          "scopes": .array((scopes ?? []).map { .string($0) }), "user": .string(user ?? ""),
        ]
      )
      show(made) { made.cell("apiKey") + "\n" }
    }
  }

  struct List: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the keys, without their secrets."
    )

    @OptionGroup var shared: SharedFlags

    func run() async throws {
      let keys = try await server.credentials { $0 == "api" }
      show(keys) { CredentialTable.text(keys) }
    }
  }

  struct Expire: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "End a key now.")

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The key's prefix or number.")
    var key: String

    func run() async throws {
      let answer = try await server.call("POST", "apikey/expire", ["prefix": .string(key)])
      show(answer) { "Key \(key) expired.\n" }
    }
  }

  struct Delete: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Forget a key.")

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The key's prefix or number.")
    var key: String

    func run() async throws {
      let answer = try await server.call("DELETE", "apikey/" + AdminClient.quoted(key))
      show(answer) { "Key \(key) deleted.\n" }
    }
  }
}

/// `martlet-control oauth-clients`: clients that get tokens for the API.
struct OAuthClientsCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "oauth-clients",
    abstract: "Create, list and delete clients that get tokens for the API.",
    subcommands: [Create.self, List.self, Delete.self]
  )

  struct Create: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Make a client and print its secret; it is shown this once."
    )

    @OptionGroup var shared: SharedFlags
    @Option(
      help: ArgumentHelp("What its tokens may do, with commas between.", valueName: "scopes"),
      transform: settingValue
    )
    var scopes: [String]?
    @Option(
      help: ArgumentHelp(
        "What everything it makes is tagged with, with commas between.",
        valueName: "tags"
      ),
      transform: settingValue
    )
    var tags: [String]?
    @Option(help: ArgumentHelp("What it is for.", valueName: "text"))
    var description: String?

    func run() async throws {
      let made = try await server.call(
        "POST",
        "/api/v2/tailnet/-/keys",
        [
          "keyType": "client", "description": .string(description ?? ""),
          "scopes": .array((scopes ?? []).map { .string($0) }),
          "tags": .array((tags ?? []).map { .string($0) }),
        ]
      )
      show(made) { made.cell("key") + "\n" }
    }
  }

  struct List: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the clients, without their secrets."
    )

    @OptionGroup var shared: SharedFlags

    func run() async throws {
      let clients = try await server.credentials { $0 == "client" }
      show(clients) { CredentialTable.text(clients) }
    }
  }

  struct Delete: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Forget a client; its tokens end at once."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The client's number or prefix.")
    var client: String

    func run() async throws {
      let name =
        client.first == "c" && Int64(client.dropFirst()) != nil
        ? String(client.dropFirst()) : client
      let answer = try await server.call("DELETE", "apikey/" + AdminClient.quoted(name))
      show(answer) { "Client \(client) deleted.\n" }
    }
  }
}

extension AdminClient {
  /// The credentials of a kind.
  fileprivate func credentials(_ isWanted: (String) -> Bool) async throws -> JSONValue {
    let all = try await call("GET", "apikey")["apiKeys"]?.array ?? []
    return .array(all.filter { isWanted($0["kind"]?.string ?? "") })
  }
}

private enum CredentialTable {
  static func text(_ credentials: JSONValue) -> String {
    var table = Table()
    table.add("ID", "Prefix", "Scopes", "Tags", "Expiration", "Last used", "Description")
    for credential in credentials.array ?? [] {
      table.add(
        credential.cell("id"),
        credential.cell("prefix"),
        credential.cell("scopes"),
        credential.cell("tags"),
        credential.timeCell("expiration", none: "never"),
        credential.timeCell("lastSeen", none: "never"),
        credential.cell("description")
      )
    }
    return table.text
  }
}
