// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
import Keys
import Magicsock
import PacketFilter
import PacketPipeline
import Packets
import Testing
import Timing

@testable import WireGuard

@Suite("The journey to a plain WireGuard peer")
struct PlainPeerJourneyTests {
  private let known = Endpoint(IPAddress(192, 0, 2, 9), port: 51_820)
  private let other = Endpoint(IPAddress(198, 51, 100, 9), port: 51_820)

  @Test("A cookie reply does not move the path; what the session authenticates does")
  func roaming() throws {
    let node = Node(1)
    let peer = Node(2)
    var far = Tunnel(privateKey: peer.key, mtu: 1280, entropy: Entropy(seed: 77))
    var farEffects = WireGuard.Effects()
    var moment = Pipeline.Moment(
      now: Instant(nanoseconds: 1_000_000_000),
      wall: Timestamp(seconds: 1_800_000_000)
    )
    far.setPeer(
      node.id,
      PeerConfiguration(publicKey: node.key.publicKey, allowedIPs: [IPPrefix(host: node.v4)]),
      at: moment.now,
      into: &farEffects
    )
    var plain = peer.asPeer(endpoints: [known], home: nil)
    plain.path.isWireGuardOnly = true
    plain.path.discoKey = .zero
    node.pipeline.apply(
      PipelineConfiguration(
        nodeKey: node.key,
        addresses: [node.v4],
        peers: [peer.id: plain],
        filter: node.filter
      ),
      at: moment,
      into: &node.effects
    )
    node.effects.reset()

    /// What the node sends when its host has a packet, or when time has passed.
    func sent(_ act: (inout PipelineEffects) -> Void) -> [PipelineEffects.Message] {
      act(&node.effects)
      defer { node.effects.reset() }
      return node.effects.messages
    }
    func receive(_ bytes: [UInt8], from source: Endpoint) -> [PipelineEffects.Message] {
      var bytes = bytes
      return sent { effects in
        bytes.withPacketBytes {
          node.pipeline.inbound(
            $0,
            segmentSize: $0.count,
            from: .direct(source),
            at: moment,
            into: &effects
          )
        }
      }
    }

    let first = try #require(
      sent { effects in
        var packet = HostPacket.udp(from: node.v4, to: peer.v4, payload: [1]).packet
        packet.withPacketBytes {
          node.pipeline.outbound($0, offload: .none, at: moment, into: &effects)
        }
      }.first
    )
    #expect(first.destination == .direct(known))
    let cookie = HandshakeGate.reply(
      to: first.bytes,
      from: other.discoveryBytes,
      publicKey: peer.key.publicKey.raw,
      secret: Bytes32(loading: [UInt8](repeating: 1, count: 32).span),
      nonce: [UInt8](repeating: 2, count: 24)
    )
    #expect(receive(cookie, from: other).isEmpty)
    moment.now = moment.now + .seconds(6)
    moment.wall = moment.wall + .seconds(6)
    let again = try #require(
      sent { node.pipeline.handleTimeouts(at: moment, into: &$0) }.first
    )
    #expect(again.destination == .direct(known))
    #expect(again.bytes.suffix(16).contains { $0 != 0 })

    // The peer itself answers from elsewhere: that is authentic, and there it is from now on.
    var initiation = again.bytes
    // SAFETY: the array is alive and not looked at otherwise until the closure returns.
    _ = unsafe initiation.withUnsafeMutableBytes { datagram in
      unsafe far.receive(
        datagram,
        from: known.discoveryBytes,
        at: moment.now,
        timestamp: moment.wall,
        into: &farEffects
      )
    }
    let response = try #require(farEffects.sends.last)
    let confirmation = receive(response.bytes, from: other)
    #expect(!confirmation.isEmpty)
    #expect(confirmation.allSatisfy { $0.destination == .direct(other) })
  }
}
