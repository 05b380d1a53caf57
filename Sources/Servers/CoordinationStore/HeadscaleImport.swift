// SPDX-License-Identifier: Apache-2.0

internal import Addressing
internal import ControlProtocol
package import Coordination
package import Cryptography
internal import Foundation
internal import GRDB
internal import JSON
internal import Keys
package import Timing

/// What a database of headscale holds, as ours; nothing is written before somebody has seen it.
///
/// Users, nodes with their keys, addresses, names, tags and approved routes, and the policy. Keys that
/// let machines join are left out: their hashes are of another kind, so nobody could use them here.
package struct HeadscaleImport: Sendable {
  /// The users.
  package private(set) var users: [User] = []
  /// The nodes.
  package private(set) var nodes: [NodeRecord] = []
  /// The text of the policy in force; nil where there is none, or ours does not read it.
  package private(set) var policy: String?
  /// What is left out, and why, in words.
  package private(set) var omissions: [String] = []

  /// Reads a database, which is not changed.
  ///
  /// - Source: headscale's documented schema, versions 0.22 to 0.30.
  package init(path: String, using entropy: inout Entropy) throws(StoreError) {
    var configuration = Configuration()
    configuration.readonly = true
    do {
      let queue = try DatabaseQueue(path: path, configuration: configuration)
      let tables = try queue.read { database in
        try Set(
          String.fetchAll(database, sql: "SELECT name FROM sqlite_master WHERE type = 'table'")
        )
      }
      guard tables.isSuperset(of: ["users", "nodes"]) else {
        throw StoreError(
          .foreign,
          "\(path) is no database of headscale: it has no tables named users and nodes."
        )
      }
      var random = entropy
      try queue.read { database in
        for row in try Row.fetchAll(database, sql: "SELECT * FROM users ORDER BY id") {
          add(user: row)
        }
        for row in try Row.fetchAll(database, sql: "SELECT * FROM nodes ORDER BY id") {
          add(node: row, using: &random)
        }
        if tables.contains("policies") {
          policy = try String.fetchOne(
            database,
            sql: "SELECT data FROM policies ORDER BY id DESC LIMIT 1"
          )
        }
        if tables.contains("pre_auth_keys") {
          let count = try Int.fetchOne(database, sql: "SELECT COUNT(*) FROM pre_auth_keys") ?? 0
          if count > 0 { omissions.append("\(count) auth keys: make new ones") }
        }
      }
      entropy = random
      try queue.close()
    } catch { throw SQLiteStore.explained(error, path) }
    checkPolicy()
  }

  /// The rows that make an empty network this one.
  package func mutations(by actor: String, at time: Timestamp) -> [Mutation] {
    var mutations = users.map { Mutation.user($0) } + nodes.map { .node($0) }
    if let policy {
      mutations.append(.policy(PolicyVersion(id: 1, text: policy, actor: actor, created: time)))
    }
    let entry = AuditEntry(
      actor: actor,
      action: "import.headscale",
      subject: "\(users.count) users, \(nodes.count) nodes",
      details: policy == nil ? "" : "with the policy",
      time: time
    )
    return mutations + [.audit(entry)]
  }

  // MARK: Rows

  private mutating func add(user row: Row) {
    let name = Self.text(row, "name")
    guard Self.text(row, "deleted_at").isEmpty else { return }
    guard let id = Int64.fromDatabaseValue(row["id"]), id > 0 else { return }
    // A refusal says why in words.
    let valid: String
    do throws(Refusal) {
      valid = try User.validName(name)
    } catch {
      omissions.append("user '\(NodeName.printable(name))' and what is its: \(error.message)")
      return
    }
    let taken = users.contains { $0.name.lowercased() == valid.lowercased() }
    guard !taken else {
      omissions.append("user '\(valid)' and what is its: there is another of that name")
      return
    }
    users.append(
      User(
        id: UserID(id),
        name: valid,
        displayName: Self.words(Self.text(row, "display_name")),
        email: Self.words(Self.text(row, "email")),
        role: users.isEmpty ? .owner : .member,
        identity: Self.identity(Self.text(row, "provider_identifier")),
        created: Self.time(row, "created_at") ?? Timestamp(seconds: 0)
      )
    )
  }

  private mutating func add(node row: Row, using entropy: inout Entropy) {
    let given = Self.text(row, "given_name")
    guard Self.text(row, "deleted_at").isEmpty else { return }
    let title = "node '\(NodeName.printable(given))'"
    guard let id = Int64.fromDatabaseValue(row["id"]), id > 0,
      let machineKey = MachineKey(Self.text(row, "machine_key")),
      let nodeKey = NodeKey(Self.text(row, "node_key")), !nodeKey.isZero
    else { return omissions.append("\(title): its keys cannot be read") }
    guard !nodes.contains(where: { $0.nodeKey == nodeKey }) else {
      return omissions.append("\(title): its key is another node's")
    }
    let addresses = [Self.text(row, "ipv4"), Self.text(row, "ipv6")].compactMap { IPAddress($0) }
    guard !addresses.isEmpty,
      !nodes.contains(where: { !Set($0.addresses).isDisjoint(with: addresses) })
    else { return omissions.append("\(title): it has no addresses of its own") }
    let tags = Self.list(row, "tags") + Self.list(row, "forced_tags")
    let owner: NodeRecord.Owner
    if let valid = try? Tag.valid(tags), !valid.isEmpty {  // Wrong tags are told below.
      owner = .tags(valid)
    } else if tags.isEmpty, let user = Int64.fromDatabaseValue(row["user_id"]),
      users.contains(where: { $0.id.rawValue == user })
    {
      owner = .user(UserID(user))
    } else {
      return omissions.append("\(title): it belongs to no user that is taken over, and to no tag")
    }
    // A Hostinfo that cannot be read is told anew when the node connects.
    var hostinfo = (try? Hostinfo(json: Array(Self.text(row, "host_info").utf8))) ?? Hostinfo()
    if hostinfo.hostname.isEmpty { hostinfo.hostname = Self.text(row, "hostname") }
    // A name that cannot be one is told with its node.
    guard let name = try? NodeName.chosen(given), !nodes.contains(where: { $0.name == name }) else {
      return omissions.append("\(title): its name cannot be one here, or is another node's")
    }
    let method = Self.text(row, "register_method")
    nodes.append(
      NodeRecord(
        id: NodeID(id),
        stableID: "n" + Self.hex(entropy.bytes(8)),
        machineKey: machineKey,
        nodeKey: nodeKey,
        discoKey: DiscoKey(Self.text(row, "disco_key")) ?? .zero,
        owner: owner,
        method: method == "authkey" ? .authKey(PreAuthKeyID(0)) : .approval,
        name: name,
        isNameChosen: name != NodeName.sanitized(hostinfo.hostname),
        addresses: addresses,
        hostinfo: hostinfo,
        endpoints: Self.list(row, "endpoints").compactMap { Endpoint($0) },
        created: Self.time(row, "created_at") ?? Timestamp(seconds: 0),
        expiry: Self.time(row, "expiry"),
        lastSeen: Self.time(row, "last_seen"),
        approvedRoutes: Self.list(row, "approved_routes").compactMap { IPPrefix($0)?.masked }
      )
    )
  }

  private mutating func checkPolicy() {
    guard let policy else { return }
    if policy.allSatisfy(\.isWhitespace) {
      self.policy = nil
      return
    }
    do throws(PolicyError) {
      _ = try Policy(restoring: Array(policy.utf8))
    } catch {
      self.policy = nil
      omissions.append("the policy, which is wrong here: \(error.description)")
    }
  }

  // MARK: Columns

  private static func text(_ row: Row, _ column: String) -> String {
    row.hasColumn(column) ? String.fromDatabaseValue(row[column]) ?? "" : ""
  }

  /// A JSON list of texts; null, nothing and the empty list are one.
  private static func list(_ row: Row, _ column: String) -> [String] {
    // What is no list holds nothing.
    guard let value = try? JSONValue(parsing: Array(text(row, column).utf8)) else { return [] }
    return (value.array ?? []).compactMap(\.string)
  }

  /// A time as SQLite drivers write it, `2024-05-01 12:00:00.5+00:00`; the year 1 is none.
  private static func time(_ row: Row, _ column: String) -> Timestamp? {
    var text = Self.text(row, column)
    guard !text.isEmpty, !text.hasPrefix("0001-") else { return nil }
    if let space = text.firstIndex(of: " ") {
      text.replaceSubrange(space...space, with: "T")
      // Some drivers leave a second zone behind the first.
      if let rest = text.firstIndex(of: " ") { text = String(text[..<rest]) }
    }
    return Timestamp(text) ?? Timestamp(text + "Z")
  }

  private static func words(_ text: String) -> String {
    (try? User.validText(text, for: "text")) ?? ""  // What cannot be shown is left out.
  }

  private static func identity(_ text: String) -> ExternalIdentity? {
    guard let slash = text.lastIndex(of: "/"), slash != text.startIndex else { return nil }
    let (issuer, subject) = (text[..<slash], text[text.index(after: slash)...])
    guard issuer.hasPrefix("https://"), !subject.isEmpty else { return nil }
    return ExternalIdentity(issuer: String(issuer), subject: String(subject))
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
  }
}
