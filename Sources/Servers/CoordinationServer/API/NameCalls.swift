// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import JSON

/// Calls about how names are resolved, in the shapes of the hosted service.
enum NameCalls {
  /// Shows a part of what holds.
  static func show(
    _ call: APICall,
    _ shape: @Sendable (NameOptions) -> JSONValue
  ) async -> JSONValue {
    await call.coordinator.read { tailnet, _ in shape(tailnet.nameOptions) }
  }

  /// Changes a part, and shows it as it is then.
  static func change(
    _ call: APICall,
    _ shape: @Sendable (NameOptions) -> JSONValue,
    _ edit: @escaping @Sendable (inout NameOptions) throws(Refusal) -> Void
  ) async throws -> JSONValue {
    let actor = call.actor
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      var names = tailnet.nameOptions
      try edit(&names)
      try tailnet.setNames(names, by: actor, at: now, into: &effects)
    }
    return await show(call, shape)
  }

  /// Goes back to what the server's file says.
  static func reset(_ call: APICall) async throws -> JSONValue {
    let actor = call.actor
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      try tailnet.setNames(nil, by: actor, at: now, into: &effects)
    }
    return await show(call, configuration)
  }

  // MARK: Shapes

  static func nameservers(_ names: NameOptions) -> JSONValue {
    ["dns": texts(names.resolvers), "magicDNS": .bool(names.answersNames)]
  }

  static func preferences(_ names: NameOptions) -> JSONValue {
    ["magicDNS": .bool(names.answersNames)]
  }

  static func searchPaths(_ names: NameOptions) -> JSONValue {
    ["searchPaths": texts(names.searchDomains)]
  }

  static func split(_ names: NameOptions) -> JSONValue {
    object(names.split) { texts($0) }
  }

  static func configuration(_ names: NameOptions) -> JSONValue {
    [
      "nameservers": resolvers(names.resolvers),
      "splitDNS": object(names.split, resolvers),
      "searchPaths": texts(names.searchDomains),
      "preferences": [
        "magicDNS": .bool(names.answersNames), "overrideLocalDNS": .bool(names.overridesLocal),
      ],
    ]
  }

  private static func texts(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }

  private static func resolvers(_ addresses: [String]) -> JSONValue {
    .array(addresses.map { ["address": .string($0)] })
  }

  private static func object(
    _ split: [String: [String]],
    _ value: ([String]) -> JSONValue
  ) -> JSONValue {
    var object = JSONObject()
    for (domain, resolvers) in split.sorted(by: { $0.key < $1.key }) {
      object[domain] = value(resolvers)
    }
    return .object(object)
  }

  // MARK: What is told

  /// Domains and the addresses of their resolvers; those with null are to be taken away.
  static func splitTold(_ body: AdminBody) throws(Refusal) -> [(String, [String]?)] {
    var told: [(String, [String]?)] = []
    for name in body.names { told.append((name, body.isNull(name) ? nil : try body.list(name))) }
    return told
  }

  /// Everything that `configuration` shows, told whole; what is left out is empty.
  static func configurationTold(_ body: AdminBody) throws(Refusal) -> NameOptions {
    var names = NameOptions(resolvers: try addresses(body, "nameservers"))
    names.searchDomains = try body.list("searchPaths")
    let split = try body.object("splitDNS")
    for domain in split.names { names.split[domain] = try addresses(split, domain) }
    let preferences = try body.object("preferences")
    names.answersNames = try preferences.flagIfAny("magicDNS") ?? true
    names.overridesLocal = try preferences.flagIfAny("overrideLocalDNS") ?? true
    return names
  }

  private static func addresses(_ body: AdminBody, _ name: String) throws(Refusal) -> [String] {
    try body.objects(name).map { entry throws(Refusal) in
      guard try entry.flagIfAny("useWithExitNode") != true else {
        throw Refusal.invalid("useWithExitNode is not known here.")
      }
      return try entry.required("address")
    }
  }
}

extension V2 {
  private static let read = Scope(.dns, isReadOnly: true)
  private static let place = "/tailnet/{tailnet}/dns/"
  private static let resolver = Form.object(["address": Form.text, "useWithExitNode?": Form.flag])
  private static let configurationForm = Form.object([
    "nameservers?": Form.orNull(Form.list(resolver)),
    "splitDNS?": Form.orNull(["type": "object", "additionalProperties": Form.list(resolver)]),
    "searchPaths?": Form.orNull(Form.texts),
    "preferences?": Form.orNull(
      Form.object([
        "magicDNS?": Form.orNull(Form.flag), "overrideLocalDNS?": Form.orNull(Form.flag),
      ])
    ),
  ])
  private static let splitForm: JSONValue = [
    "type": "object", "additionalProperties": Form.orNull(Form.texts),
  ]
  private static let nameserversForm = Form.object(["dns": Form.texts, "magicDNS?": Form.flag])
  private static let preferencesForm = Form.object(["magicDNS": Form.flag])
  private static let searchPathsForm = Form.object(["searchPaths": Form.texts])

  static let names: [APIRoute] = [
    route(
      "GET",
      place + "configuration",
      read,
      "How names are resolved.",
      result: configurationForm
    ) { await NameCalls.show($0, NameCalls.configuration) },
    route(
      "POST",
      place + "configuration",
      Scope(.dns),
      "Says how names are resolved, all of it.",
      body: configurationForm,
      result: configurationForm
    ) { call in
      let told = try NameCalls.configurationTold(call.body)
      return try await NameCalls.change(call, NameCalls.configuration) { $0 = told }
    },
    route(
      "DELETE",
      place + "configuration",
      Scope(.dns),
      "Goes back to what the server's file says of names.",
      result: configurationForm
    ) { try await NameCalls.reset($0) },
    route("GET", place + "nameservers", read, "Who resolves names.", result: nameserversForm) {
      await NameCalls.show($0, NameCalls.nameservers)
    },
    route(
      "POST",
      place + "nameservers",
      Scope(.dns),
      "Says who resolves names.",
      body: Form.object(["dns": Form.texts]),
      result: nameserversForm
    ) { call in
      let told = try call.body.list("dns")
      return try await NameCalls.change(call, NameCalls.nameservers) { $0.resolvers = told }
    },
    route(
      "GET",
      place + "preferences",
      read,
      "Whether nodes answer for the network's names.",
      result: preferencesForm
    ) { await NameCalls.show($0, NameCalls.preferences) },
    route(
      "POST",
      place + "preferences",
      Scope(.dns),
      "Says whether nodes answer for the network's names.",
      body: preferencesForm,
      result: preferencesForm
    ) { call in
      guard let told = try call.body.flagIfAny("magicDNS") else {
        throw Refusal.invalid("magicDNS is missing.")
      }
      return try await NameCalls.change(call, NameCalls.preferences) { $0.answersNames = told }
    },
    route(
      "GET",
      place + "searchpaths",
      read,
      "What is tried behind names.",
      result: searchPathsForm
    ) { await NameCalls.show($0, NameCalls.searchPaths) },
    route(
      "POST",
      place + "searchpaths",
      Scope(.dns),
      "Says what is tried behind names.",
      body: searchPathsForm,
      result: searchPathsForm
    ) { call in
      let told = try call.body.list("searchPaths")
      return try await NameCalls.change(call, NameCalls.searchPaths) { $0.searchDomains = told }
    },
    route("GET", place + "split-dns", read, "Who resolves names below domains.", result: splitForm)
    {
      await NameCalls.show($0, NameCalls.split)
    },
    route(
      "PUT",
      place + "split-dns",
      Scope(.dns),
      "Says who resolves names below domains, of all domains.",
      body: splitForm,
      result: splitForm
    ) { call in
      let told = try NameCalls.splitTold(call.body)
      return try await NameCalls.change(call, NameCalls.split) { names in
        names.split = [:]
        for (domain, resolvers) in told { names.split[domain] = resolvers }
      }
    },
    route(
      "PATCH",
      place + "split-dns",
      Scope(.dns),
      "Says who resolves names below some domains.",
      body: splitForm,
      result: splitForm
    ) { call in
      let told = try NameCalls.splitTold(call.body)
      return try await NameCalls.change(call, NameCalls.split) { names in
        for (domain, resolvers) in told { names.split[domain] = resolvers }
      }
    },
  ]
}
