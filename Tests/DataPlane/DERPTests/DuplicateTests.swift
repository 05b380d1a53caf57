// SPDX-License-Identifier: Apache-2.0

import Keys
import Testing
import Timing

@testable import DERP

@Suite("Duplicate clients") struct DuplicateTests {
  let alice = someKey(1).publicKey
  let bob = someKey(2).publicKey

  private func packets(_ client: FakeClient) throws -> Int {
    try client.received().count { if case .receivePacket = $0 { true } else { false } }
  }

  @Test("Of two connections with one key the newest gets the packets, until the other speaks")
  func lastWriter() throws {
    let relay = RelayWorld()
    let (old, sender) = (relay.add(alice), relay.add(bob))
    try sender.send([0], to: alice)
    #expect(try packets(old) == 1)
    let new = relay.add(alice)
    try sender.send([1], to: alice)
    #expect(try packets(old) == 0)
    #expect(try packets(new) == 1)
    try old.say(.pong(1))
    try sender.send([2], to: alice)
    #expect(try packets(old) == 1)
    #expect(try packets(new) == 0)
    #expect(relay.board.counters.duplicates == 1)
    #expect(relay.board.population.duplicateConnections == 2)
    #expect(relay.board.population.duplicateKeys == [alice])
  }

  @Test("When one of two goes, the other gets the packets, whichever it is", arguments: [0, 1])
  func survivor(_ leaver: Int) throws {
    let relay = RelayWorld()
    let (sender, pair) = (relay.add(bob), [relay.add(alice), relay.add(alice)])
    try sender.send([1], to: alice)
    pair[leaver].leave()
    try sender.send([2], to: alice)
    #expect(try pair[1 - leaver].received().last == .receivePacket(from: bob, [2]))
    #expect(relay.board.population.duplicateConnections == 0)
    #expect(relay.board.counters.clients == 2)
  }

  @Test("Nobody is told that a key is gone while one of its connections remains; then all are")
  func departureOfTheLast() throws {
    let relay = RelayWorld()
    let (old, new, friend) = (relay.add(alice), relay.add(alice), relay.add(bob))
    try old.send([1], to: bob)
    _ = try friend.received()
    old.leave()
    #expect(try friend.received().isEmpty)
    new.leave()
    #expect(try friend.received() == [.peerGone(alice, .disconnected)])
  }

  @Test(
    "Connections that fight about a key lose its packets and are told; one that remains recovers"
  )
  func fighters() throws {
    let relay = RelayWorld(duplicates: .disableFighters)
    let (one, two, sender) = (relay.add(alice), relay.add(alice), relay.add(bob))
    try one.say(.pong(1))
    try two.say(.pong(1))
    try sender.send([1], to: alice)
    #expect(try packets(two) == 1)
    try one.say(.pong(1))
    try sender.send([2], to: alice)
    for client in [one, two] {
      let frames = try client.received()
      #expect(frames.count == 1)
      if case .health(let text) = frames.first {
        #expect(text.contains("neither"))
      } else {
        Issue.record("no word about its health")
      }
    }
    #expect(relay.board.counters.dropped.packets(for: .duplicateClient) == 1)
    two.leave()
    try sender.send([3], to: alice)
    #expect(try one.received() == [.health(""), .receivePacket(from: bob, [3])])
  }

  @Test("A new connection is nobody's fight and gets the packets")
  func newcomer() throws {
    let relay = RelayWorld(duplicates: .disableFighters)
    let (one, two, sender) = (relay.add(alice), relay.add(alice), relay.add(bob))
    for client in [one, two, one] { try client.say(.pong(1)) }
    let three = relay.add(alice)
    try sender.send([1], to: alice)
    #expect(try packets(three) == 1)
  }

  @Test("One key has at most so many connections; the oldest makes room")
  func bounded() throws {
    let relay = RelayWorld()
    let clients = (0...RelayPeers.maximumConnections).map { _ in relay.add(alice) }
    #expect(clients[0].ends == [.tooManyDuplicates])
    #expect(clients[1].ends.isEmpty)
    let sender = relay.add(bob)
    try clients[0].send([1], to: bob)
    clients[0].leave()
    for client in clients.dropFirst() { client.leave() }
    #expect(try sender.received().contains(.peerGone(alice, .disconnected)))
    #expect(relay.board.counters.clients == 1)
    #expect(relay.board.population.connections == 1)
  }

  @Test("Packets that waited for a connection that goes are counted as lost")
  func lost() throws {
    let relay = RelayWorld()
    let (target, sender) = (relay.add(alice), relay.add(bob))
    try sender.send([1], to: alice)
    try sender.send(discoPacket, to: alice)
    target.leave()
    let dropped = relay.board.counters.dropped
    #expect(dropped.packets(for: .goneDisconnected, isDisco: true) == 1)
    #expect(dropped.packets(for: .goneDisconnected, isDisco: false) == 1)
  }
}
