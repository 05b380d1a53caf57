// SPDX-License-Identifier: Apache-2.0

internal import Bytes
internal import Coordination
internal import GRDB
internal import Timing

// How credentials and webhooks become rows, and rows become them.

extension SQLiteStore {
  static func write(_ credential: Credential, to tailnet: Int64, in database: Database) throws {
    try upsert(
      "credentials",
      [
        ("id", credential.id.rawValue), ("tailnet", tailnet), ("kind", credential.kind.rawValue),
        ("prefix", credential.prefix), ("hash", Hex.encode(credential.hash)),
        ("scopes", list(credential.scopes.map(\.description))), ("tags", list(credential.tags)),
        ("purpose", credential.purpose), ("client_id", credential.client?.rawValue),
        ("user_id", credential.user?.rawValue),
        ("created", credential.created.description), ("expires", credential.expiry?.description),
        ("last_used", credential.lastUsed?.description),
      ],
      in: database
    )
  }

  static func credential(of columns: Columns) throws -> Credential {
    Credential(
      id: CredentialID(try columns.number("id")),
      kind: try columns.parsed("kind") { Credential.Kind(rawValue: $0) },
      prefix: try columns.text("prefix"),
      hash: try columns.parsed("hash") { Hex.decode($0) },
      scopes: try columns.list("scopes", of: { Scope($0) }),
      tags: try columns.list("tags"),
      purpose: try columns.text("purpose"),
      client: columns.numberIfAny("client_id").map { CredentialID($0) },
      user: columns.numberIfAny("user_id").map { UserID($0) },
      created: try columns.time("created"),
      expiry: try columns.timeIfAny("expires"),
      lastUsed: try columns.timeIfAny("last_used")
    )
  }

  static func write(_ webhook: Webhook, to tailnet: Int64, in database: Database) throws {
    try upsert(
      "webhooks",
      [
        ("id", webhook.id.rawValue), ("tailnet", tailnet), ("url", webhook.url),
        ("secret", Hex.encode(webhook.secret)), ("provider", webhook.provider),
        ("events", list(webhook.events.map(\.rawValue).sorted())), ("creator", webhook.creator),
        ("created", webhook.created.description), ("modified", webhook.modified.description),
      ],
      in: database
    )
  }

  static func webhook(of columns: Columns) throws -> Webhook {
    Webhook(
      id: WebhookID(try columns.number("id")),
      url: try columns.text("url"),
      secret: try columns.parsed("secret") { Hex.decode($0) },
      provider: try columns.text("provider"),
      events: Set(try columns.list("events", of: { Webhook.Event(rawValue: $0) })),
      creator: try columns.text("creator"),
      created: try columns.time("created"),
      modified: try columns.time("modified")
    )
  }
}
