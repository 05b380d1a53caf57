// SPDX-License-Identifier: Apache-2.0

import CommandLine
import JSON

#if canImport(Glibc)
import Glibc
#endif

/// `martlet-control nodes`: the machines of the network.
enum Nodes {
  private static let user = Flag<String>("user", default: "", help: "a user's name or number")
  private static let tags = Flag<[String]>(
    "tags",
    default: [],
    help: "tags, with commas between them: tag:web,tag:db"
  )
  private static let expiry = Flag<String>(
    "at",
    default: "",
    help: "when the key ends, such as 2026-01-31T12:00:00Z; now when not given"
  )
  private static let never = Flag<Bool>("never", help: "let the key not end at all")
  private static let name = Flag<String>("name", default: "", help: "the name it gets")
  private static let key = Flag<String>(
    "public-key",
    default: "",
    help: "its public key, as 'wg show' prints it or as nodekey:HEX"
  )
  private static let endpoint = Flag<[String]>(
    "endpoint",
    default: [],
    help: "where it is reached: 192.0.2.1:51820; several with commas between them"
  )
  private static let force = Flag<Bool>("force", help: "do not ask whether you are sure")

  static let command = Command(
    "nodes",
    summary: "List, show, rename, tag, expire and delete nodes.",
    usage: "<subcommand>",
    subcommands: [list, show, rename, tag, expire, delete, addWireGuard]
  )

  private static let list = Command(
    "list",
    summary: "List the nodes.",
    flags: [user],
    action: { invocation in
      _ = try invocation.operands()
      let presenter = try Presenter(invocation)
      let owner = invocation.arguments[user]
      let query = owner.isEmpty ? "" : "?user=" + AdminClient.quoted(owner)
      let answer = try await AdminClient(invocation).call("GET", "node" + query)
      let nodes = answer["nodes"] ?? []
      presenter.show(nodes) { table(of: nodes.array ?? []) }
    }
  )

  private static let show = Command(
    "show",
    summary: "Show all that is known of a node.",
    usage: "<name or number>",
    action: { invocation in
      let name = try invocation.operands("node")[0]
      let presenter = try Presenter(invocation)
      let answer = try await AdminClient(invocation).call("GET", path(name))
      let node = answer["node"] ?? .null
      presenter.show(node) { details(of: node) }
    }
  )

  private static let rename = Command(
    "rename",
    summary: "Give a node a name that its host name no longer changes.",
    usage: "<name or number> <new name>",
    action: { invocation in
      let names = try invocation.operands("node", "new name")
      let presenter = try Presenter(invocation)
      let answer = try await AdminClient(invocation).call(
        "POST",
        path(names[0]) + "/rename/" + AdminClient.quoted(names[1])
      )
      let node = answer["node"] ?? .null
      presenter.show(node) { "Node \(node.cell("id")) is now \(node.cell("givenName")).\n" }
    }
  )

  private static let tag = Command(
    "tag",
    summary: "Give a node tags; it belongs to no user then, and its key does not end.",
    usage: "--tags <list> <name or number>",
    flags: [tags],
    action: { invocation in
      let name = try invocation.operands("node")[0]
      let presenter = try Presenter(invocation)
      let wanted = invocation.arguments[tags].map { JSONValue.string($0) }
      let answer = try await AdminClient(invocation).call(
        "POST",
        path(name) + "/tags",
        ["tags": .array(wanted)]
      )
      let node = answer["node"] ?? .null
      presenter.show(node) { "Node \(node.cell("givenName")) has \(node.cell("tags")).\n" }
    }
  )

  private static let expire = Command(
    "expire",
    summary: "End a node's key: it loses access at once and must log in again.",
    usage: "[flags] <name or number>",
    flags: [expiry, never],
    action: { invocation in
      let name = try invocation.operands("node")[0]
      let presenter = try Presenter(invocation)
      let time = invocation.arguments[expiry]
      let answer = try await AdminClient(invocation).call(
        "POST",
        path(name) + "/expire",
        [
          "expiry": time.isEmpty ? .null : .string(time),
          "disableExpiry": .bool(invocation.arguments[never]),
        ]
      )
      let node = answer["node"] ?? .null
      presenter.show(node) {
        let end = node.timeCell("expiry", none: "never")
        return "The key of \(node.cell("givenName")) ends: \(end).\n"
      }
    }
  )

  private static let delete = Command(
    "delete",
    summary: "Forget a node: it loses access at once.",
    usage: "[--force] <name or number>",
    flags: [force],
    action: { invocation in
      let name = try invocation.operands("node")[0]
      let presenter = try Presenter(invocation)
      if !invocation.arguments[force] { try confirm("Delete node \(name)?", invocation.output) }
      let answer = try await AdminClient(invocation).call("DELETE", path(name))
      presenter.show(answer) { "Node \(name) deleted.\n" }
    }
  )

  private static let addWireGuard = Command(
    "add-wireguard",
    summary: "Write in a plain WireGuard peer, which every node then reaches directly.",
    usage: "--user <user> --name <name> --public-key <key> --endpoint <address:port>",
    flags: [name, key, endpoint, user, tags],
    action: { invocation in
      _ = try invocation.operands()
      let presenter = try Presenter(invocation)
      let arguments = invocation.arguments
      let answer = try await AdminClient(invocation).call(
        "POST",
        "node",
        [
          "name": .string(arguments[name]), "nodeKey": .string(arguments[key]),
          "endpoints": .array(arguments[endpoint].map { .string($0) }),
          "user": .string(arguments[user]),
          "tags": .array(arguments[tags].map { .string($0) }),
        ]
      )
      let node = answer["node"] ?? .null
      presenter.show(node) {
        "Node \(node.cell("givenName")) added with \(node.cell("ipAddresses")).\n"
      }
    }
  )

  /// Asks whoever sits at a terminal; a script means what it says.
  private static func confirm(_ question: String, _ output: Output) throws(CommandError) {
    guard isatty(0) == 1 else { return }
    output.complain(question + " [y/N] ", terminator: "")
    guard ["y", "yes"].contains((readLine() ?? "").lowercased()) else {
      throw CommandError("nothing was deleted", hint: "--force deletes without asking.")
    }
  }

  private static func path(_ name: String) -> String { "node/" + AdminClient.quoted(name) }

  private static func table(of nodes: [JSONValue]) -> String {
    var table = Table()
    table.add(
      row: [
        "ID", "Hostname", "Name", "User", "Tags", "IP addresses", "Ephemeral", "Last seen",
        "Expiration", "Connected", "Expired",
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
        ]
      )
    }
    return table.text
  }

  private static func details(of node: JSONValue) -> String {
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
    table.add("Connected", node.cell("online"))
    return table.text
  }
}
