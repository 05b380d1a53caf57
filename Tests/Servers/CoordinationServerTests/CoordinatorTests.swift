// SPDX-License-Identifier: Apache-2.0

import Coordination
import CoordinationStore
import Cryptography
import Synchronization
import Testing
import Timing

@testable import CoordinationServer

@Suite("The coordinator", .timeLimit(.minutes(10)))
struct CoordinatorTests {
  @Test("What the store refuses did not happen, and the network goes on with what it has")
  func refusedWrite() async throws {
    let store = FlakyStore()
    let coordinator = try await Coordinator(
      store: store,
      options: TailnetOptions(url: "http://127.0.0.1"),
      clock: { SystemClock.now() },
      logger: TestServer.silent
    )
    try await create("alice", in: coordinator)
    store.refuse(true)
    await #expect(throws: StoreError.self) { try await create("bob", in: coordinator) }
    store.refuse(false)
    while (try? await coordinator.check()) == nil, !Task.isCancelled { await Task.yield() }
    let names = await coordinator.read { tailnet, _ in tailnet.users.values.map(\.name) }
    #expect(names == ["alice"])
    try await create("bob", in: coordinator)
    #expect(store.users.map(\.name) == ["alice", "bob"])
  }

  @Test("Many who come while the store writes are written together")
  func batches() async throws {
    let store = FlakyStore()
    let coordinator = try await Coordinator(
      store: store,
      options: TailnetOptions(url: "http://127.0.0.1"),
      clock: { SystemClock.now() },
      logger: TestServer.silent
    )
    try await withThrowingTaskGroup(of: Void.self) { group in
      for number in 0..<200 {
        group.addTask { try await create("u\(number)", in: coordinator) }
      }
      try await group.waitForAll()
    }
    #expect(store.users.count == 200 && store.commits < 200)
  }

  private func create(_ name: String, in coordinator: Coordinator) async throws {
    _ = try await coordinator.perform { (tailnet, now, _, effects) throws(Refusal) in
      try tailnet.createUser(name: name, by: "test", at: now, into: &effects)
    }
  }
}

/// A store in memory that refuses when it is told to.
private final class FlakyStore: Store {
  private struct State {
    var users: [User] = []
    var commits = 0
    var refuses = false
  }

  private let state = Mutex(State())

  var users: [User] { state.withLock { $0.users } }
  var commits: Int { state.withLock { $0.commits } }

  func refuse(_ refuses: Bool) { state.withLock { $0.refuses = refuses } }

  func load(_ tailnet: TailnetID) async throws(StoreError) -> TailnetRecords {
    try await check()
    var records = TailnetRecords()
    records.users = users
    records.lastUser = users.map(\.id.rawValue).max() ?? 0
    return records
  }

  func commit(_ mutations: [Mutation], to tailnet: TailnetID) async throws(StoreError) {
    try await check()
    // Others come meanwhile, as they do while a disk works.
    for _ in 0..<20 { await Task.yield() }
    state.withLock { state in
      state.commits += 1
      for case .user(let user) in mutations { state.users.append(user) }
    }
  }

  func audit(_ tailnet: TailnetID, limit: Int) async throws(StoreError) -> [AuditEntry] { [] }

  func policies(_ tailnet: TailnetID, limit: Int) async throws(StoreError) -> [PolicyVersion] { [] }

  func check() async throws(StoreError) {
    guard !state.withLock({ $0.refuses }) else { throw StoreError(.failed, "The disk is full.") }
  }

  func close() async {}
}
