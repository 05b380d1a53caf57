// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON

// What `nodes` does about approval and posture.

extension NodesCommand {
  struct Approve: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Let a node talk to others that waits for approval."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The node's name or number.")
    var node: String

    func run() async throws {
      let approved = try await server.call("POST", path(node) + "/approve")["node"] ?? .null
      show(approved) { "Node \(approved.cell("givenName")) is approved.\n" }
    }
  }

  struct Withhold: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Take a node's approval back: it loses access at once, and stays registered."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The node's name or number.")
    var node: String

    func run() async throws {
      let withheld = try await server.call("POST", path(node) + "/withhold")["node"] ?? .null
      show(withheld) { "Node \(withheld.cell("givenName")) waits for approval.\n" }
    }
  }

  struct Move: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Give a node to another user.")

    @OptionGroup var shared: SharedFlags
    @Option(help: ArgumentHelp("Whose it becomes: a name or number.", valueName: "user"))
    var user: String
    @Argument(help: "The node's name or number.")
    var node: String

    func run() async throws {
      let moved = try await server.call("POST", path(node) + "/user", ["user": .string(user)])
      let node = moved["node"] ?? .null
      show(node) { "Node \(node.cell("givenName")) is \(node["user"]?.cell("name") ?? "")'s.\n" }
    }
  }

  struct Ask: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Have a connected node answer a request, such as /echo or /debug/prefs."
    )

    @OptionGroup var shared: SharedFlags
    @Option(help: ArgumentHelp("GET or another method.", valueName: "method"))
    var method = "GET"
    @Option(help: ArgumentHelp("What is sent with it.", valueName: "text"))
    var body = ""
    @Argument(help: "The node's name or number.")
    var node: String
    @Argument(help: "What is asked for: /echo.")
    var address: String

    func run() async throws {
      let answer = try await server.call(
        "POST",
        path(node) + "/ask",
        ["method": .string(method), "path": .string(address), "body": .string(body)]
      )
      let status = answer["status"]?.double ?? 0
      show(answer) {
        let lines = (answer["body"]?.string ?? "").split(
          separator: "\n",
          omittingEmptySubsequences: false
        )
        let text = lines.map { printable(String($0)) }.joined(separator: "\n")
        return text.hasSuffix("\n") || text.isEmpty ? text : text + "\n"
      }
      guard (200..<300).contains(status) else {
        throw CommandError("The node answered with status \(Int(status)).")
      }
    }
  }

  struct Attributes: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show what policies may ask of a node's posture."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The node's name or number.")
    var node: String

    func run() async throws {
      showAttributes(try await server.call("GET", path(node) + "/attributes"))
    }
  }

  struct SetAttribute: AdminCommand {
    static let configuration = CommandConfiguration(
      commandName: "set-attribute",
      abstract: "Write down what is known of a node's posture, for policies."
    )

    @OptionGroup var shared: SharedFlags
    @Option(
      help: ArgumentHelp("Until when it holds, such as 2026-01-31T12:00:00Z.", valueName: "time")
    )
    var until: String?
    @Option(help: .yesNo("Take the value for a text, even if it looks like a number."))
    var text: Bool?
    @Argument(help: "The node's name or number.")
    var node: String
    @Argument(help: "The attribute: custom:tier.")
    var name: String
    @Argument(help: "What is known: a number, true, false, or a text.")
    var value: String

    func run() async throws {
      let answer = try await server.call(
        "POST",
        path(node) + "/attributes/" + AdminClient.quoted(name),
        ["value": meant, "expiry": until.map { .string($0) } ?? .null]
      )
      showAttributes(answer)
    }

    private var meant: JSONValue {
      if text ?? false { return .string(value) }
      switch value {
      case "true": return .bool(true)
      case "false": return .bool(false)
      default:
        let number = Double(value).flatMap { $0.isFinite ? $0 : nil }
        return number.map { .number($0) } ?? .string(value)
      }
    }
  }

  struct UnsetAttribute: AdminCommand {
    static let configuration = CommandConfiguration(
      commandName: "unset-attribute",
      abstract: "Forget what was written down of a node's posture."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The node's name or number.")
    var node: String
    @Argument(help: "The attribute: custom:tier.")
    var name: String

    func run() async throws {
      let target = path(node) + "/attributes/" + AdminClient.quoted(name)
      showAttributes(try await server.call("DELETE", target))
    }
  }
}

extension AdminCommand {
  fileprivate func showAttributes(_ answer: JSONValue) {
    // Names of attributes are data: as JSON they stay as they are.
    switch shared.output ?? .table {
    case .json: output.print(answer.text(indentation: "\t"))
    case .jsonLine: output.print(answer.text())
    case .table:
      var table = Table()
      table.add("Attribute", "Value", "From", "Until")
      for (name, value) in answer["attributes"]?.object ?? JSONObject() {
        let shown = value.string ?? value.bool.map { "\($0)" } ?? value.text()
        table.add(
          name,
          shown,
          answer["sources"]?[name]?.string ?? "node",
          answer["expiries"]?.timeCell(name) ?? ""
        )
      }
      output.print(table.text, terminator: "")
    }
  }
}
