// SPDX-License-Identifier: Apache-2.0

import CommandLine
import HostIO
import JSON
import Timing

/// The phases of the load.
struct ControlLoad {
  /// How long a phase may last.
  static let patience = Duration.seconds(900)
  /// How long nothing must be received for the server to count as settled.
  static let pause = Duration.seconds(2)

  let shape: ControlShape
  let server: ControlTarget
  let board: ControlBoard
  let nodes: [SimulatedNode]

  init(shape: ControlShape, server: ControlTarget) {
    (self.shape, self.server) = (shape, server)
    let board = ControlBoard(nodes: shape.nodes)
    self.board = board
    nodes = (0..<shape.nodes).map { SimulatedNode($0, server: server, board: board) }
  }

  /// Makes users, keys and the policy, then lets all nodes join, some at once.
  func join(atOnce places: Int) async throws -> ControlFigures {
    var figures = ControlFigures()
    figures.add("idleMegabytes", server.megabytes("VmRSS:"))
    for user in 0..<ControlShape.users {
      try await server.call("POST", "user", ["name": .string(ControlShape.user(user))])
    }
    try await server.call("PUT", "policy", ["policy": .string(shape.policy(touchedPort: 22))])
    var (userKeys, tagKeys): ([String], [String]) = ([], [])
    for user in 0..<ControlShape.users {
      userKeys.append(try await server.key(user: ControlShape.user(user), tag: nil))
    }
    for tag in 0..<ControlShape.tags {
      tagKeys.append(try await server.key(user: nil, tag: ControlShape.tag(tag)))
    }
    let start = MonotonicClock.now()
    let processor = server.processorSeconds
    let (users, tags) = (userKeys, tagKeys)
    try await each(places) { node in
      let owner = shape.owner(of: node.number)
      try await node.join(with: owner.tag.map { tags[$0] } ?? users[owner.user])
    }
    try await board.waitForMaps(shape.nodes, within: Self.patience)
    figures.add("joinedSeconds", (MonotonicClock.now() - start).inSeconds)
    try await board.waitForQuiet(Self.pause, within: Self.patience)
    figures.add("settledSeconds", (board.latest - start).inSeconds)
    figures.add("processorSeconds", server.processorSeconds - processor)
    figures.add("residentMegabytes", server.megabytes("VmRSS:"))
    return figures
  }

  /// One node after the other tells another endpoint, which all others have to hear of.
  func changeEndpoints(rounds: Int) async throws -> ControlFigures {
    var figures = ControlFigures()
    var times: [Duration] = []
    let processor = server.processorSeconds
    for round in 0..<rounds {
      let node = nodes[(round * 7919 + 13) % nodes.count]
      let port = UInt16(20_000 + round)
      board.expect(node.endpoint(port: port))
      let start = MonotonicClock.now()
      try await node.tell(port: port)
      try await board.waitForArrivals(nodes.count - 1, within: Self.patience)
      times += board.arrivals(since: start)
      // Each round finds the server at rest, as a change in a quiet network does.
      try await board.waitForQuiet(.milliseconds(200), within: Self.patience)
    }
    figures.add(times: times)
    figures.add(
      "processorMillisecondsEach",
      (server.processorSeconds - processor) * 1000 / Double(rounds)
    )
    return figures
  }

  /// Changes a rule about one tag, and reads how much was worked out anew.
  func changePolicy() async throws -> ControlFigures {
    var figures = ControlFigures()
    try await board.waitForQuiet(Self.pause, within: Self.patience)
    let before = try await server.call("GET", "policy/counters")
    let (start, processor, messages) = (
      MonotonicClock.now(), server.processorSeconds, board.messages
    )
    try await server.call("PUT", "policy", ["policy": .string(shape.policy(touchedPort: 2222))])
    figures.add("setMilliseconds", (MonotonicClock.now() - start).inMilliseconds)
    try await Task.sleep(for: Self.pause)
    try await board.waitForQuiet(Self.pause, within: Self.patience)
    figures.add("processorMilliseconds", (server.processorSeconds - processor) * 1000)
    let after = try await server.call("GET", "policy/counters")
    for name in ["examined", "changed"] {
      let difference = (after[name]?.int64 ?? 0) - (before[name]?.int64 ?? 0)
      figures.add(name, Double(difference))
    }
    figures.add("nodesOfTag", Double(shape.nodesOfTag))
    figures.add("messages", Double(board.messages - messages))
    return figures
  }

  /// Cuts every connection, then has all nodes come back at once.
  func reconnect() async throws -> ControlFigures {
    var figures = ControlFigures()
    for node in nodes { await node.cut() }
    // The server tells nobody of absences this short; it has to have seen them.
    try await Task.sleep(for: .seconds(2))
    board.expectMaps()
    let (start, processor) = (MonotonicClock.now(), server.processorSeconds)
    try await each(nodes.count) { try await $0.comeBack() }
    try await board.waitForMaps(nodes.count, within: Self.patience)
    let mapped = board.maps(since: start)
    try await board.waitForQuiet(Self.pause, within: Self.patience)
    figures.add(times: mapped)
    figures.add("settledSeconds", (board.latest - start).inSeconds)
    figures.add("processorSeconds", server.processorSeconds - processor)
    figures.add("residentMegabytes", server.megabytes("VmRSS:"))
    figures.add("mapKilobytes", Double(board.mapBytes) / 1024 / Double(nodes.count))
    figures.add("fewestPeers", Double(board.fewestPeers ?? -1))
    return figures
  }

  func end() async { for node in nodes { await node.cut() } }

  /// Does something with every node, with some at once.
  private func each(
    _ places: Int,
    _ work: @escaping @Sendable (SimulatedNode) async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for (index, node) in nodes.enumerated() {
        if index >= places { try await group.next() }
        group.addTask { try await work(node) }
      }
      try await group.waitForAll()
    }
  }
}
