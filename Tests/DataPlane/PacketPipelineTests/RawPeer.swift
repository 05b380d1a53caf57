// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Keys
import Magicsock
import PacketPipeline
import Packets
import Testing
import Timing

@testable import WireGuard

/// A peer of a node that seals whatever it is given, which no pipeline would let out.
final class RawPeer {
  /// The node, and who it takes this peer for.
  let node = Node(1)
  let identity = Node(2)
  /// Every packet is padded to this length, so that a train of them has one size.
  static let padded = 1248
  static let datagramSize = padded + 32
  private var tunnel: Tunnel
  private var effects = WireGuard.Effects()
  private let moment = Pipeline.Moment(
    now: Instant(nanoseconds: 1_000_000_000),
    wall: Timestamp(seconds: 1_800_000_000)
  )

  /// A peer with a session.
  init() throws {
    tunnel = Tunnel(privateKey: identity.key, mtu: 1280, entropy: Entropy(seed: 77))
    tunnel.setPeer(
      node.id,
      PeerConfiguration(publicKey: node.key.publicKey, allowedIPs: [IPPrefix(host: node.v4)]),
      at: moment.now,
      into: &effects
    )
    node.pipeline.apply(
      PipelineConfiguration(
        nodeKey: node.key,
        addresses: [node.v4, node.v6],
        peers: [identity.id: Self.plain(identity)],
        filter: node.filter
      ),
      at: moment,
      into: &node.effects
    )
    node.effects.reset()
    let early = begin(1)
    #expect(early == nil)
    let initiation = try #require(effects.sends.last)
    let response = try #require(arrive(initiation.bytes).first { $0.bytes[0] == 2 })
    var bytes = response.bytes
    // SAFETY: the array is alive and not looked at otherwise until the closure returns.
    _ = unsafe bytes.withUnsafeMutableBytes { datagram in
      unsafe tunnel.receive(
        datagram,
        from: node.endpoint.discoveryBytes,
        at: moment.now,
        timestamp: moment.wall,
        into: &effects
      )
    }
  }

  /// A peer that speaks WireGuard alone, so that its endpoint counts without having been found.
  private static func plain(_ peer: Node) -> PipelineConfiguration.Peer {
    var told = peer.asPeer(endpoints: [peer.endpoint], home: nil)
    told.path = PeerPathConfiguration(
      nodeKey: peer.key.publicKey,
      discoKey: .zero,
      endpoints: [peer.endpoint],
      isWireGuardOnly: true,
      addresses: [peer.v4, peer.v6]
    )
    return told
  }

  private func begin(_ count: Int) -> SealingRun? {
    tunnel.beginSealing(
      node.id,
      packets: count,
      at: moment.now,
      timestamp: moment.wall,
      into: &effects
    )
  }

  /// Packets as a train of datagrams of one size.
  func sealed(_ packets: [[UInt8]]) throws -> [UInt8] {
    try datagrams(packets).flatMap { $0 }
  }

  /// Packets as datagrams of one size.
  func datagrams(_ packets: [[UInt8]]) throws -> [[UInt8]] {
    let run = try #require(begin(packets.count))
    return packets.enumerated().map { index, packet in
      let filling = [UInt8](repeating: 0, count: Self.padded - packet.count + 16)
      var datagram = [UInt8](repeating: 0, count: 16) + packet + filling
      // SAFETY: header, padded packet and tag fit the array.
      unsafe datagram.withUnsafeMutableBytes { bytes in
        guard let base = bytes.baseAddress else { return }
        unsafe tunnel.seal(run, index: index, buffer: base, plaintextCount: Self.padded)
      }
      return datagram
    }
  }

  /// Gives the node datagrams that arrive together; what it delivers is kept in `node.delivered`.
  ///
  /// - Returns: What the node answers.
  @discardableResult
  func arrive(_ bytes: [UInt8], segmentSize: Int? = nil) -> [PipelineEffects.Message] {
    var bytes = bytes
    bytes.withPacketBytes { buffer in
      node.pipeline.inbound(
        buffer,
        segmentSize: segmentSize ?? buffer.count,
        from: .direct(identity.endpoint),
        at: moment,
        into: &node.effects
      )
      for delivery in node.effects.deliveries {
        let pieces = node.effects.pieces[delivery.pieces]
        node.delivered.append((delivery.header, pieces.flatMap(\.array)))
      }
    }
    let messages = node.effects.messages
    node.delivered += node.effects.hostPackets.map { (OffloadHeader.none, $0) }
    node.effects.reset()
    return messages
  }
}
