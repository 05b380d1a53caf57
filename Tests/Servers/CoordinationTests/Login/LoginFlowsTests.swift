// SPDX-License-Identifier: Apache-2.0

import ControlProtocol
import Coordination
import Cryptography
import JSON
import TestSupport
import Testing
import Timing

@Suite("Logins through an identity provider")
struct LoginFlowsTests {
  private var entropy = Entropy(seed: 7)
  private var flows = LoginFlows()
  private let start = Instant.origin

  private static func claims(
    _ subject: String,
    _ more: JSONObject = [:]
  ) throws -> IdentityClaims {
    // What is in the token is of no matter here, so that any signed one does.
    let vectors = try Fixture.json("Vectors/identity-tokens.json")
    let token = try SignedToken(try #require(vectors["tokens"]?["es256"]?.string))
    var claims = try IdentityClaims(
      token,
      from: "https://id.example",
      for: "martlet",
      answering: "n",
      at: Timestamp(seconds: 1_790_000_100)
    )
    var told = more
    told["sub"] = "u1"
    claims.add(.object(told))
    return claims
  }

  @Test("A state works once, for the browser that it was given to, and for ten minutes")
  mutating func states() {
    let subject = LoginFlows.Subject.machine(LoginID(using: &entropy))
    let first = flows.begin(subject, at: start, using: &entropy)
    #expect(first.state != first.nonce && first.state.utf8.count == 43)
    let forged = (first.state.first == "A" ? "B" : "A") + first.state.dropFirst()
    #expect(flows.take(forged, from: first.browser, at: start) == nil)
    let taken = flows.take(first.state, from: first.browser, at: start)
    #expect(taken?.subject == subject && taken?.nonce == first.nonce)
    #expect(flows.take(first.state, from: first.browser, at: start) == nil)
    for browser in [nil, "", first.browser] {
      let other = flows.begin(subject, at: start, using: &entropy)
      #expect(flows.take(other.state, from: browser, at: start) == nil)
      #expect(flows.take(other.state, from: other.browser, at: start) == nil)
    }
    let late = flows.begin(subject, at: start, using: &entropy)
    #expect(flows.take(late.state, from: late.browser, at: start + LoginFlows.lifetime) == nil)
  }

  @Test("A form works once, for its own machine and its own browser")
  mutating func forms() throws {
    let one = LoginFlows.Subject.machine(LoginID(using: &entropy))
    let two = LoginFlows.Subject.machine(LoginID(using: &entropy))
    let claims = try Self.claims("u1")
    let kept = flows.keep(claims, for: one, at: start, using: &entropy)
    let confirmed = flows.confirm(kept.form, for: one, from: kept.browser, at: start)
    #expect(confirmed == claims)
    #expect(flows.confirm(kept.form, for: one, from: kept.browser, at: start) == nil)
    let other = flows.keep(claims, for: one, at: start, using: &entropy)
    #expect(flows.confirm(other.form, for: two, from: other.browser, at: start) == nil)
    let third = flows.keep(claims, for: one, at: start, using: &entropy)
    #expect(flows.confirm(third.form, for: one, from: other.browser, at: start) == nil)
  }

  @Test("However many are begun, a bounded number is kept, and nobody's floods another's out")
  mutating func bounds() {
    let mine = LoginFlows.Subject.machine(LoginID(using: &entropy))
    let own = flows.begin(mine, at: start, using: &entropy)
    let theirs = LoginFlows.Subject.machine(LoginID(using: &entropy))
    for _ in 0..<5_000 { _ = flows.begin(theirs, at: start, using: &entropy) }
    #expect(flows.take(own.state, from: own.browser, at: start) != nil)
    #expect(flows.evicted == 5_000 - LoginFlows.maximumPerSubject)
  }

  @Test("Lists are kept, every one, and an address that nobody verified is none")
  func rules() throws {
    let good = try Self.claims("u1")
    let unverified = try Self.claims("u1", ["email": "a@lab.example", "email_verified": false])
    try IdentityRules(domains: ["LAB.example"], users: ["A@lab.example"], groups: ["eng"]).check(
      good
    )
    for rules in [
      IdentityRules(domains: ["example"]), IdentityRules(users: ["b@lab.example"]),
      IdentityRules(groups: ["ops"]),
    ] {
      #expect(throws: Refusal.self) { try rules.check(good) }
    }
    #expect(throws: Refusal.self) { try IdentityRules().check(unverified) }
    try IdentityRules(needsVerifiedEmail: false).check(unverified)
    let subdomain = try Self.claims(
      "u1",
      ["email": "a@lab.example@evil.example", "email_verified": true]
    )
    #expect(throws: Refusal.self) { try IdentityRules(domains: ["lab.example"]).check(subdomain) }
  }

  @Test(
    "A person is known by provider and subject; a name or an address makes nobody somebody else"
  )
  func people() throws {
    var world = World()
    _ = try world.act {
      try $0.createUser(
        name: "a@lab.example",
        email: "a@lab.example",
        by: "test",
        at: $1,
        into: &$3
      )
    }
    let claims = try Self.claims("u1")
    let machine = world.machine()
    func id(_ url: String) throws -> LoginID {
      try #require(url.split(separator: "/").last.flatMap { LoginID($0) })
    }
    let login = try id(try world.answer(machine).authURL)
    let node = try world.act {
      try $0.signIn(
        login,
        as: claims,
        until: claims.expiry,
        at: $1,
        using: &$2,
        into: &$3
      )
    }
    let user = try #require(node.user.flatMap { world.tailnet.users[$0] })
    #expect(user.name == "a@lab.example-2" && user.role == .member && user.groups == ["eng"])
    #expect(node.method == .login && node.expiry == claims.expiry)
    #expect(throws: Refusal.self) {
      try world.act { try $0.signIn(login, as: claims, at: $1, using: &$2, into: &$3) }
    }
    let other = world.machine("other")
    let second = try id(try world.answer(other).authURL)
    let again = try world.act {
      try $0.signIn(
        second,
        as: try Self.claims("u1", ["groups": ["ops"], "name": "A\u{202E}"]),
        at: $1,
        using: &$2,
        into: &$3
      )
    }
    #expect(again.user == user.id && again.expiry == nil)
    #expect(world.tailnet.users[user.id]?.groups == ["ops"])
    #expect(world.tailnet.users[user.id]?.displayName == "")
    var tagged = world.machine("tagged")
    tagged.hostinfo.requestTags = ["tag:web"]
    let third = try id(try world.answer(tagged).authURL)
    #expect(throws: Refusal.self) {
      try world.act { try $0.signIn(third, as: claims, at: $1, using: &$2, into: &$3) }
    }
    #expect(world.tailnet.node(with: tagged.nodeKey) == nil)
  }
}
