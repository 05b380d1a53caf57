// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import Cryptography
import Keys
import Testing
import Timing

@Suite("Registration")
struct RegistrationTests {
  @Test("A key lets a machine in as a node of its user, with a name and an address of each family")
  func authKey() throws {
    var world = World()
    let user = try world.user()
    let machine = world.machine("Anna's Laptop")
    let response = try world.answer(machine, key: try world.key(for: user))
    #expect(response.error == "" && response.machineAuthorized && !response.nodeKeyExpired)
    #expect(response.login.loginName == "alice" && response.user.id == user.id.rawValue)
    let node = try #require(world.tailnet.node(with: machine.nodeKey))
    #expect(node.name == "annas-laptop" && node.user == user.id)
    #expect(node.addresses.map(\.description) == ["100.64.0.1", "fd7a:115c:a1e0::1"])
  }

  @Test("One of many that use the same one-off key gets in")
  func oneOffKey() throws {
    var world = World()
    let key = try world.key(for: try world.user())
    var admitted = 0
    for _ in 0..<20 {
      let machine = world.machine()
      if try world.answer(machine, key: key).machineAuthorized { admitted += 1 }
    }
    #expect(admitted == 1 && world.tailnet.nodes.count == 1)
  }

  @Test("A reusable key lets many in, each with a name and addresses of its own")
  func reusableKey() throws {
    var world = World()
    let key = try world.key(for: try world.user(), reusable: true)
    for _ in 0..<12 {
      let machine = world.machine("web")
      #expect(try world.answer(machine, key: key).machineAuthorized)
    }
    let nodes = world.tailnet.nodes.values.sorted { $0.id < $1.id }
    #expect(nodes.map(\.name) == ["web"] + (1...11).map { "web-\($0)" })
    #expect(Set(nodes.flatMap(\.addresses)).count == 24)
  }

  @Test(
    "A key that is expired, spent, revoked or invented lets nobody in",
    arguments: ["expired", "spent", "revoked", "invented", "altered", "garbage"]
  )
  func badKeys(kind: String) throws {
    var world = World()
    let user = try world.user()
    var key = try world.key(for: user, lifetime: .seconds(60))
    switch kind {
    case "expired": world.advance(by: .seconds(61))
    case "spent":
      let first = world.machine()
      _ = try world.answer(first, key: key)
    case "revoked":
      let id = try #require(world.tailnet.keys.keys.first)
      _ = try world.act { try $0.expireKey(id, by: "test", at: $1, into: &$3) }
    case "invented": key = AuthSecret(using: &world.entropy).text
    case "altered": key = String(key.dropLast()) + (key.hasSuffix("0") ? "1" : "0")
    default: key = "tskey-auth-x"
    }
    let before = world.tailnet.nodes.count
    let machine = world.machine()
    let response = try world.answer(machine, key: key)
    #expect(response.error != "" && !response.machineAuthorized)
    #expect(world.tailnet.nodes.count == before)
    let secret = key.split(separator: "-").last.map(String.init) ?? key
    #expect(!response.error.contains(secret))
  }

  @Test("A container that comes back with a spent key and its own node key is let in as it is")
  func containerRestart() throws {
    var world = World()
    let key = try world.key(for: try world.user())
    let machine = world.machine()
    _ = try world.answer(machine, key: key)
    let node = try #require(world.tailnet.node(with: machine.nodeKey))
    world.advance(by: .seconds(7200))
    #expect(try world.answer(machine, key: key).machineAuthorized)
    #expect(world.tailnet.node(with: machine.nodeKey)?.id == node.id)
  }

  @Test("A spent key does not renew a node key, nor make a new node")
  func spentKeyRotation() throws {
    var world = World()
    let key = try world.key(for: try world.user())
    var machine = world.machine()
    _ = try world.answer(machine, key: key)
    machine.rotate(using: &world.entropy)
    #expect(try world.answer(machine, key: key).error != "")
    #expect(world.tailnet.node(with: machine.nodeKey) == nil)
    #expect(world.tailnet.node(with: machine.oldNodeKey) != nil)
  }

  @Test("A new node key of the same machine and user is the same node")
  func rotation() throws {
    var world = World()
    let user = try world.user()
    var machine = world.machine()
    let before = try world.joined(machine, of: user)
    machine.rotate(using: &world.entropy)
    let after = try world.joined(machine, of: user)
    #expect(after.id == before.id && after.addresses == before.addresses)
    #expect(after.name == before.name && after.nodeKey != before.nodeKey)
    #expect(world.tailnet.node(with: machine.oldNodeKey) == nil)
    #expect(world.ended == [before.id])
  }

  @Test("The same machine as another user is another node")
  func secondUser() throws {
    var world = World()
    let (alice, bob) = (try world.user("alice"), try world.user("bob"))
    var machine = world.machine()
    let first = try world.joined(machine, of: alice)
    machine.rotate(using: &world.entropy)
    let second = try world.joined(machine, of: bob)
    #expect(first.id != second.id && world.tailnet.nodes.count == 2)
    #expect(world.tailnet.nodes(on: machine.machineKey).map(\.id) == [first.id, second.id])
  }

  @Test("Another machine cannot claim, log out or learn about a node key")
  func foreignKey() throws {
    var world = World()
    let user = try world.user()
    let victim = world.machine("victim")
    let node = try world.joined(victim, of: user)
    var thief = world.machine("thief")
    thief.nodeKey = victim.nodeKey
    let key = try world.key(for: user)
    for response in [
      try world.answer(thief), try world.answer(thief, key: key),
      try world.answer(thief) { $0.expiry = Timestamp(seconds: 123) },
    ] {
      #expect(response.error != "" && !response.machineAuthorized)
      #expect(response.login.loginName == "" && response.user.id == 0 && response.authURL == "")
    }
    #expect(world.tailnet.nodes[node.id] == node)
  }

  @Test("Only an administrator lets a machine in that asks by its person")
  func interactive() throws {
    var world = World()
    let user = try world.user()
    let machine = world.machine()
    let url = try world.answer(machine).authURL
    #expect(url.hasPrefix("http://10.99.0.3:8080/register/"))
    guard case .wait(let id) = world.register(machine, followup: url) else { throw Unexpected() }
    #expect(world.tailnet.node(with: machine.nodeKey) == nil)
    let node = try world.act {
      try $0.approve(id, user: user.id, tags: [], by: "test", at: $1, using: &$2, into: &$3)
    }
    #expect(world.settled == [id])
    let response = try world.answer(machine, followup: url)
    #expect(response.machineAuthorized && response.login.loginName == "alice")
    #expect(world.tailnet.node(with: machine.nodeKey)?.id == node.id)
    #expect(throws: Refusal.self) {
      try world.act {
        try $0.approve(id, user: user.id, tags: [], by: "test", at: $1, using: &$2, into: &$3)
      }
    }
  }

  @Test("A rejected login stays outside and says so")
  func rejected() throws {
    var world = World()
    let machine = world.machine()
    let url = try world.answer(machine).authURL
    guard case .wait(let id) = world.register(machine, followup: url) else { throw Unexpected() }
    try world.act { try $0.reject(id, by: "test", at: $1, into: &$3) }
    #expect(try world.answer(machine, followup: url).error != "")
    #expect(world.tailnet.nodes.isEmpty)
  }

  @Test("The login of one machine is of no use to another")
  func foreignLogin() throws {
    var world = World()
    let user = try world.user()
    let (machine, thief) = (world.machine("a"), world.machine("b"))
    let url = try world.answer(machine).authURL
    guard case .wait(let id) = world.register(machine, followup: url) else { throw Unexpected() }
    let own = try world.answer(thief, followup: url).authURL
    #expect(own != "" && own != url)
    _ = try world.act {
      try $0.approve(id, user: user.id, tags: [], by: "test", at: $1, using: &$2, into: &$3)
    }
    #expect(try world.answer(thief, followup: url).machineAuthorized == false)
    #expect(world.tailnet.node(with: thief.nodeKey) == nil)
  }

  @Test("A machine that asks again is given the same address; one that waited too long another")
  func loginLifetime() throws {
    var world = World()
    let machine = world.machine()
    let url = try world.answer(machine).authURL
    #expect(try world.answer(machine).authURL == url)
    world.advance(by: LoginRequests.lifetime)
    #expect(world.settled.count == 1)
    let later = try world.answer(machine, followup: url).authURL
    #expect(later != "" && later != url)
  }

  @Test("Waiting logins are bounded; the oldest gives way")
  func loginBound() throws {
    var world = World()
    let first = world.machine()
    _ = try world.answer(first)
    for _ in 0..<LoginRequests.maximumCount {
      let machine = world.machine()
      _ = try world.answer(machine)
    }
    #expect(world.tailnet.logins.pending.count == LoginRequests.maximumCount)
    #expect(world.tailnet.logins.evicted == 1 && world.settled.count == 1)
  }

  @Test("Tags that a machine asks for are given only when the administrator names them")
  func requestedTags() throws {
    var world = World()
    let user = try world.user()
    var machine = world.machine()
    machine.hostinfo.requestTags = ["tag:web"]
    let url = try world.answer(machine).authURL
    guard case .wait(let id) = world.register(machine, followup: url) else { throw Unexpected() }
    #expect(throws: Refusal.self) {
      try world.act {
        try $0.approve(id, user: user.id, tags: [], by: "test", at: $1, using: &$2, into: &$3)
      }
    }
    let node = try world.act {
      try $0.approve(id, user: nil, tags: ["tag:web"], by: "test", at: $1, using: &$2, into: &$3)
    }
    #expect(node.tags == ["tag:web"] && node.user == nil)
  }

  @Test("A tagged key makes tagged nodes that never expire; other tags are refused")
  func taggedKey() throws {
    var world = World { $0.keyLifetime = .seconds(86_400) }
    let key = try world.key(for: nil, reusable: true, tags: ["tag:web", "tag:db"])
    let machine = world.machine()
    let response = try world.answer(machine, key: key)
    #expect(response.login.loginName == "tagged-devices")
    let node = try #require(world.tailnet.node(with: machine.nodeKey))
    #expect(node.tags == ["tag:db", "tag:web"] && node.expiry == nil)
    var greedy = world.machine()
    greedy.hostinfo.requestTags = ["tag:admin"]
    #expect(try world.answer(greedy, key: key).error != "")
    var hostile = world.machine()
    hostile.hostinfo.requestTags = ["tag:x; reboot"]
    #expect(try world.answer(hostile).error != "")
  }

  @Test("A node that logs out needs a new key; an ephemeral one is forgotten")
  func logout() throws {
    var world = World()
    let user = try world.user()
    let machine = world.machine()
    let node = try world.joined(machine, of: user)
    let out = try world.answer(machine) { $0.expiry = Timestamp(seconds: 123) }
    #expect(out.nodeKeyExpired && !out.machineAuthorized)
    #expect(world.tailnet.nodes[node.id]?.expiry == world.now.time)
    #expect(try world.answer(machine).nodeKeyExpired)
    let ephemeral = world.machine("job")
    _ = try world.answer(ephemeral, key: try world.key(for: user, ephemeral: true))
    _ = try world.answer(ephemeral) { $0.expiry = Timestamp(seconds: 123) }
    #expect(world.tailnet.node(with: ephemeral.nodeKey) == nil)
  }

  @Test("A node key that ended is refused, and renewed by a new one")
  func expiry() throws {
    var world = World { $0.keyLifetime = .seconds(3600) }
    let user = try world.user()
    var machine = world.machine()
    let node = try world.joined(machine, of: user)
    #expect(node.expiry == world.now.time + .seconds(3600))
    world.advance(by: .seconds(3600))
    let key = try world.key(for: user)
    #expect(try world.answer(machine, key: key).nodeKeyExpired)
    machine.rotate(using: &world.entropy)
    #expect(try world.answer(machine, key: key).machineAuthorized)
    let renewed = try #require(world.tailnet.node(with: machine.nodeKey))
    #expect(renewed.id == node.id && !renewed.isExpired(at: world.now.time))
  }

  @Test("A node may shorten the life of its key, and not lengthen it")
  func ownExpiry() throws {
    var world = World { $0.keyLifetime = .seconds(3600) }
    let user = try world.user()
    let machine = world.machine()
    let node = try world.joined(machine, of: user)
    let sooner = world.now.time + .seconds(60)
    let later = world.now.time + .seconds(7200)
    #expect(try world.answer(machine) { $0.expiry = later }.error != "")
    #expect(try world.answer(machine) { $0.expiry = sooner }.machineAuthorized)
    #expect(world.tailnet.nodes[node.id]?.expiry == sooner)
  }

  @Test("A request without a node key or without Hostinfo is malformed")
  func malformed() throws {
    var world = World()
    let machine = world.machine()
    guard case .malformed = world.register(machine, change: { $0.hostinfo = nil }),
      case .malformed = world.register(machine, change: { $0.nodeKey = .zero })
    else { throw Unexpected() }
  }

  @Test("Numbers and addresses of a deleted node are not given to the next")
  func noReuse() throws {
    var world = World()
    let user = try world.user()
    let (one, two) = (world.machine(), world.machine())
    let first = try world.joined(one, of: user)
    try world.act { try $0.deleteNode(first.id, by: "test", at: $1, into: &$3) }
    let second = try world.joined(two, of: user)
    #expect(second.id > first.id && Set(first.addresses).isDisjoint(with: second.addresses))
  }

  @Test("The text of a key has 256 secret bits and is kept as a hash")
  func secrets() throws {
    var entropy = Entropy(seed: 9)
    let secret = AuthSecret(using: &entropy)
    #expect(secret.text.hasPrefix("martlet-auth-\(secret.prefix)-"))
    #expect(secret.text.utf8.count == 13 + 12 + 1 + 64)
    #expect("\(secret)" == "martlet-auth-\(secret.prefix)-***")
    #expect(AuthSecret(secret.text)?.hash == secret.hash)
    for cut in 0..<secret.text.utf8.count {
      #expect(AuthSecret(String(secret.text.prefix(cut))) == nil)
    }
    #expect(LoginID(using: &entropy).description.utf8.count == 32)
    #expect(LoginID("../../etc/passwd") == nil && LoginID("<script>") == nil)
  }
}
