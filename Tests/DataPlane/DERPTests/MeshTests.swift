// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Testing
import Timing

@testable import DERP

@Suite("Mesh") struct MeshTests {
  let alice = someKey(1).publicKey
  let bob = someKey(2).publicKey
  let other = someKey(9).publicKey

  @Test("A relay that watches is told of everybody who is here, who comes, and who goes for good")
  func watching() throws {
    let relay = RelayWorld()
    let (a, mesh) = (relay.add(alice), relay.add(other, isMesh: true))
    try mesh.say(.watchConnections)
    let first = try mesh.received().compactMap { frame -> [NodeKey: UInt8]? in
      if case .peerPresent(let key, _, let flags) = frame { [key: flags] } else { nil }
    }
    #expect(Set(first) == [[alice: 1], [other: 2]])
    let again = relay.add(alice)
    let b = relay.add(bob)
    a.leave()
    b.leave()
    let later = try mesh.received()
    #expect(
      later == [
        .peerPresent(alice, nil, flags: 1), .peerPresent(bob, nil, flags: 1),
        .peerGone(bob, .disconnected),
      ]
    )
    again.leave()
    #expect(try mesh.received() == [.peerGone(alice, .disconnected)])
    mesh.leave()
    #expect(relay.board.population.watchers == 0)
  }

  @Test("A packet for a client of another relay is passed on; a client of our own comes first")
  func forwarding() throws {
    let relay = RelayWorld()
    let a = relay.add(alice)
    let (first, second) = (FakeConnection(), FakeConnection())
    let one = relay.board.addForwarder(first)
    let two = relay.board.addForwarder(second)
    relay.board.add(bob, at: two, into: &relay.effects)
    relay.board.add(bob, at: one, into: &relay.effects)
    try a.send([1], to: bob)
    #expect(try taken(one, relay) == [.forwardPacket(from: alice, to: bob, [1])])
    relay.board.remove(bob, at: one, now: relay.now, into: &relay.effects)
    try a.send([2], to: bob)
    #expect(try taken(two, relay) == [.forwardPacket(from: alice, to: bob, [2])])
    let b = relay.add(bob)
    try a.send([3], to: bob)
    #expect(try b.received() == [.receivePacket(from: alice, [3])])
    b.leave()
    try a.send([4], to: bob)
    #expect(try taken(two, relay) == [.forwardPacket(from: alice, to: bob, [4])])
    relay.board.remove(two, at: relay.now, into: &relay.effects)
    try a.send(discoPacket, to: bob)
    #expect(try a.received() == [.peerGone(bob, .notHere)])
    #expect(relay.board.counters.forwardedOut == 3)
    #expect(relay.board.counters.severalForwarders == 1)
  }

  private func taken(_ forwarder: MeshForwarder, _ relay: RelayWorld) throws -> [Frame] {
    var (output, counts) = ([UInt8](), RelayCounters())
    _ = forwarder.takeOutput(upTo: .max, at: relay.now, into: &output, &counts)
    relay.board.add(counts)
    var decoder = FrameDecoder(for: .relay)
    decoder.append(output)
    var frames: [Frame] = []
    while let frame = try decoder.next() { frames.append(frame) }
    return frames
  }

  @Test("What another relay passed on is delivered here or dropped, and never passed on again")
  func noCircles() throws {
    let relay = RelayWorld()
    let (b, mesh) = (relay.add(bob), relay.add(other, isMesh: true))
    let carol = someKey(3).publicKey
    let forwarder = relay.board.addForwarder(FakeConnection())
    relay.board.add(carol, at: forwarder, into: &relay.effects)
    try mesh.say(.forwardPacket(from: alice, to: bob, [1]))
    try mesh.say(.forwardPacket(from: alice, to: carol, [2]))
    try mesh.say(.forwardPacket(from: alice, to: carol, discoPacket))
    #expect(try b.received() == [.receivePacket(from: alice, [1])])
    #expect(try taken(forwarder, relay).isEmpty)
    #expect(try mesh.received() == [.peerGone(carol, .notHere)])
    let dropped = relay.board.counters.dropped
    #expect(dropped.packets(for: .unknownDestinationOnForward) == 2)
  }

  @Test("Who heard from a client of another relay is told when it is nowhere any more")
  func remoteDeparture() throws {
    let relay = RelayWorld()
    let (b, mesh) = (relay.add(bob), relay.add(other, isMesh: true))
    let one = relay.board.addForwarder(FakeConnection())
    let two = relay.board.addForwarder(FakeConnection())
    for forwarder in [one, two] { relay.board.add(alice, at: forwarder, into: &relay.effects) }
    for _ in 0..<3 { try mesh.say(.forwardPacket(from: alice, to: bob, [1])) }
    _ = try b.received()
    relay.board.remove(alice, at: one, now: relay.now, into: &relay.effects)
    relay.settle()
    #expect(try b.received().isEmpty)
    relay.board.remove(two, at: relay.now, into: &relay.effects)
    relay.settle()
    #expect(try b.received() == [.peerGone(alice, .disconnected)])
  }

  @Test("A client that moved to another relay of the mesh is not told to be gone")
  func moved() throws {
    let relay = RelayWorld()
    let (a, b) = (relay.add(alice), relay.add(bob))
    try a.send([1], to: bob)
    _ = try b.received()
    let forwarder = relay.board.addForwarder(FakeConnection())
    relay.board.add(alice, at: forwarder, into: &relay.effects)
    a.leave()
    #expect(try b.received().isEmpty)
    relay.board.remove(alice, at: forwarder, now: relay.now, into: &relay.effects)
    relay.settle()
    #expect(try b.received() == [.peerGone(alice, .disconnected)])
  }

  @Test("A relay may end the connections of a client, all of them")
  func closing() throws {
    let relay = RelayWorld()
    let (one, two, mesh) = (relay.add(alice), relay.add(alice), relay.add(other, isMesh: true))
    try mesh.say(.closePeer(alice))
    #expect(one.ends == [.asked])
    #expect(two.ends == [.asked])
  }

  @Test("The secret of a mesh is compared whole, and zeros are none")
  func meshKeys() {
    let zeros = String(repeating: "0", count: 64)
    let (one, two) = (MeshKey("1" + zeros.dropLast()), MeshKey(zeros.dropLast() + "1"))
    #expect(one == MeshKey("1" + zeros.dropLast()))
    #expect(one != two)
    #expect(MeshKey(zeros) == nil)
    let info = ClientInfo(json: Array("{\"meshKey\":\"\(zeros)\",\"version\":2}".utf8))
    #expect(info?.version == 2)
    #expect(info?.meshKey == nil)
    #expect(MeshKey("12") == nil)
    #expect(one.map { "\($0)" } == "meshkey:[redacted]")
  }

  @Test("A relay finds that it was told to mesh with itself")
  func itself() throws {
    let relay = RelayWorld()
    let forwarder = relay.board.addForwarder(FakeConnection())
    let mesh = try #require(MeshKey(String(repeating: "7", count: 64)))
    var session = MeshSession(
      privateKey: someKey(9),
      meshKey: mesh,
      forwarder: forwarder,
      entropy: Entropy(seed: 1)
    )
    #expect(throws: MeshSession.Failure.itself) {
      try session.receive(
        Frame.serverKey(other).bytes,
        at: relay.now,
        on: relay.board,
        into: &relay.effects
      )
    }
  }
}
