// SPDX-License-Identifier: Apache-2.0

internal import Bytes
package import Cryptography
package import JSON
package import Timing

/// Somebody to be told of what happens; given once and never again.
package struct WebhookID: Hashable, Sendable, Comparable, CustomStringConvertible {
  /// The number that the store knows it by.
  package let rawValue: Int64

  /// The webhook numbered `rawValue`.
  package init(_ rawValue: Int64) { self.rawValue = rawValue }

  /// The number in decimal.
  package var description: String { String(rawValue) }

  /// By number.
  package static func < (left: WebhookID, right: WebhookID) -> Bool {
    left.rawValue < right.rawValue
  }
}

/// An address that is told of what happens, with a signature that it can check.
package struct Webhook: Hashable, Sendable {
  /// What can be told.
  package enum Event: String, Hashable, Sendable, CaseIterable {
    /// A node came in.
    case nodeCreated
    /// A node waits to be let in.
    case nodeNeedsApproval
    /// A node was let in.
    case nodeApproved
    /// A node's key has ended.
    case nodeKeyExpired
    /// A node is gone.
    case nodeDeleted
    /// There is another policy.
    case policyUpdate
    /// There is another user.
    case userCreated
    /// A user is gone.
    case userDeleted
    /// Somebody wanted to see whether telling works.
    case test
  }

  /// Its number.
  package let id: WebhookID
  /// Where it is told.
  package var url: String
  /// What its messages are signed with.
  package var secret: [UInt8]
  /// In whose form it wants to be told; empty for ours.
  package let provider: String
  /// What it is told of.
  package var events: Set<Event>
  /// Who made it.
  package let creator: String
  /// When it was made.
  package let created: Timestamp
  /// When it was last changed.
  package var modified: Timestamp

  /// A webhook with all its facts.
  package init(
    id: WebhookID,
    url: String,
    secret: [UInt8],
    provider: String = "",
    events: Set<Event>,
    creator: String,
    created: Timestamp,
    modified: Timestamp
  ) {
    self.id = id
    self.url = url
    self.secret = secret
    self.provider = provider
    self.events = events
    self.creator = creator
    self.created = created
    self.modified = modified
  }

  /// The secret as its owner is shown it, once.
  package var secretText: String { "tskey-webhook-" + Hex.encode(secret) }

  /// The header that proves who sent a message, and when.
  ///
  /// `t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA-256 of `SECONDS.BODY` under the secret's text.
  package func signature(of body: [UInt8], at time: Timestamp) -> String {
    let seconds = String(time.seconds)
    let mac = HMACSHA256.code(
      of: Array(seconds.utf8) + [UInt8(ascii: ".")] + body,
      key: Array(secretText.utf8)
    )
    return "t=\(seconds),v1=" + Hex.encode(mac)
  }
}

/// Something that happened and that somebody may want to be told of.
package struct WebhookEvent: Hashable, Sendable {
  /// What.
  package let event: Webhook.Event
  /// When.
  package let time: Timestamp
  /// In words.
  package let message: String
  /// The facts, by name.
  package let facts: [String: String]

  /// The event that an administrative act is; nil for one that nobody is told of.
  package init?(_ entry: AuditEntry) {
    switch entry.action {
    case "node.register", "node.add", "auth.approve": event = .nodeCreated
    case "node.approve": event = .nodeApproved
    case "node.delete", "node.forget": event = .nodeDeleted
    case "node.expire", "node.logout": event = .nodeKeyExpired
    case "policy.set": event = .policyUpdate
    case "user.create": event = .userCreated
    case "user.delete": event = .userDeleted
    case "webhook.test": event = .test
    default: return nil
    }
    time = entry.time
    message = "\(entry.subject): \(entry.action)"
    facts = ["actor": entry.actor, "subject": entry.subject, "details": entry.details]
  }

  /// As the receiver reads it.
  package func json(of domain: String) -> JSONValue {
    let data = facts.sorted { $0.key < $1.key }
      .reduce(into: JSONObject()) { $0[$1.key] = .string($1.value) }
    return [
      "timestamp": .string(time.description), "version": 1, "type": .string(event.rawValue),
      "tailnet": .string(domain), "message": .string(message), "data": .object(data),
    ]
  }
}

// MARK: - What an administrator does

extension Tailnet {
  /// How many webhooks there may be.
  package static let maximumWebhooks = 100

  /// Has somebody told of what happens.
  package mutating func createWebhook(
    url: String,
    events: Set<Webhook.Event>,
    provider: String = "",
    by actor: String,
    at now: Moment,
    using entropy: inout Entropy,
    into effects: inout Effects
  ) throws(Refusal) -> Webhook {
    guard webhooks.count < Self.maximumWebhooks else {
      throw Refusal(.exhausted, "There are \(Self.maximumWebhooks) webhooks already.")
    }
    try Self.check(url: url)
    guard provider.isEmpty else {
      throw .invalid("Only webhooks without a provider are known; leave providerType out.")
    }
    let webhook = Webhook(
      id: nextWebhookID(),
      url: url,
      secret: entropy.bytes(32),
      provider: provider,
      events: events,
      creator: actor,
      created: now.time,
      modified: now.time
    )
    webhooks[webhook.id] = webhook
    effects.mutations.append(.webhook(webhook))
    audit(actor, "webhook.create", "webhook \(webhook.id)", "", at: now, into: &effects)
    return webhook
  }

  /// Changes what somebody is told of, or what its messages are signed with.
  package mutating func changeWebhook(
    _ id: WebhookID,
    _ action: String,
    by actor: String,
    at now: Moment,
    into effects: inout Effects,
    _ change: (inout Webhook) -> Void
  ) throws(Refusal) -> Webhook {
    guard var webhook = webhooks[id] else { throw .notFound("There is no webhook \(id).") }
    change(&webhook)
    webhook.modified = now.time
    webhooks[id] = webhook
    effects.mutations.append(.webhook(webhook))
    audit(actor, action, "webhook \(id)", "", at: now, into: &effects)
    return webhook
  }

  /// Has somebody told nothing more.
  package mutating func deleteWebhook(
    _ id: WebhookID,
    by actor: String,
    at now: Moment,
    into effects: inout Effects
  ) throws(Refusal) {
    guard webhooks.removeValue(forKey: id) != nil else {
      throw .notFound("There is no webhook \(id).")
    }
    effects.mutations.append(.webhookRemoved(id))
    audit(actor, "webhook.delete", "webhook \(id)", "", at: now, into: &effects)
  }

  private static func check(url: String) throws(Refusal) {
    let rest = ["https://", "http://"].first { url.hasPrefix($0) }.map { url.dropFirst($0.count) }
    let isPlain = url.utf8.allSatisfy { (0x21...0x7E).contains($0) }
    guard let rest, let first = rest.first, first != "/", isPlain, url.utf8.count <= 2048 else {
      throw .invalid("endpointUrl has to be an address such as https://hooks.example.org/martlet.")
    }
  }
}
