// SPDX-License-Identifier: Apache-2.0

internal import JSON

// What administrators decide about names while the server runs, instead of what its file says.

extension NameOptions {
  /// How many resolvers there may be, of all names or of a domain.
  package static let maximumResolvers = 16
  /// How many domains may have resolvers of their own, or be tried behind names.
  package static let maximumDomains = 256

  /// What is kept, as JSON: everything but the records of the file.
  package var kept: String {
    let value: JSONValue = [
      "answersNames": .bool(answersNames), "overridesLocal": .bool(overridesLocal),
      "resolvers": .array(resolvers.map { .string($0) }),
      "searchDomains": .array(searchDomains.map { .string($0) }),
      "split": .object(
        split.sorted { $0.key < $1.key }.reduce(into: JSONObject()) { object, entry in
          object[entry.key] = .array(entry.value.map { .string($0) })
        }
      ),
    ]
    return String(decoding: value.json, as: UTF8.self)
  }

  /// Reads what was kept; nil when it is damaged.
  package init?(kept text: String) {
    // Damaged is damaged, whichever way.
    guard let value = try? JSONValue(json: Array(text.utf8)),
      let answersNames = value["answersNames"]?.bool,
      let overridesLocal = value["overridesLocal"]?.bool
    else { return nil }
    func texts(_ value: JSONValue?) -> [String] { (value?.array ?? []).compactMap(\.string) }
    self.init(
      answersNames: answersNames,
      resolvers: texts(value["resolvers"]),
      overridesLocal: overridesLocal,
      searchDomains: texts(value["searchDomains"])
    )
    for (domain, resolvers) in value["split"]?.object ?? [:] { split[domain] = texts(resolvers) }
  }

  /// The same with domains in small letters and without dots at their ends, or why nodes cannot be
  /// told this.
  package func checked() throws(Refusal) -> NameOptions {
    var options = self
    try Self.check(resolvers)
    options.searchDomains = try searchDomains.map { text throws(Refusal) in try Self.domain(text) }
    options.split = [:]
    for (domain, resolvers) in split {
      try Self.check(resolvers)
      options.split[try Self.domain(domain)] = resolvers
    }
    guard searchDomains.count <= Self.maximumDomains, split.count <= Self.maximumDomains else {
      throw .invalid("There may be \(Self.maximumDomains) domains at most.")
    }
    return options
  }

  private static func check(_ resolvers: [String]) throws(Refusal) {
    guard resolvers.count <= maximumResolvers else {
      throw .invalid("There may be \(maximumResolvers) resolvers at most.")
    }
    for text in resolvers where !isResolver(text) {
      throw .invalid(
        "'\(NodeName.printable(text))' is no resolver such as 192.0.2.53 or https://dns.example/q."
      )
    }
  }

  private static func domain(_ text: String) throws(Refusal) -> String {
    var name = text.lowercased()
    if name.hasSuffix(".") { name.removeLast() }
    guard NodeName.isDomain(name) else {
      throw .invalid("'\(NodeName.printable(text))' is not a domain.")
    }
    return name
  }
}

extension Tailnet {
  /// What holds about names: what an administrator said, or else the server's file; records are the
  /// file's in any case.
  package var nameOptions: NameOptions {
    guard var own = ownNames else { return options.names }
    own.records = options.names.records
    return own
  }

  /// Says what holds about names from now on; nil for what the server's file says.
  package mutating func setNames(
    _ names: NameOptions?,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    ownNames = try names?.checked()
    let text = ownNames?.kept
    effects.mutations.append(.names(text, by: actor, now.time))
    audit(actor, "dns.set", "names", text ?? "as the file says", at: now, into: &effects)
    note(.names, at: now, into: &effects)
  }
}
