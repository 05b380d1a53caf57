// SPDX-License-Identifier: Apache-2.0

internal import Addressing
package import ControlProtocol
internal import JSON

/// What the operator decides about names besides the network's domain.
package struct NameOptions: Hashable, Sendable {
  /// Whether nodes answer for the names of the network.
  package var answersNames: Bool
  /// Who resolves all other names; empty for whomever a node's host asks anyhow.
  package var resolvers: [String]
  /// Whether they are asked instead of those of the node's host, rather than where it has none.
  package var overridesLocal: Bool
  /// Who resolves the names below a domain.
  package var split: [String: [String]]
  /// Domains that are tried behind a name, besides the network's own.
  package var searchDomains: [String]
  /// More names and what they stand for.
  package var records: [DNSRecord]

  /// Names of the network, and nothing else.
  package init(
    answersNames: Bool = true,
    resolvers: [String] = [],
    overridesLocal: Bool = true,
    split: [String: [String]] = [:],
    searchDomains: [String] = [],
    records: [DNSRecord] = []
  ) {
    self.answersNames = answersNames
    self.resolvers = resolvers
    self.overridesLocal = overridesLocal
    self.split = split
    self.searchDomains = searchDomains
    self.records = records
  }

  /// Whether `text` is a resolver that clients understand: an address, one with a port, or a resolver
  /// over HTTPS.
  package static func isResolver(_ text: String) -> Bool {
    if IPAddress(text) != nil || Endpoint(text) != nil { return true }
    guard let host = text.dropping("https://")?.prefix(while: { $0 != "/" }), !host.isEmpty else {
      return false
    }
    return text.utf8.allSatisfy { (0x21...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C }
  }
}

extension String {
  fileprivate func dropping(_ start: String) -> Substring? {
    hasPrefix(start) ? dropFirst(start.count) : nil
  }
}

/// More names, as a file lists them: `[{"name": "grafana.lab.example", "type": "A", "value": "100.64.0.3"}]`.
package enum NameRecords {
  /// How many there may be.
  package static let maximumCount = 10_000

  /// The records in `json`, or why they cannot be.
  package static func read(_ json: [UInt8]) throws(Refusal) -> [DNSRecord] {
    let tree: JSONValue
    do {
      tree = try JSONValue(json: json)
    } catch { throw .invalid("It is not JSON: \(error)") }
    guard let entries = tree.array, entries.count <= maximumCount else {
      throw .invalid("It has to be a list of at most \(maximumCount) records.")
    }
    var records: [DNSRecord] = []
    for (index, entry) in entries.enumerated() {
      records.append(try record(entry, index + 1))
    }
    return records
  }

  private static func record(_ entry: JSONValue, _ number: Int) throws(Refusal) -> DNSRecord {
    var name = entry["name"]?.string?.lowercased() ?? ""
    if name.hasSuffix(".") { name.removeLast() }
    guard NodeName.isDomain(name) else {
      throw .invalid(
        "Record \(number): '\(NodeName.printable(name))' is not a name (clients know no wildcards)."
      )
    }
    let type = entry["type"]?.string?.uppercased() ?? ""
    guard let address = entry["value"]?.string.flatMap({ IPAddress($0) }),
      type.isEmpty || type == (address.isV4 ? "A" : "AAAA")
    else {
      throw .invalid("Record \(number): \(name) has to be of type A or AAAA, with such an address.")
    }
    return DNSRecord(name: name, type: type, value: address.description)
  }
}

extension Tailnet {
  /// Tells every node about other names than before.
  package mutating func apply(
    records: [DNSRecord],
    at now: Moment,
    into effects: inout Effects
  ) {
    guard records != options.names.records else { return }
    setRecords(records)
    note(.names, at: now, into: &effects)
  }
}
