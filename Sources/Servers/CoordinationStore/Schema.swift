// SPDX-License-Identifier: Apache-2.0

/// The tables, as steps that each bring a database one version further.
///
/// Steps are only ever added. The SQL is what SQLite and PostgreSQL both understand, but for
/// `AUTOINCREMENT`, which makes numbers that are never given twice. Times are RFC 3339 text, lists
/// are JSON, keys are the text that users see.
enum Schema {
  /// The version that this program writes.
  static var version: Int { steps.count }

  static let steps: [[String]] = [
    [
      """
      CREATE TABLE tailnets (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE
      )
      """,
      "INSERT INTO tailnets (id, name) VALUES (1, 'default')",
      """
      CREATE TABLE users (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tailnet INTEGER NOT NULL REFERENCES tailnets (id),
        name TEXT NOT NULL,
        display_name TEXT NOT NULL,
        email TEXT NOT NULL,
        created TEXT NOT NULL,
        UNIQUE (tailnet, name)
      )
      """,
      """
      CREATE TABLE pre_auth_keys (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tailnet INTEGER NOT NULL REFERENCES tailnets (id),
        prefix TEXT NOT NULL UNIQUE,
        hash TEXT NOT NULL,
        user_id INTEGER REFERENCES users (id),
        tags TEXT NOT NULL,
        reusable INTEGER NOT NULL,
        ephemeral INTEGER NOT NULL,
        uses INTEGER NOT NULL,
        created TEXT NOT NULL,
        expires TEXT
      )
      """,
      """
      CREATE TABLE nodes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tailnet INTEGER NOT NULL REFERENCES tailnets (id),
        stable_id TEXT NOT NULL UNIQUE,
        machine_key TEXT NOT NULL,
        node_key TEXT NOT NULL UNIQUE,
        disco_key TEXT NOT NULL,
        user_id INTEGER REFERENCES users (id),
        tags TEXT NOT NULL,
        method TEXT NOT NULL,
        auth_key_id INTEGER,
        name TEXT NOT NULL,
        name_chosen INTEGER NOT NULL,
        addresses TEXT NOT NULL,
        hostinfo TEXT NOT NULL,
        endpoints TEXT NOT NULL,
        endpoint_types TEXT NOT NULL,
        capability_version INTEGER NOT NULL,
        ephemeral INTEGER NOT NULL,
        wireguard_only INTEGER NOT NULL,
        created TEXT NOT NULL,
        expires TEXT,
        last_seen TEXT,
        UNIQUE (tailnet, name)
      )
      """,
      """
      CREATE TABLE resting_addresses (
        tailnet INTEGER NOT NULL REFERENCES tailnets (id),
        address TEXT NOT NULL,
        released TEXT NOT NULL,
        PRIMARY KEY (tailnet, address)
      )
      """,
      """
      CREATE TABLE changes (
        tailnet INTEGER NOT NULL REFERENCES tailnets (id),
        number INTEGER NOT NULL,
        kind TEXT NOT NULL,
        subject INTEGER,
        time TEXT NOT NULL,
        PRIMARY KEY (tailnet, number)
      )
      """,
      """
      CREATE TABLE audit (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tailnet INTEGER NOT NULL REFERENCES tailnets (id),
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        details TEXT NOT NULL,
        time TEXT NOT NULL
      )
      """,
    ],
    [
      """
      CREATE TABLE policies (
        tailnet INTEGER NOT NULL REFERENCES tailnets (id),
        number INTEGER NOT NULL,
        text TEXT NOT NULL,
        actor TEXT NOT NULL,
        created TEXT NOT NULL,
        PRIMARY KEY (tailnet, number)
      )
      """,
      "ALTER TABLE nodes ADD COLUMN approved_routes TEXT NOT NULL DEFAULT '[]'",
    ],
    [
      "ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT 'member'",
      // Who was made first was the owner to policies.
      """
      UPDATE users SET role = 'owner' WHERE id =
        (SELECT MIN(first.id) FROM users AS first WHERE first.tailnet = users.tailnet)
      """,
      "ALTER TABLE users ADD COLUMN issuer TEXT",
      "ALTER TABLE users ADD COLUMN subject TEXT",
      "CREATE UNIQUE INDEX users_identity ON users (tailnet, issuer, subject)",
      "ALTER TABLE users ADD COLUMN groups TEXT NOT NULL DEFAULT '[]'",
      "ALTER TABLE pre_auth_keys ADD COLUMN preauthorized INTEGER NOT NULL DEFAULT 0",
      "ALTER TABLE nodes ADD COLUMN authorized INTEGER NOT NULL DEFAULT 1",
      "ALTER TABLE nodes ADD COLUMN attributes TEXT NOT NULL DEFAULT '{}'",
    ],
    [
      """
      CREATE TABLE credentials (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tailnet INTEGER NOT NULL REFERENCES tailnets (id),
        kind TEXT NOT NULL,
        prefix TEXT NOT NULL UNIQUE,
        hash TEXT NOT NULL,
        scopes TEXT NOT NULL,
        tags TEXT NOT NULL,
        purpose TEXT NOT NULL,
        client_id INTEGER,
        created TEXT NOT NULL,
        expires TEXT,
        last_used TEXT
      )
      """,
      """
      CREATE TABLE webhooks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        tailnet INTEGER NOT NULL REFERENCES tailnets (id),
        url TEXT NOT NULL,
        secret TEXT NOT NULL,
        provider TEXT NOT NULL,
        events TEXT NOT NULL,
        creator TEXT NOT NULL,
        created TEXT NOT NULL,
        modified TEXT NOT NULL
      )
      """,
    ],
    [
      "ALTER TABLE pre_auth_keys ADD COLUMN max_uses INTEGER",
      "ALTER TABLE credentials ADD COLUMN user_id INTEGER REFERENCES users (id)",
      """
      CREATE TABLE names (
        tailnet INTEGER PRIMARY KEY REFERENCES tailnets (id),
        text TEXT NOT NULL,
        actor TEXT NOT NULL,
        created TEXT NOT NULL
      )
      """,
    ],
  ]
}
