// SPDX-License-Identifier: Apache-2.0

import Bytes
import ControlProtocol
import Coordination
import Cryptography
import Testing
import Timing

@Suite("Credentials of the API")
struct CredentialTests {
  private static func made(
    _ world: inout World,
    _ kind: Credential.Kind = .key,
    scopes: [String] = ["all"],
    tags: [String] = [],
    within maker: Credential? = nil,
    lifetime: Duration? = .seconds(60)
  ) throws -> (Credential, AuthSecret) {
    let scopes = try Scope.valid(scopes)
    return try world.act { tailnet, now, entropy, effects in
      try tailnet.createCredential(
        kind,
        scopes: scopes,
        tags: tags,
        expiry: lifetime.map { now.time + $0 },
        within: maker,
        by: "test",
        at: now,
        using: &entropy,
        into: &effects
      )
    }
  }

  private static func opened(
    _ world: inout World,
    _ text: String,
    as kinds: Set<Credential.Kind> = [.key, .token]
  ) -> Credential? {
    world.act { $0.authenticate(text, as: kinds, at: $1, into: &$3) }
  }

  @Test("A key opens until its time is over, and nothing that is like it does")
  func opens() throws {
    var world = World()
    let (key, secret) = try Self.made(&world)
    #expect(Self.opened(&world, secret.text)?.id == key.id)
    let altered = String(secret.text.dropLast()) + (secret.text.last == "0" ? "1" : "0")
    #expect(Self.opened(&world, altered) == nil)
    let joining = secret.text.replacing("martlet-api-", with: "martlet-auth-")
    for text in [joining, "", "martlet-api-", key.masked, String(secret.text.dropLast())] {
      #expect(Self.opened(&world, text) == nil)
    }
    world.advance(by: .seconds(61))
    #expect(Self.opened(&world, secret.text) == nil)
  }

  @Test("Only the hash of a secret is kept, and none is printed")
  func hashed() throws {
    var world = World()
    let (key, secret) = try Self.made(&world)
    let tail = String(try #require(secret.text.split(separator: "-").last))
    #expect(key.hash == SHA256.hash(Array(tail.utf8)))
    #expect(!"\(world.mutations)".contains(tail) && !"\(secret) \(key)".contains(tail))
  }

  @Test(
    "A scope covers itself, its reading, and nothing else",
    arguments: [
      ("all", "users", true), ("all:read", "users", false), ("all:read", "users:read", true),
      ("users", "users:read", true), ("users:read", "users", false), ("users", "dns:read", false),
      ("devices", "devices:core", true), ("auth_keys", "oauth_keys", false),
    ]
  )
  func scopes(own: String, other: String, covers: Bool) throws {
    let (own, other) = (try #require(Scope(own)), try #require(Scope(other)))
    #expect(own.covers(other) == covers)
    #expect(Scope(other.description) == other)
  }

  @Test("Nobody makes what may do more than its maker, or what has other tags")
  func narrower() throws {
    var world = World()
    let (client, secret) = try Self.made(
      &world,
      .client,
      scopes: ["devices:core", "users:read"],
      tags: ["tag:ci"]
    )
    #expect(Self.opened(&world, secret.text) == nil, "a client's secret is no token")
    #expect(Self.opened(&world, secret.text, as: [.client])?.id == client.id)
    let tags = ["tag:ci"]
    for scopes in [["all"], ["users"], ["devices:core", "dns"], []] {
      #expect(throws: Refusal.self) {
        try Self.made(&world, .token, scopes: scopes, tags: tags, within: client)
      }
    }
    for tags in [[], ["tag:prod"], ["tag:ci", "tag:prod"]] {
      #expect(throws: Refusal.self) {
        try Self.made(&world, .token, scopes: ["devices:core"], tags: tags, within: client)
      }
    }
    _ = try Self.made(&world, .token, scopes: ["devices:core:read"], tags: tags, within: client)
  }

  @Test("A client that may change nodes or make keys has tags")
  func tagged() throws {
    var world = World()
    for scope in ["devices:core", "auth_keys"] {
      #expect(throws: Refusal.self) { try Self.made(&world, .client, scopes: [scope]) }
      _ = try Self.made(&world, .client, scopes: [scope + ":read"])
    }
  }

  @Test("Tokens end with their client, and are forgotten when their time is over")
  func tokens() throws {
    var world = World()
    let (client, _) = try Self.made(&world, .client, scopes: ["users"])
    var secrets: [AuthSecret] = []
    for _ in 0..<3 {
      let scopes = client.scopes
      secrets.append(
        try world.act { tailnet, now, entropy, effects in
          try tailnet.createCredential(
            .token,
            scopes: scopes,
            expiry: now.time + .seconds(60),
            client: client.id,
            within: client,
            by: "test",
            at: now,
            using: &entropy,
            into: &effects
          ).1
        }
      )
    }
    #expect(secrets.allSatisfy { world.tailnet.credentials.opened(by: $0) != nil })
    try world.act { try $0.deleteCredential(client.id, by: "test", at: $1, into: &$3) }
    #expect(secrets.allSatisfy { world.tailnet.credentials.opened(by: $0) == nil })
    _ = try Self.made(&world, .token, scopes: ["users"])
    #expect(world.tailnet.credentials.all.count == 1)
    world.advance(by: .seconds(61))
    #expect(world.tailnet.credentials.all.isEmpty)
  }

  @Test("There is a bound to how many there are")
  func bound() throws {
    var world = World()
    for _ in 0..<Credentials.maximumCount { _ = try Self.made(&world) }
    #expect(throws: Refusal.self) { try Self.made(&world) }
    _ = try Self.made(&world, .token, scopes: ["users"])
  }

  @Test("A webhook's signature is the HMAC of time and body under its secret")
  func signature() throws {
    var world = World()
    let webhook = try world.act {
      try $0.createWebhook(
        url: "https://hooks.example.org/x",
        events: [.userCreated],
        by: "test",
        at: $1,
        using: &$2,
        into: &$3
      )
    }
    let body = Array("[]".utf8)
    let code = HMACSHA256.code(
      of: Array("1790000000.[]".utf8),
      key: Array(webhook.secretText.utf8)
    )
    let signature = webhook.signature(of: body, at: world.now.time)
    #expect(signature == "t=1790000000,v1=" + Hex.encode(code))
    #expect(webhook.signature(of: body + [0x20], at: world.now.time) != signature)
  }

  @Test(
    "An address that is none is refused",
    arguments: ["", "ftp://x", "https://", "https:///x", "https://a b", "hooks.example.org"]
  )
  func addresses(url: String) {
    var world = World()
    #expect(throws: Refusal.self) {
      try world.act {
        try $0.createWebhook(url: url, events: [], by: "test", at: $1, using: &$2, into: &$3)
      }
    }
  }

  @Test("A credential that nobody uses for as long as the operator says works no more")
  func idle() throws {
    var world = World()
    let (_, used) = try Self.made(&world, lifetime: nil)
    let (_, left) = try Self.made(&world, lifetime: nil)
    for _ in 0..<3 {
      world.advance(by: .seconds(20 * 86_400))
      #expect(Self.opened(&world, used.text) != nil)
    }
    #expect(Self.opened(&world, left.text) == nil)
    #expect(world.tailnet.opened(by: left.text, at: world.now) == nil)
  }

  @Test("What acts for a person may do what both its scopes and the role of the person let do")
  func roles() throws {
    var world = World()
    let owner = try world.user()
    let other = try world.user("bob")
    func scopes(_ role: PolicyWorld.Role, _ given: [String]) throws -> Set<String> {
      let given = try Scope.valid(given)
      _ = try world.act { try $0.setRole(role, of: other.id, by: "test", at: $1, into: &$3) }
      let (_, secret) = try world.act { tailnet, now, entropy, effects in
        try tailnet.createCredential(
          .key,
          scopes: given,
          expiry: nil,
          user: other.id,
          by: "test",
          at: now,
          using: &entropy,
          into: &effects
        )
      }
      let opened = try #require(Self.opened(&world, secret.text))
      return Set(opened.scopes.map(\.description))
    }
    #expect(try scopes(.admin, ["all"]) == ["all"])
    #expect(try scopes(.member, ["all"]) == [])
    #expect(try scopes(.auditor, ["all"]) == ["all:read"])
    #expect(try scopes(.auditor, ["users", "dns:read"]) == ["users:read", "dns:read"])
    #expect(try scopes(.networkAdmin, ["policy_file"]).contains("policy_file"))
    #expect(try scopes(.networkAdmin, ["devices:core"]) == ["devices:core:read"])
    #expect(try scopes(.itAdmin, ["devices:core"]).contains("devices:core"))
    let (made, _) = try Self.made(&world)
    #expect(owner.role == .owner && made.user == nil)
    try world.act { try $0.deleteUser(other.id, by: "test", at: $1, into: &$3) }
    #expect(world.tailnet.credentials.all.map(\.id) == [made.id])
  }
}

@Suite("Keys that have been copied")
struct KeyWatchTests {
  @Test("A key lets in as many nodes as it is for, and no more")
  func limit() throws {
    var world = World()
    let user = try world.user()
    let secret = try world.act { tailnet, now, entropy, effects in
      try tailnet.createKey(
        user: user.id,
        isReusable: true,
        maximumUses: 2,
        expiry: nil,
        by: "test",
        at: now,
        using: &entropy,
        into: &effects
      ).1
    }
    for (name, isIn) in [("one", true), ("two", true), ("three", false)] {
      let answer = try world.answer(world.machine(name), key: secret.text)
      #expect(answer.error.isEmpty == isIn && answer.machineAuthorized == isIn, "\(name)")
    }
    for (reusable, uses) in [(false, 2), (true, 0), (true, -1)] {
      #expect(throws: Refusal.self) {
        try world.act { tailnet, now, entropy, effects in
          _ = try tailnet.createKey(
            user: user.id,
            isReusable: reusable,
            maximumUses: uses,
            expiry: nil,
            by: "test",
            at: now,
            using: &entropy,
            into: &effects
          )
        }
      }
    }
  }

  @Test("One key and many nodes within a minute is written down as an alarm, each use besides")
  func alarm() throws {
    var world = World()
    let user = try world.user()
    let key = try world.key(for: user, reusable: true)
    func rows(_ action: String) -> Int {
      world.mutations.count { if case .audit(let row) = $0 { row.action == action } else { false } }
    }
    for number in 0..<19 { _ = try world.answer(world.machine("n\(number)"), key: key) }
    world.advance(by: .seconds(61))
    for number in 19..<38 { _ = try world.answer(world.machine("n\(number)"), key: key) }
    #expect(rows("preauthkey.alarm") == 0)
    for number in 38..<60 { _ = try world.answer(world.machine("n\(number)"), key: key) }
    #expect(rows("preauthkey.alarm") == 1 && world.tailnet.keyAlarms == 1)
    #expect(rows("node.register") == 60)
  }
}
