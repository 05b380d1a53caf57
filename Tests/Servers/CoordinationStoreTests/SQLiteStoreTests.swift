// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import CoordinationStore
import Cryptography
import Foundation
import Keys
import Testing
import Timing

@Suite("The store in SQLite")
struct SQLiteStoreTests {
  static let start = Moment(instant: .origin, time: Timestamp(seconds: 1_790_000_000))

  /// A user, a key, two nodes, an address that rests: one of everything.
  static func everything() throws -> (Tailnet, [Mutation]) {
    var entropy = Entropy(seed: 5)
    var tailnet = Tailnet(options: TailnetOptions(url: "http://x"), at: start)
    var effects = Effects()
    let user = try tailnet.createUser(name: "alice", by: "test", at: start, into: &effects)
    let (_, secret) = try tailnet.createKey(
      user: user.id,
      isReusable: true,
      expiry: start.time + .seconds(60),
      by: "test",
      at: start,
      using: &entropy,
      into: &effects
    )
    for name in ["web", "db", "gone"] {
      var request = RegisterRequest()
      request.version = 138
      request.nodeKey = NodePrivateKey.generate(using: &entropy).publicKey
      request.auth = RegisterAuth(authKey: secret.text)
      var hostinfo = Hostinfo()
      hostinfo.hostname = name
      request.hostinfo = hostinfo
      let machine = MachinePrivateKey.generate(using: &entropy).publicKey
      _ = tailnet.register(request, from: machine, at: start, using: &entropy, into: &effects)
      var update = MapRequest()
      update.version = 138
      update.nodeKey = request.nodeKey
      update.discoKey = DiscoPrivateKey.generate(using: &entropy).publicKey
      update.endpoints = [Endpoint(IPAddress(10, 0, 0, 1), port: 41_641)]
      update.endpointTypes = [1]
      _ = tailnet.update(by: update, from: machine, at: start, into: &effects)
    }
    let gone = try tailnet.node(called: "gone")
    try tailnet.deleteNode(gone.id, by: "test", at: start, into: &effects)
    let web = try tailnet.node(called: "web")
    _ = try tailnet.tagNode(web.id, with: ["tag:a"], by: "test", at: start, into: &effects)
    let db = try tailnet.node(called: "db").id
    for (name, value) in [
      ("custom:tier", PostureValue.text("gold")), ("custom:score", .number(0.5)),
      ("custom:owned", .flag(true)),
    ] {
      _ = try tailnet.setAttribute(
        name,
        of: db,
        to: value,
        until: name == "custom:tier" ? start.time + .seconds(60) : nil,
        by: "test",
        at: start,
        into: &effects
      )
    }
    _ = try tailnet.authorizeNode(db, false, by: "test", at: start, into: &effects)
    return (tailnet, effects.mutations)
  }

  @Test("What was written is what is read, in another life")
  func roundTrip() async throws {
    try await withDirectory { directory in
      let (tailnet, mutations) = try Self.everything()
      let path = directory + "/control.sqlite"
      let store = try SQLiteStore(path: path)
      try await store.commit(mutations, to: .first)
      await store.close()
      let again = try SQLiteStore(path: path)
      let records = try await again.load(.first)
      #expect(records.users == Array(tailnet.users.values))
      #expect(records.keys == Array(tailnet.keys.values) && records.keys[0].uses == 3)
      #expect(
        records.nodes.sorted { $0.id < $1.id } == tailnet.nodes.values.sorted { $0.id < $1.id }
      )
      #expect(records.resting.count == 2 && records.lastNode == 3)
      #expect(records.lastChange == tailnet.changes.head)
      let audit = try await again.audit(.first, limit: 100)
      #expect(audit.first?.action == "node.withhold" && audit.last?.action == "user.create")
      await again.close()
    }
  }

  @Test("Only the prefix and the hash of a key are in the file")
  func secrets() async throws {
    try await withDirectory { directory in
      var entropy = Entropy(seed: 6)
      var tailnet = Tailnet(options: TailnetOptions(url: "http://x"), at: Self.start)
      var effects = Effects()
      let (key, secret) = try tailnet.createKey(
        user: nil,
        tags: ["tag:a"],
        expiry: nil,
        by: "test",
        at: Self.start,
        using: &entropy,
        into: &effects
      )
      let store = try SQLiteStore(path: directory + "/control.sqlite")
      try await store.commit(effects.mutations, to: .first)
      await store.close()
      let hidden = try #require(secret.text.split(separator: "-").last)
      var all: [UInt8] = []
      for name in try FileManager.default.contentsOfDirectory(atPath: directory) {
        all += FileManager.default.contents(atPath: directory + "/" + name) ?? Data()
      }
      let text = String(decoding: all, as: UTF8.self)
      #expect(text.contains(key.prefix) && !text.contains(hidden))
      let mode = try FileManager.default.attributesOfItem(atPath: directory + "/control.sqlite")
      #expect(mode[.posixPermissions] as? Int == 0o600)
    }
  }

  @Test("Rows are written all or none, and a one-off key once")
  func conflict() async throws {
    try await withDirectory { directory in
      let store = try SQLiteStore(path: directory + "/control.sqlite")
      let key = PreAuthKey(
        id: PreAuthKeyID(1),
        prefix: "0123456789ab",
        hash: Array(repeating: 7, count: 32),
        user: nil,
        tags: ["tag:a"],
        expiry: nil,
        created: Self.start.time
      )
      try await store.commit([.key(key), .keyUsed(key.id, isReusable: false)], to: .first)
      let user = User(id: UserID(1), name: "alice", created: Self.start.time)
      await #expect(throws: StoreError.self) {
        try await store.commit([.user(user), .keyUsed(key.id, isReusable: false)], to: .first)
      }
      let records = try await store.load(.first)
      #expect(records.users.isEmpty && records.keys.first?.uses == 1)
      await store.close()
    }
  }

  @Test("A number is not given again when its row is gone")
  func numbers() async throws {
    try await withDirectory { directory in
      let path = directory + "/control.sqlite"
      let store = try SQLiteStore(path: path)
      for number in 1...3 as ClosedRange<Int64> {
        let user = User(id: UserID(number), name: "u\(number)", created: Self.start.time)
        try await store.commit([.user(user)], to: .first)
      }
      try await store.commit((1...3).map { .userRemoved(UserID($0)) }, to: .first)
      await store.close()
      let again = try SQLiteStore(path: path)
      let records = try await again.load(.first)
      #expect(records.users.isEmpty && records.lastUser == 3)
      await again.close()
    }
  }

  @Test("Networks do not see each other's rows")
  func tailnets() async throws {
    try await withDirectory { directory in
      let store = try SQLiteStore(path: directory + "/control.sqlite")
      let user = User(id: UserID(1), name: "alice", created: Self.start.time)
      try await store.commit([.user(user)], to: .first)
      let other = try await store.load(TailnetID(2))
      #expect(other.users.isEmpty && other.lastUser == 1)
      try await store.commit([.userRemoved(UserID(1))], to: TailnetID(2))
      #expect(try await store.load(.first).users.count == 1)
      await store.close()
    }
  }

  @Test(
    "A file that is no sound database of ours is named and left as it is",
    arguments: Damage.allCases
  )
  func damage(kind: Damage) async throws {
    try await withDirectory { directory in
      let path = directory + "/control.sqlite"
      let store = try SQLiteStore(path: path)
      try await store.commit(try Self.everything().1, to: .first)
      await store.close()
      try kind.strike(path)
      let before = FileManager.default.contents(atPath: path)
      let error = await #expect(throws: StoreError.self) {
        let damaged = try SQLiteStore(path: path, mayCreate: false)
        _ = try await damaged.load(.first)
      }
      #expect(error?.kind == kind.expected, "\(kind): \(String(describing: error))")
      #expect(error?.message.isEmpty == false)
      #expect(FileManager.default.contents(atPath: path) == before, "\(kind)")
    }
  }

  enum Damage: CaseIterable, Sendable {
    case text
    case empty
    case missing
    case cut
    case overwritten
    case newer
    case foreign

    var expected: StoreError.Kind {
      switch self {
      case .text, .cut, .overwritten: .corrupted
      case .empty, .missing: .lost
      case .newer: .tooNew
      case .foreign: .foreign
      }
    }

    func strike(_ path: String) throws {
      for suffix in ["-wal", "-shm"] { try? FileManager.default.removeItem(atPath: path + suffix) }
      let whole = try #require(FileManager.default.contents(atPath: path))
      let url = URL(fileURLWithPath: path)
      switch self {
      case .text: try Data("not a database, whatever its name".utf8).write(to: url)
      case .empty: try Data().write(to: url)
      case .missing: try FileManager.default.removeItem(atPath: path)
      case .cut: try whole.prefix(whole.count / 2).write(to: url)
      case .overwritten:
        var bytes = whole
        for index in bytes.indices.dropFirst(4096) { bytes[index] = 0xA5 }
        try bytes.write(to: url)
      case .newer:
        var bytes = whole
        bytes[63] = 200
        try bytes.write(to: url)
      case .foreign:
        var bytes = whole
        bytes[63] = 0
        try bytes.write(to: url)
      }
    }
  }
}

/// Runs `body` with a directory that is gone afterwards.
func withDirectory<Result>(_ body: (String) async throws -> Result) async throws -> Result {
  let directory = NSTemporaryDirectory() + "/martlet-store-" + UUID().uuidString
  try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: directory) }
  return try await body(directory)
}
