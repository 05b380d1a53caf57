// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import Bytes
internal import ControlProtocol
internal import Coordination
internal import Foundation
internal import GRDB
internal import JSON
internal import Keys
internal import Timing

// How values become rows and rows become values.

extension SQLiteStore {
  static func write(_ mutation: Mutation, to tailnet: TailnetID, in database: Database) throws {
    let network = tailnet.rawValue
    switch mutation {
    case .user(let user): try write(user, to: network, in: database)
    case .userRemoved(let id):
      try database.execute(
        sql: "UPDATE pre_auth_keys SET user_id = NULL WHERE tailnet = ? AND user_id = ?",
        arguments: [network, id.rawValue]
      )
      try delete("users", id.rawValue, from: network, in: database)
    case .node(let node): try write(node, to: network, in: database)
    case .lastSeen(let id, let time):
      try database.execute(
        sql: "UPDATE nodes SET last_seen = ? WHERE tailnet = ? AND id = ?",
        arguments: [time.description, network, id.rawValue]
      )
    case .nodeRemoved(let id): try delete("nodes", id.rawValue, from: network, in: database)
    case .key(let key): try write(key, to: network, in: database)
    case .keyUsed(let id, let isReusable):
      try database.execute(
        sql: "UPDATE pre_auth_keys SET uses = uses + 1 "
          + "WHERE tailnet = ? AND id = ? AND (uses = 0 OR \(isReusable ? "1 = 1" : "1 = 0")) "
          + "AND (max_uses IS NULL OR uses < max_uses)",
        arguments: [network, id.rawValue]
      )
      guard database.changesCount == 1 else {
        throw StoreError(.conflict, "The auth key was used elsewhere at the same time.")
      }
    case .keyRemoved(let id):
      try delete("pre_auth_keys", id.rawValue, from: network, in: database)
    case .addressReleased(let address, let time):
      try database.execute(
        sql: "INSERT INTO resting_addresses (tailnet, address, released) VALUES (?, ?, ?) "
          + "ON CONFLICT (tailnet, address) DO UPDATE SET released = excluded.released",
        arguments: [network, address.description, time.description]
      )
    case .addressRested(let address):
      try database.execute(
        sql: "DELETE FROM resting_addresses WHERE tailnet = ? AND address = ?",
        arguments: [network, address.description]
      )
    case .change(let number, let change, let time):
      let (kind, subject) = row(of: change)
      try database.execute(
        sql: "INSERT INTO changes (tailnet, number, kind, subject, time) VALUES (?, ?, ?, ?, ?)",
        arguments: [network, number, kind, subject, time.description]
      )
      if number % 1000 == 0 {
        try database.execute(
          sql: "DELETE FROM changes WHERE tailnet = ? AND number <= ?",
          arguments: [network, number - Int64(maximumChanges)]
        )
      }
    case .audit(let entry):
      try database.execute(
        sql: "INSERT INTO audit (tailnet, actor, action, subject, details, time) "
          + "VALUES (?, ?, ?, ?, ?, ?)",
        arguments: [
          network, entry.actor, entry.action, entry.subject, entry.details, entry.time.description,
        ]
      )
    case .policy(let policy): try write(policy, to: network, in: database)
    case .credential(let credential): try write(credential, to: network, in: database)
    case .credentialRemoved(let id):
      try delete("credentials", id.rawValue, from: network, in: database)
    case .webhook(let webhook): try write(webhook, to: network, in: database)
    case .names(let text, let actor, let time):
      try database.execute(
        sql: "DELETE FROM names WHERE tailnet = ?",
        arguments: [network]
      )
      guard let text else { return }
      try database.execute(
        sql: "INSERT INTO names (tailnet, text, actor, created) VALUES (?, ?, ?, ?)",
        arguments: [network, text, actor, time.description]
      )
    case .webhookRemoved(let id): try delete("webhooks", id.rawValue, from: network, in: database)
    }
  }

  private static func row(of change: Change) -> (String, Int64?) {
    switch change {
    case .node(let id): ("node", id.rawValue)
    case .patch(let id, _): ("patch", id.rawValue)
    case .removed(let id): ("removed", id.rawValue)
    case .readmitted(let id): ("readmitted", id.rawValue)
    case .withheld(let id): ("withheld", id.rawValue)
    case .user(let id): ("user", id.rawValue)
    case .relayMap: ("relay map", nil)
    case .names: ("names", nil)
    case .access(let id): ("access", id.rawValue)
    case .policy: ("policy", nil)
    }
  }

  private static func delete(
    _ table: String,
    _ id: Int64,
    from tailnet: Int64,
    in database: Database
  ) throws {
    try database.execute(
      sql: "DELETE FROM \(table) WHERE tailnet = ? AND id = ?",
      arguments: [tailnet, id]
    )
  }

  private static func write(_ user: User, to tailnet: Int64, in database: Database) throws {
    try upsert(
      "users",
      [
        ("id", user.id.rawValue), ("tailnet", tailnet), ("name", user.name),
        ("display_name", user.displayName), ("email", user.email),
        ("created", user.created.description), ("role", user.role.rawValue),
        ("issuer", user.identity?.issuer), ("subject", user.identity?.subject),
        ("groups", list(user.groups)),
      ],
      in: database
    )
  }

  private static func write(_ key: PreAuthKey, to tailnet: Int64, in database: Database) throws {
    try upsert(
      "pre_auth_keys",
      [
        ("id", key.id.rawValue), ("tailnet", tailnet), ("prefix", key.prefix),
        ("hash", Hex.encode(key.hash)), ("user_id", key.user?.rawValue), ("tags", list(key.tags)),
        ("reusable", key.isReusable), ("ephemeral", key.isEphemeral), ("uses", key.uses),
        ("created", key.created.description), ("expires", key.expiry?.description),
        ("preauthorized", key.isPreauthorized), ("max_uses", key.maximumUses),
      ],
      in: database
    )
  }

  private static func write(_ node: NodeRecord, to tailnet: Int64, in database: Database) throws {
    let (method, key) = row(of: node.method)
    try upsert(
      "nodes",
      [
        ("id", node.id.rawValue), ("tailnet", tailnet), ("stable_id", node.stableID),
        ("machine_key", node.machineKey.description), ("node_key", node.nodeKey.description),
        ("disco_key", node.discoKey.description), ("user_id", node.user?.rawValue),
        ("tags", list(node.tags)), ("method", method), ("auth_key_id", key), ("name", node.name),
        ("name_chosen", node.isNameChosen), ("addresses", list(node.addresses.map(\.description))),
        ("hostinfo", text(of: node.hostinfo)),
        ("endpoints", list(node.endpoints.map(\.description))),
        ("endpoint_types", list(node.endpointTypes.map(String.init))),
        ("capability_version", node.capabilityVersion), ("ephemeral", node.isEphemeral),
        ("wireguard_only", node.isWireGuardOnly), ("created", node.created.description),
        ("expires", node.expiry?.description), ("last_seen", node.lastSeen?.description),
        ("approved_routes", list(node.approvedRoutes.map(\.description))),
        ("authorized", node.isAuthorized), ("attributes", text(of: node.attributes)),
      ],
      in: database
    )
  }

  private static func row(of method: NodeRecord.Method) -> (String, Int64?) {
    switch method {
    case .authKey(let id): ("authkey", id.rawValue)
    case .approval: ("approval", nil)
    case .administrator: ("administrator", nil)
    case .login: ("login", nil)
    }
  }

  /// Writes a row, new or in place of the one with the same number.
  static func upsert(
    _ table: String,
    _ values: [(column: String, value: (any DatabaseValueConvertible)?)],
    in database: Database
  ) throws {
    let columns = values.map(\.column).joined(separator: ", ")
    let marks = values.map { _ in "?" }.joined(separator: ", ")
    let updates = values.dropFirst(2).map { "\($0.column) = excluded.\($0.column)" }
      .joined(separator: ", ")
    try database.execute(
      sql: "INSERT INTO \(table) (\(columns)) VALUES (\(marks)) "
        + "ON CONFLICT (id) DO UPDATE SET \(updates)",
      arguments: StatementArguments(values.map(\.value))
    )
  }

  static func list(_ texts: [String]) -> String {
    JSONValue.array(texts.map { .string($0) }).text()
  }

  private static func text(of hostinfo: Hostinfo) -> String {
    String(decoding: hostinfo.json, as: UTF8.self)
  }
}

// MARK: - Reading

extension SQLiteStore {
  static func load(_ tailnet: TailnetID, from database: Database) throws -> TailnetRecords {
    var records = TailnetRecords()
    let network = tailnet.rawValue
    func rows(_ table: String) throws -> [Row] {
      try Row.fetchAll(
        database,
        sql: "SELECT * FROM \(table) WHERE tailnet = ?",
        arguments: [network]
      )
    }
    records.users = try rows("users").map { try user(of: Columns($0, "users")) }
    records.keys = try rows("pre_auth_keys").map { try key(of: Columns($0, "pre_auth_keys")) }
    records.nodes = try rows("nodes").map { try node(of: Columns($0, "nodes")) }
    for row in try rows("resting_addresses") {
      let columns = Columns(row, "resting_addresses")
      let address = try columns.parsed("address", IPAddress.init)
      records.resting[address] = try columns.time("released")
    }
    records.credentials = try rows("credentials").map {
      try credential(of: Columns($0, "credentials"))
    }
    records.webhooks = try rows("webhooks").map { try webhook(of: Columns($0, "webhooks")) }
    records.names = try rows("names").first.map { try Columns($0, "names").text("text") }
    records.lastCredential = try last("credentials", in: database)
    records.lastWebhook = try last("webhooks", in: database)
    records.policy = try policies(tailnet, limit: 1, from: database).first
    records.lastUser = try last("users", in: database)
    records.lastNode = try last("nodes", in: database)
    records.lastKey = try last("pre_auth_keys", in: database)
    records.lastChange =
      try Int64.fetchOne(
        database,
        sql: "SELECT MAX(number) FROM changes WHERE tailnet = ?",
        arguments: [network]
      ) ?? 0
    return records
  }

  static func audit(
    _ tailnet: TailnetID,
    limit: Int,
    from database: Database
  ) throws -> [AuditEntry] {
    try Row.fetchAll(
      database,
      sql: "SELECT * FROM audit WHERE tailnet = ? ORDER BY id DESC LIMIT ?",
      arguments: [tailnet.rawValue, limit]
    ).map {
      let columns = Columns($0, "audit")
      return AuditEntry(
        actor: try columns.text("actor"),
        action: try columns.text("action"),
        subject: try columns.text("subject"),
        details: try columns.text("details"),
        time: try columns.time("time")
      )
    }
  }

  private static func last(_ table: String, in database: Database) throws -> Int64 {
    try Int64.fetchOne(
      database,
      sql: "SELECT seq FROM sqlite_sequence WHERE name = ?",
      arguments: [table]
    ) ?? 0
  }

  private static func user(of columns: Columns) throws -> User {
    let issuer = try columns.textIfAny("issuer")
    let subject = try columns.textIfAny("subject")
    return User(
      id: UserID(try columns.number("id")),
      name: try columns.text("name"),
      displayName: try columns.text("display_name"),
      email: try columns.text("email"),
      role: try columns.parsed("role") { PolicyWorld.Role(rawValue: $0) },
      identity: issuer.flatMap { issuer in
        subject.map { ExternalIdentity(issuer: issuer, subject: $0) }
      },
      groups: try columns.list("groups"),
      created: try columns.time("created")
    )
  }

  private static func key(of columns: Columns) throws -> PreAuthKey {
    PreAuthKey(
      id: PreAuthKeyID(try columns.number("id")),
      prefix: try columns.text("prefix"),
      hash: try columns.parsed("hash") { Hex.decode($0) },
      user: columns.numberIfAny("user_id").map { UserID($0) },
      tags: try columns.list("tags"),
      isReusable: try columns.number("reusable") != 0,
      maximumUses: columns.numberIfAny("max_uses").map { Int($0) },
      isEphemeral: try columns.number("ephemeral") != 0,
      isPreauthorized: try columns.number("preauthorized") != 0,
      expiry: try columns.timeIfAny("expires"),
      uses: Int(try columns.number("uses")),
      created: try columns.time("created")
    )
  }

  private static func node(of columns: Columns) throws -> NodeRecord {
    let tags = try columns.list("tags")
    let user = columns.numberIfAny("user_id").map { UserID($0) }
    guard user != nil || !tags.isEmpty else { throw columns.wrong("user_id") }
    return NodeRecord(
      id: NodeID(try columns.number("id")),
      stableID: try columns.text("stable_id"),
      machineKey: try columns.parsed("machine_key", MachineKey.init),
      nodeKey: try columns.parsed("node_key", NodeKey.init),
      discoKey: try columns.parsed("disco_key", DiscoKey.init),
      owner: user.map { .user($0) } ?? .tags(tags),
      method: try method(of: columns),
      name: try columns.text("name"),
      isNameChosen: try columns.number("name_chosen") != 0,
      addresses: try columns.list("addresses", of: IPAddress.init),
      hostinfo: try columns.parsed("hostinfo") {
        // A Hostinfo that cannot be read is reported with its row.
        try? Hostinfo(json: Array($0.utf8))
      },
      endpoints: try columns.list("endpoints", of: Endpoint.init),
      endpointTypes: try columns.list("endpoint_types", of: { Int($0) }),
      capabilityVersion: Int(try columns.number("capability_version")),
      isEphemeral: try columns.number("ephemeral") != 0,
      isWireGuardOnly: try columns.number("wireguard_only") != 0,
      created: try columns.time("created"),
      expiry: try columns.timeIfAny("expires"),
      lastSeen: try columns.timeIfAny("last_seen"),
      approvedRoutes: try columns.list("approved_routes", of: IPPrefix.init),
      isAuthorized: try columns.number("authorized") != 0,
      attributes: try columns.parsed("attributes", attributes(in:))
    )
  }

  private static func method(of columns: Columns) throws -> NodeRecord.Method {
    switch try columns.text("method") {
    case "authkey": .authKey(PreAuthKeyID(columns.numberIfAny("auth_key_id") ?? 0))
    case "approval": .approval
    case "administrator": .administrator
    case "login": .login
    default: throw columns.wrong("method")
    }
  }
}

/// A row, read column by column; what cannot be right is reported with its place.
struct Columns {
  private let row: Row
  private let table: String

  init(_ row: Row, _ table: String) {
    self.row = row
    self.table = table
  }

  func wrong(_ column: String) -> StoreError {
    let id = numberIfAny("id").map { " of row \($0)" } ?? ""
    return SQLiteStore.corrupted(
      "the database",
      "table \(table), column \(column)\(id) holds what it cannot"
    )
  }

  func text(_ column: String) throws -> String {
    guard let text = String.fromDatabaseValue(row[column]) else { throw wrong(column) }
    return text
  }

  func textIfAny(_ column: String) throws -> String? {
    let value: DatabaseValue = row[column]
    return value.isNull ? nil : try text(column)
  }

  func number(_ column: String) throws -> Int64 {
    guard let number = numberIfAny(column) else { throw wrong(column) }
    return number
  }

  func numberIfAny(_ column: String) -> Int64? { Int64.fromDatabaseValue(row[column]) }

  func parsed<Value>(_ column: String, _ parse: (String) -> Value?) throws -> Value {
    guard let value = parse(try text(column)) else { throw wrong(column) }
    return value
  }

  func time(_ column: String) throws -> Timestamp { try parsed(column) { Timestamp($0) } }

  func timeIfAny(_ column: String) throws -> Timestamp? {
    let value: DatabaseValue = row[column]
    return value.isNull ? nil : try time(column)
  }

  func list(_ column: String) throws -> [String] { try list(column) { $0 } }

  func list<Value>(_ column: String, of parse: (String) -> Value?) throws -> [Value] {
    try parsed(column) { text in
      // Text that is no list is reported with its row.
      guard case .array(let items)? = try? JSONValue(parsing: Array(text.utf8)) else { return nil }
      let values = items.compactMap { $0.string.flatMap(parse) }
      return values.count == items.count ? values : nil
    }
  }
}
