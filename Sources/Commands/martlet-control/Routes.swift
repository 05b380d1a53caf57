// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON

/// `martlet-control routes`: which subnets nodes serve for others, and who leads out of the network.
struct RoutesCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "routes",
    abstract: "List, approve and revoke the routes that nodes offer.",
    subcommands: [List.self, Approve.self, Revoke.self]
  )

  struct List: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the nodes that offer routes, or may."
    )

    @OptionGroup var shared: SharedFlags

    func run() async throws {
      let nodes = try await server.call("GET", "node")["nodes"]?.array ?? []
      let routers = nodes.filter { node in
        ["availableRoutes", "approvedRoutes"].contains { node[$0]?.array?.isEmpty == false }
      }
      show(.array(routers)) {
        var table = Table()
        table.add("ID", "Name", "Connected", "Offers", "Approved", "Serves")
        for node in routers {
          table.add(
            node.cell("id"),
            node.cell("givenName"),
            node.cell("online"),
            node.cell("availableRoutes"),
            node.cell("approvedRoutes"),
            node.cell("subnetRoutes")
          )
        }
        return table.text
      }
    }
  }

  struct Approve: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let a node serve routes; 0.0.0.0/0 makes it an exit node."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The node's name or number.")
    var node: String
    @Argument(help: "The routes: 10.0.0.0/8; without any, all that it offers.")
    var routes: [String] = []

    func run() async throws {
      var wanted = routes.map { JSONValue.string($0) }
      if wanted.isEmpty {
        let found = try await server.call("GET", path(node))["node"]
        wanted = found?["availableRoutes"]?.array ?? []
      }
      try await change(node, ["add": .array(wanted)])
    }
  }

  struct Revoke: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let a node serve routes no longer; it takes effect at once."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The node's name or number.")
    var node: String
    @Argument(help: "The routes: 10.0.0.0/8; without any, all.")
    var routes: [String] = []

    func run() async throws {
      let less = routes.map { JSONValue.string($0) }
      try await change(node, less.isEmpty ? ["routes": []] : ["remove": .array(less)])
    }
  }
}

extension NodesCommand {
  struct ApproveRoutes: AdminCommand {
    static let configuration = CommandConfiguration(
      commandName: "approve-routes",
      abstract: "Say which routes a node may serve: these and no others."
    )

    @OptionGroup var shared: SharedFlags
    @Option(
      help: ArgumentHelp(
        "The routes, with commas between them; none where it is empty.",
        valueName: "routes"
      ),
      transform: settingValue
    )
    var routes: [String]
    @Argument(help: "The node's name or number.")
    var node: String

    func run() async throws {
      let all = routes.map { JSONValue.string($0) }
      try await change(node, ["routes": .array(all)])
    }
  }
}

extension AdminCommand {
  /// Changes which routes a node may serve, and shows what it serves then.
  fileprivate func change(_ node: String, _ body: JSONValue) async throws {
    let changed =
      try await server.call("POST", path(node) + "/approve_routes", body)["node"] ?? .null
    show(changed) {
      let (approved, serves) = (changed.cell("approvedRoutes"), changed.cell("subnetRoutes"))
      return
        "Node \(changed.cell("givenName")) may serve \(approved.isEmpty ? "nothing" : approved); "
        + "it serves \(serves.isEmpty ? "nothing" : serves) now.\n"
    }
  }
}
