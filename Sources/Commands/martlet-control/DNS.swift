// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import JSON

/// `martlet-control dns`: how names are resolved on nodes.
struct DNSCommand: CommandGroup {
  static let configuration = CommandConfiguration(
    commandName: "dns",
    abstract: "Show and say how nodes resolve names.",
    discussion: "What is said here counts instead of what the server's file says of names.",
    subcommands: [Show.self, Set.self, Reset.self]
  )

  fileprivate static let path = "/api/v2/tailnet/-/dns/configuration"

  struct Show: AdminCommand {
    static let configuration = CommandConfiguration(abstract: "Show how nodes resolve names.")

    @OptionGroup var shared: SharedFlags

    func run() async throws { showNames(try await server.call("GET", DNSCommand.path)) }
  }

  struct Set: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Say how nodes resolve names; what is not said stays as it is."
    )

    @OptionGroup var shared: SharedFlags
    @Option(help: .yesNo("Let nodes answer for the names of the network themselves."))
    var magicDNS: Bool?
    @Option(help: .yesNo("Ask these resolvers instead of those of a node's own host."))
    var overrideLocalDNS: Bool?
    @Option(
      help: ArgumentHelp("Who resolves other names; empty for nobody.", valueName: "resolvers"),
      transform: settingValue
    )
    var nameservers: [String]?
    @Option(
      help: ArgumentHelp(
        "Who resolves names below domains: corp.example=10.0.0.53; empty for nobody.",
        valueName: "domain=resolver"
      ),
      transform: settingValue
    )
    var split: [String]?
    @Option(
      help: ArgumentHelp("Domains that are tried behind a name.", valueName: "domains"),
      transform: settingValue
    )
    var searchDomains: [String]?

    func run() async throws {
      var names = try await server.call("GET", DNSCommand.path).object ?? [:]
      var preferences = names["preferences"]?.object ?? [:]
      if let magicDNS { preferences["magicDNS"] = .bool(magicDNS) }
      if let overrideLocalDNS { preferences["overrideLocalDNS"] = .bool(overrideLocalDNS) }
      names["preferences"] = .object(preferences)
      if let nameservers {
        names["nameservers"] = .array(nameservers.map { ["address": .string($0)] })
      }
      if let searchDomains { names["searchPaths"] = .array(searchDomains.map { .string($0) }) }
      if let split {
        var domains = JSONObject()
        for text in split {
          let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
          guard parts.count == 2 else {
            throw CommandError.usage("--split has to be like corp.example=10.0.0.53")
          }
          let known = domains[parts[0]]?.array ?? []
          domains[parts[0]] = .array(known + [["address": .string(parts[1])]])
        }
        names["splitDNS"] = .object(domains)
      }
      showNames(try await server.call("POST", DNSCommand.path, .object(names)))
    }
  }

  struct Reset: AdminCommand {
    static let configuration = CommandConfiguration(
      abstract: "Go back to what the server's file says of names."
    )

    @OptionGroup var shared: SharedFlags

    func run() async throws { showNames(try await server.call("DELETE", DNSCommand.path)) }
  }
}

extension AdminCommand {
  fileprivate func showNames(_ names: JSONValue) {
    let (preferences, search) = (names["preferences"] ?? [:], names["searchPaths"] ?? [])
    let isOwn = preferences["magicDNS"]?.bool ?? false
    let isInstead = preferences["overrideLocalDNS"]?.bool ?? true
    func addresses(_ value: JSONValue?) -> [JSONValue] {
      (value?.array ?? []).compactMap { $0["address"] }
    }
    var split = JSONObject()
    for (domain, resolvers) in names["splitDNS"]?.object ?? [:] {
      split[domain] = .array(addresses(resolvers))
    }
    let shown: JSONValue = [
      "magicDns": .bool(isOwn), "nameservers": .array(addresses(names["nameservers"])),
      "overrideLocalDns": .bool(isInstead), "split": .object(split), "searchDomains": search,
    ]
    show(shown) {
      var table = Table()
      table.add("Names", "Resolved by")
      table.add("of the network", isOwn ? "the nodes themselves" : "others")
      for (domain, _) in split {
        table.add("below \(printable(domain))", shown["split"]?.cell(domain) ?? "")
      }
      let all = shown.cell("nameservers")
      table.add(
        "all others",
        all.isEmpty ? "the node's host" : isInstead ? all : "the node's host, or else \(all)"
      )
      table.add("tried behind names", shown.cell("searchDomains"))
      return table.text
    }
  }
}
