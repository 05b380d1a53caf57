// SPDX-License-Identifier: Apache-2.0

internal import Coordination
internal import GRDB
internal import Timing

// How policies become rows and rows become policies.

extension SQLiteStore {
  /// How many policies are kept, the one in force among them.
  static let maximumPolicies = 1000

  static func write(_ policy: PolicyVersion, to tailnet: Int64, in database: Database) throws {
    try database.execute(
      sql: "INSERT INTO policies (tailnet, number, text, actor, created) VALUES (?, ?, ?, ?, ?)",
      arguments: [tailnet, policy.id, policy.text, policy.actor, policy.created.description]
    )
    try database.execute(
      sql: "DELETE FROM policies WHERE tailnet = ? AND number <= ?",
      arguments: [tailnet, policy.id - Int64(maximumPolicies)]
    )
  }

  static func policies(
    _ tailnet: TailnetID,
    limit: Int,
    from database: Database
  ) throws -> [PolicyVersion] {
    try Row.fetchAll(
      database,
      sql: "SELECT * FROM policies WHERE tailnet = ? ORDER BY number DESC LIMIT ?",
      arguments: [tailnet.rawValue, limit]
    ).map {
      let columns = Columns($0, "policies")
      return PolicyVersion(
        id: try columns.number("number"),
        text: try columns.text("text"),
        actor: try columns.text("actor"),
        created: try columns.time("created")
      )
    }
  }
}
