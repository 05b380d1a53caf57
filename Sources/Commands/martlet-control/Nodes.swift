// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON

#if canImport(Glibc)
import Glibc
#endif

/// `martlet-control nodes`: the machines of the network.
struct NodesCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "nodes",
    abstract: "List, show, rename, tag, approve, expire and delete nodes.",
    subcommands: [
      List.self, Show.self, Rename.self, Tag.self, Move.self, Approve.self, Withhold.self,
      ApproveRoutes.self,
      Expire.self,
      Ask.self, Attributes.self, SetAttribute.self, UnsetAttribute.self, Delete.self,
      AddWireGuard.self,
    ]
  )

  struct List: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "List the nodes.")

    @OptionGroup var shared: SharedFlags
    @Option(help: ArgumentHelp("Of that user only: a name or number.", valueName: "user"))
    var user: String?

    func run() async throws {
      let query = user.map { "?user=" + AdminClient.quoted($0) } ?? ""
      let nodes = try await server.call("GET", "node" + query)["nodes"] ?? []
      show(nodes) { NodesText.table(of: nodes.array ?? []) }
    }
  }

  struct Show: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Show all that is known of a node.")

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The node's name or number.")
    var node: String

    func run() async throws {
      let found = try await server.call("GET", path(node))["node"] ?? .null
      show(found) { NodesText.details(of: found) }
    }
  }

  struct Rename: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Give a node a name that its host name no longer changes."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The node's name or number.")
    var node: String
    @Argument(help: "The new name.")
    var name: String

    func run() async throws {
      let target = path(node) + "/rename/" + AdminClient.quoted(name)
      let renamed = try await server.call("POST", target)["node"] ?? .null
      show(renamed) { "Node \(renamed.cell("id")) is now \(renamed.cell("givenName")).\n" }
    }
  }

  struct Tag: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Give a node tags; it belongs to no user then, and its key does not end."
    )

    @OptionGroup var shared: SharedFlags
    @Option(
      help: ArgumentHelp("The tags, with commas between them: tag:web,tag:db.", valueName: "tags"),
      transform: settingValue
    )
    var tags: [String]
    @Argument(help: "The node's name or number.")
    var node: String

    func run() async throws {
      let wanted = tags.map { JSONValue.string($0) }
      let answer = try await server.call("POST", path(node) + "/tags", ["tags": .array(wanted)])
      let tagged = answer["node"] ?? .null
      show(tagged) { "Node \(tagged.cell("givenName")) has \(tagged.cell("tags")).\n" }
    }
  }

  struct Expire: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "End a node's key: it loses access at once and must log in again."
    )

    @OptionGroup var shared: SharedFlags
    @Option(
      help: ArgumentHelp(
        "When the key ends, such as 2026-01-31T12:00:00Z; now when not given.",
        valueName: "time"
      )
    )
    var at: String?
    @Option(help: .yesNo("Let the key not end at all."))
    var never: Bool?
    @Argument(help: "The node's name or number.")
    var node: String

    func run() async throws {
      let answer = try await server.call(
        "POST",
        path(node) + "/expire",
        ["expiry": at.map { .string($0) } ?? .null, "disableExpiry": .bool(never ?? false)]
      )
      let expired = answer["node"] ?? .null
      show(expired) {
        let end = expired.timeCell("expiry", none: "never")
        return "The key of \(expired.cell("givenName")) ends: \(end).\n"
      }
    }
  }

  struct Delete: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Forget a node: it loses access at once."
    )

    @OptionGroup var shared: SharedFlags
    @Option(help: .yesNo("Do not ask whether you are sure."))
    var force: Bool?
    @Argument(help: "The node's name or number.")
    var node: String

    func run() async throws {
      if !(force ?? false) { try confirm("Delete node \(node)?") }
      let answer = try await server.call("DELETE", path(node))
      show(answer) { "Node \(node) deleted.\n" }
    }

    /// Asks whoever sits at a terminal; a script means what it says.
    private func confirm(_ question: String) throws(CommandError) {
      guard isatty(0) == 1 else { return }
      output.complain(question + " [y/N] ", terminator: "")
      guard ["y", "yes"].contains((readLine() ?? "").lowercased()) else {
        throw CommandError("nothing was deleted", hint: "--force deletes without asking.")
      }
    }
  }

  struct AddWireGuard: AdminCommand {
    static let configuration = CommandConfiguration(
      commandName: "add-wireguard",
      abstract: "Write in a plain WireGuard peer, which every node then reaches directly."
    )

    @OptionGroup var shared: SharedFlags
    @Option(help: ArgumentHelp("The name it gets.", valueName: "name"))
    var name: String?
    @Option(
      help: ArgumentHelp(
        "Its public key, as 'wg show' prints it or as nodekey:HEX.",
        valueName: "key"
      )
    )
    var publicKey: String?
    @Option(
      help: ArgumentHelp(
        "Where it is reached: 192.0.2.1:51820; several with commas between them.",
        valueName: "address:port"
      ),
      transform: settingValue
    )
    var endpoint: [String]?
    @Option(help: ArgumentHelp("Whose node it becomes: a name or number.", valueName: "user"))
    var user: String?
    @Option(
      help: ArgumentHelp("Tags, with commas between them: tag:web,tag:db.", valueName: "tags"),
      transform: settingValue
    )
    var tags: [String]?

    func run() async throws {
      let answer = try await server.call(
        "POST",
        "node",
        [
          "name": .string(name ?? ""), "nodeKey": .string(publicKey ?? ""),
          "endpoints": .array((endpoint ?? []).map { .string($0) }),
          "user": .string(user ?? ""), "tags": .array((tags ?? []).map { .string($0) }),
        ]
      )
      let node = answer["node"] ?? .null
      show(node) { "Node \(node.cell("givenName")) added with \(node.cell("ipAddresses")).\n" }
    }
  }
}

extension AdminCommand {
  /// The path of a node in the API.
  func path(_ node: String) -> String { "node/" + AdminClient.quoted(node) }
}

/// How nodes are shown.
enum NodesText {
  static func table(of nodes: [JSONValue]) -> String {
    var table = Table()
    table.add(
      row: [
        "ID", "Hostname", "Name", "User", "Tags", "IP addresses", "Ephemeral", "Last seen",
        "Expiration", "Connected", "Expired", "Approved",
      ]
    )
    for node in nodes {
      table.add(
        row: [
          node.cell("id"), node.cell("name"), node.cell("givenName"),
          node["user"]?.cell("name") ?? "", node.cell("tags"), node.cell("ipAddresses"),
          node.cell("ephemeral"), node.timeCell("lastSeen", none: "-"),
          node.timeCell("expiry", none: "never"),
          node["online"]?.bool == true ? "online" : "offline", node.cell("expired"),
          node.cell("authorized"),
        ]
      )
    }
    return table.text
  }

  static func details(of node: JSONValue) -> String {
    var table = Table()
    table.add("Number", node.cell("id"))
    table.add("Name", node.cell("fqdn"))
    table.add("Host name", node.cell("name"))
    table.add("User", node["user"]?.cell("name") ?? "")
    table.add("Tags", node.cell("tags"))
    table.add("Addresses", node.cell("ipAddresses"))
    table.add("Endpoints", node.cell("endpoints"))
    table.add("Home relay", node.cell("homeRelay"))
    table.add("Machine key", node.cell("machineKey"))
    table.add("Node key", node.cell("nodeKey"))
    table.add("Disco key", node.cell("discoKey"))
    table.add("Plain WireGuard", node.cell("isWireGuardOnly"))
    table.add("Ephemeral", node.cell("ephemeral"))
    table.add("Created", node.timeCell("createdAt"))
    table.add("Last seen", node.timeCell("lastSeen", none: "-"))
    table.add("Key ends", node.timeCell("expiry", none: "never"))
    table.add("Expired", node.cell("expired"))
    table.add("Approved", node.cell("authorized"))
    table.add("Connected", node.cell("online"))
    return table.text
  }
}
