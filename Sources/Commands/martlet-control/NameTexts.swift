// SPDX-License-Identifier: Apache-2.0

import CommandLine
import Coordination

/// What was told about names, as it was told.
///
/// The names are those that headscale's file has under `dns`; the base domain is `domain`.
struct NameTexts {
  /// A file with more names.
  let recordsFile: String
  private let answersNames: Bool
  private let resolvers: [String]
  private let split: [String]
  private let splitFile: [(name: String, values: [String])]
  private let overridesLocal: Bool
  private let searchDomains: [String]

  init(_ flags: ServeFlags, _ settings: inout Settings) throws(CommandError) {
    answersNames = try settings.value("dns-magic-dns", flags.dnsMagicDNS, default: true)
    resolvers = try settings.value(
      "dns-nameservers-global",
      flags.dnsNameserversGlobal,
      default: []
    )
    split = try settings.value("dns-nameservers-split", flags.dnsNameserversSplit, default: [])
    splitFile = try settings.lists(below: "dns-nameservers-split")
    overridesLocal = try settings.value(
      "dns-override-local-dns",
      flags.dnsOverrideLocalDNS,
      default: true
    )
    searchDomains = try settings.value("dns-search-domains", flags.dnsSearchDomains, default: [])
    recordsFile = try settings.value(
      "dns-extra-records-path",
      flags.dnsExtraRecordsPath,
      default: ""
    )
  }

  /// What is told to nodes.
  func checked(_ settings: Settings) throws(CommandError) -> NameOptions {
    try Self.check(resolvers, "dns-nameservers-global", settings)
    var routes: [String: [String]] = [:]
    for text in split {
      let parts = text.split(separator: "=", maxSplits: 1)
      guard parts.count == 2 else {
        throw settings.wrong("dns-nameservers-split", "has to be like corp.example=10.0.0.53")
      }
      routes[parts[0].lowercased(), default: []].append(String(parts[1]))
    }
    // A flag takes the place of the file's, as with all settings.
    if split.isEmpty {
      for (name, values) in splitFile { routes[name.lowercased()] = values }
    }
    for (domain, resolvers) in routes {
      guard NodeName.isDomain(domain) else {
        throw settings.wrong("dns-nameservers-split", "has to name domains, not \"\(domain)\"")
      }
      try Self.check(resolvers, "dns-nameservers-split", settings)
    }
    let domains = searchDomains.map { $0.lowercased() }
    for domain in domains where !NodeName.isDomain(domain) {
      throw settings.wrong("dns-search-domains", "has to name domains, not \"\(domain)\"")
    }
    return NameOptions(
      answersNames: answersNames,
      resolvers: resolvers,
      overridesLocal: overridesLocal,
      split: routes,
      searchDomains: domains
    )
  }

  private static func check(
    _ resolvers: [String],
    _ name: String,
    _ settings: Settings
  ) throws(CommandError) {
    for text in resolvers where !NameOptions.isResolver(text) {
      throw settings.wrong(
        name,
        "has to name resolvers such as 192.0.2.53 or https://dns.example/dns-query, not \"\(text)\""
      )
    }
  }
}
