// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON

/// `martlet-control webhooks`: who is told of what happens.
struct WebhooksCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "webhooks",
    abstract: "Create, list, test and delete addresses that are told of what happens.",
    subcommands: [Create.self, List.self, Test.self, Rotate.self, Delete.self]
  )

  struct Create: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Have an address told; the secret of the signatures is shown this once.",
      discussion: """
        Messages are JSON, sent by POST. The header Tailscale-Webhook-Signature holds \
        t=SECONDS,v1=HEX: the HMAC-SHA-256 of SECONDS.BODY under the secret.
        """
    )

    @OptionGroup var shared: SharedFlags
    @Option(help: ArgumentHelp("Where to send: https://hooks.example.org/x.", valueName: "url"))
    var url: String
    @Option(
      help: ArgumentHelp(
        "What to tell, with commas between: nodeCreated, nodeNeedsApproval, nodeApproved, "
          + "nodeKeyExpired, nodeDeleted, policyUpdate, userCreated, userDeleted.",
        valueName: "events"
      ),
      transform: settingValue
    )
    var events: [String]?

    func run() async throws {
      let made = try await server.call(
        "POST",
        "/api/v2/tailnet/-/webhooks",
        ["endpointUrl": .string(url), "subscriptions": .array((events ?? []).map { .string($0) })]
      )
      show(made) { made.cell("secret") + "\n" }
    }
  }

  struct List: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "List who is told of what.")

    @OptionGroup var shared: SharedFlags

    func run() async throws {
      let hooks = try await server.call("GET", "/api/v2/tailnet/-/webhooks")["webhooks"] ?? []
      show(hooks) {
        var table = Table()
        table.add("ID", "Address", "Events", "Created", "By")
        for hook in hooks.array ?? [] {
          table.add(
            hook.cell("endpointId"),
            hook.cell("endpointUrl"),
            hook.cell("subscriptions"),
            hook.timeCell("created"),
            hook.cell("creatorLoginName")
          )
        }
        return table.text
      }
    }
  }

  struct Test: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Send a message to see it come.")

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The webhook's number.")
    var number: String

    func run() async throws {
      let path = "/api/v2/webhooks/\(AdminClient.quoted(number))/test"
      let answer = try await server.call("POST", path, [:])
      show(answer) { "A message is on its way to webhook \(number).\n" }
    }
  }

  struct Rotate: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Sign with another secret from now on, which is shown this once."
    )

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The webhook's number.")
    var number: String

    func run() async throws {
      let path = "/api/v2/webhooks/\(AdminClient.quoted(number))/rotate"
      let made = try await server.call("POST", path, [:])
      show(made) { made.cell("secret") + "\n" }
    }
  }

  struct Delete: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Tell an address nothing more.")

    @OptionGroup var shared: SharedFlags
    @Argument(help: "The webhook's number.")
    var number: String

    func run() async throws {
      let answer = try await server.call(
        "DELETE",
        "/api/v2/webhooks/" + AdminClient.quoted(number)
      )
      show(answer) { "Webhook \(number) deleted.\n" }
    }
  }
}
