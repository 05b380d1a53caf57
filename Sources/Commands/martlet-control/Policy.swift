// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import Coordination
import JSON

/// `martlet-control policy`: who may reach whom.
struct PolicyCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "policy",
    abstract: "Show, change and try out who may reach whom.",
    subcommands: [
      Get.self, Set.self, Check.self, Edit.self, History.self, Rollback.self, Diff.self,
      Evaluate.self,
    ]
  )

  struct Get: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Print the policy in force.")

    @OptionGroup var shared: SharedFlags
    @Option(help: ArgumentHelp("An older policy, by its number.", valueName: "number"))
    var id: String?

    func run() async throws {
      let query = id.map { "?id=" + AdminClient.quoted($0) } ?? ""
      let answer = try await server.call("GET", "policy" + query)
      show(answer) {
        let text = answer.cell("policy")
        return text.hasSuffix("\n") ? text : text + "\n"
      }
    }
  }

  struct Set: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Put a policy in force, if it is right and its tests pass."
    )

    @OptionGroup var shared: SharedFlags
    @OptionGroup var file: PolicyFileFlags

    func run() async throws {
      let text = try PolicyText.read(try file.path())
      let answer = try await server.call("PUT", "policy", ["policy": .string(text)])
      show(answer) { "Policy \(answer.cell("id")) is in force.\n" }
    }
  }

  struct Check: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Look whether a policy is right and its tests pass, and change nothing.",
      discussion: "With --topology no server is asked."
    )

    @OptionGroup var shared: SharedFlags
    @OptionGroup var file: PolicyFileFlags
    @Option(help: ArgumentHelp("Users and nodes to check it against.", valueName: "file"))
    var topology: String?

    func run() async throws {
      let path = try file.path()
      if let topology {
        let result = try PolicyText.evaluate(policy: path, topology: topology)
        guard result.isValid else {
          throw CommandError(result.report["error"]?.string ?? "the policy is wrong")
        }
      } else {
        let text = try PolicyText.read(path)
        _ = try await server.call("POST", "policy/check", ["policy": .string(text)])
      }
      show(["valid": true]) { "Policy is valid.\n" }
    }
  }

  struct History: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "List the policies that were in force, youngest first."
    )

    @OptionGroup var shared: SharedFlags

    func run() async throws {
      let policies = try await server.call("GET", "policy/history?limit=1000")["policies"] ?? []
      show(policies) {
        var table = Table()
        table.add("ID", "Since", "By", "Bytes")
        for policy in policies.array ?? [] {
          table.add(
            policy.cell("id"),
            policy.timeCell("createdAt"),
            policy.cell("actor"),
            policy.cell("bytes")
          )
        }
        return table.text
      }
    }
  }

  struct Rollback: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Put an older policy in force again, as a new one.",
      discussion: "Without a number, the one before the last."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The number of the policy, as 'policy history' shows it.") var id: String?

    func run() async throws {
      var wanted = id
      if wanted == nil {
        let policies = try await server.call("GET", "policy/history?limit=2")["policies"]
        wanted = policies?[1]?["id"]?.string
      }
      guard let wanted else {
        throw CommandError("there is no older policy", hint: "See 'policy history'.")
      }
      let answer = try await server.call("POST", "policy/rollback", ["id": .string(wanted)])
      show(answer) { "Policy \(wanted) is in force again, as policy \(answer.cell("id")).\n" }
    }
  }

  struct Diff: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Show which pairs of nodes would gain or lose access by a policy.",
      discussion: "Compared with the policy in force, or with an older one."
    )

    @OptionGroup var shared: SharedFlags
    @OptionGroup var file: PolicyFileFlags
    @Option(help: ArgumentHelp("Compare with this older policy.", valueName: "number"))
    var id: String?

    func run() async throws {
      let text = try PolicyText.read(try file.path())
      let answer = try await server.call(
        "POST",
        "policy/diff",
        ["policy": .string(text), "id": id.map { .string($0) } ?? .null]
      )
      show(answer) {
        var table = Table()
        table.add("", "From", "To", "What")
        for (mark, name) in [("+", "gained"), ("-", "lost")] {
          for access in answer[name]?.array ?? [] {
            table.add(mark, access.cell("src"), access.cell("dst"), access.cell("access"))
          }
        }
        let more = answer["cut"]?.bool ?? false ? "There are more pairs than are shown.\n" : ""
        return table.text + more
      }
    }
  }

  struct Evaluate: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "eval",
      abstract: "Say what a policy would do to the nodes of a topology; needs no server."
    )

    @Option(help: ArgumentHelp("The policy.", valueName: "file")) var policy: String
    @Option(help: ArgumentHelp("Users and nodes, as JSON.", valueName: "file"))
    var topology: String
    @Option(help: ArgumentHelp("Only this node.", valueName: "name")) var node: String?
    @Option(help: "How to show it: json, or json-line for one line (json).")
    var format: EvaluationForm = .json

    func run() throws {
      let result = try PolicyText.evaluate(policy: policy, topology: topology, node: node)
      output.print(result.report.text(indentation: format == .json ? "  " : nil))
      guard result.isValid else {
        throw CommandError(result.report["error"]?.string ?? "the policy is wrong")
      }
    }
  }
}

/// How an evaluation is shown.
enum EvaluationForm: String, ExpressibleByArgument, CaseIterable {
  case json
  case jsonLine = "json-line"
}

/// Where a policy is read from: an argument or a flag.
struct PolicyFileFlags: ParsableArguments {
  @Option(
    name: [.customShort("f"), .long, .customLong("policy")],
    help: ArgumentHelp("The policy; - reads what comes in.", valueName: "file")
  )
  var file: String?
  @Argument(help: ArgumentHelp("The policy; - reads what comes in.", valueName: "file"))
  var name: String?

  func path() throws(CommandError) -> String {
    guard let path = file ?? name else { throw CommandError.usage("name the file of the policy") }
    guard file == nil || name == nil else {
      throw CommandError.usage("name the file of the policy once")
    }
    return path
  }
}
