// SPDX-License-Identifier: Apache-2.0

import Packets
import Testing

@Suite("Bad packets from a peer")
struct BadPacketTests {
  @Test(
    "A bad packet in a train is a counted drop, and its neighbours arrive in order",
    arguments: Fault.fatal
  )
  func fatal(fault: Fault) throws {
    let peer = try RawPeer()
    var packets = (0..<4).map { fault.packet($0, from: peer.identity, to: peer.node) }
    fault.spoil(&packets[2])
    peer.arrive(try peer.sealed(packets), segmentSize: RawPeer.datagramSize)
    packets.remove(at: 2)
    #expect(peer.node.taken == packets)
    #expect(peer.node.fallenOff == 1)
  }

  @Test("A bad packet alone is a counted drop, and the next one arrives", arguments: Fault.fatal)
  func alone(fault: Fault) throws {
    let peer = try RawPeer()
    var packets = (0..<2).map { fault.packet($0, from: peer.identity, to: peer.node) }
    fault.spoil(&packets[0])
    for datagram in try peer.datagrams(packets) { peer.arrive(datagram) }
    #expect(peer.node.taken == [packets[1]])
    #expect(peer.node.fallenOff == 1)
  }

  @Test(
    "An odd packet in a train is handed on as it is, in its place, joined with nothing",
    arguments: Fault.odd
  )
  func odd(fault: Fault) throws {
    let peer = try RawPeer()
    var packets = (0..<4).map { fault.packet($0, from: peer.identity, to: peer.node) }
    fault.spoil(&packets[2])
    peer.arrive(try peer.sealed(packets), segmentSize: RawPeer.datagramSize)
    let alone = peer.node.delivered.filter { $0.header == .none }.map(\.bytes)
    #expect(alone.contains(packets[2]))
    #expect(peer.node.taken == packets)
    #expect(peer.node.fallenOff == 0)
  }

  @Test("Neighbours that are fit are joined although one between them is not")
  func stillJoined() throws {
    let peer = try RawPeer()
    let fault = Fault("version 5", tcp: true) { $0[0] = 0x55 }
    var packets = (0..<6).map { fault.packet($0, from: peer.identity, to: peer.node) }
    fault.spoil(&packets[5])
    peer.arrive(try peer.sealed(packets), segmentSize: RawPeer.datagramSize)
    #expect(peer.node.delivered.count == 1)
    #expect(peer.node.taken == Array(packets.dropLast()))
  }
}
