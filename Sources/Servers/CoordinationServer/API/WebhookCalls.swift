// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import Cryptography
internal import JSON
internal import Timing

/// Calls about who is told of what happens.
enum WebhookCalls {
  static func list(_ call: APICall) async throws -> JSONValue {
    await call.coordinator.read { tailnet, _ in
      let all = tailnet.webhooks.values.sorted { $0.id < $1.id }
      return ["webhooks": .array(all.map { V2Values.webhook($0) })]
    }
  }

  static func get(_ call: APICall) async throws -> JSONValue {
    let id = try id(call)
    return try await call.coordinator.read { tailnet, _ in
      guard let webhook = tailnet.webhooks[id] else {
        throw Refusal.notFound("There is no such webhook.")
      }
      return V2Values.webhook(webhook)
    }
  }

  static func make(_ call: APICall) async throws -> JSONValue {
    let url = try call.body.required("endpointUrl")
    let (events, provider) = (try events(call), try call.body.text("providerType") ?? "")
    let actor = call.actor
    return try await call.coordinator.perform {
      (tailnet, now, entropy, effects) throws(Refusal) -> JSONValue in
      let webhook = try tailnet.createWebhook(
        url: url,
        events: events,
        provider: provider,
        by: actor,
        at: now,
        using: &entropy,
        into: &effects
      )
      return V2Values.webhook(webhook, withSecret: true)
    }
  }

  static func change(_ call: APICall) async throws -> JSONValue {
    let (id, events, actor) = (try id(call), try events(call), call.actor)
    return try await call.coordinator.perform {
      (tailnet, now, _, effects) throws(Refusal) -> JSONValue in
      let webhook = try tailnet.changeWebhook(
        id,
        "webhook.change",
        by: actor,
        at: now,
        into: &effects
      ) { $0.events = events }
      return V2Values.webhook(webhook)
    }
  }

  static func rotate(_ call: APICall) async throws -> JSONValue {
    let (id, actor) = (try id(call), call.actor)
    return try await call.coordinator.perform {
      (tailnet, now, entropy, effects) throws(Refusal) -> JSONValue in
      let secret = entropy.bytes(32)
      let webhook = try tailnet.changeWebhook(
        id,
        "webhook.rotate",
        by: actor,
        at: now,
        into: &effects
      ) { $0.secret = secret }
      return V2Values.webhook(webhook, withSecret: true)
    }
  }

  static func test(_ call: APICall) async throws -> JSONValue {
    let (id, actor) = (try id(call), call.actor)
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      _ = try tailnet.changeWebhook(id, "webhook.test", by: actor, at: now, into: &effects) { _ in }
    }
    return [:]
  }

  static func delete(_ call: APICall) async throws -> JSONValue {
    let (id, actor) = (try id(call), call.actor)
    try await call.coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      try tailnet.deleteWebhook(id, by: actor, at: now, into: &effects)
    }
    return [:]
  }

  private static func id(_ call: APICall) throws(Refusal) -> WebhookID {
    guard let number = Int64(call["webhook"]) else { throw .notFound("There is no such webhook.") }
    return WebhookID(number)
  }

  private static func events(_ call: APICall) throws(Refusal) -> Set<Webhook.Event> {
    var events: Set<Webhook.Event> = []
    for name in try call.body.list("subscriptions") {
      guard let event = Webhook.Event(rawValue: name), event != .test else {
        throw .invalid("There is no event '\(NodeName.printable(name))' to be told of.")
      }
      events.insert(event)
    }
    return events
  }
}
