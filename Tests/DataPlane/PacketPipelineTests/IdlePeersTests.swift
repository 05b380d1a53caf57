// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import Glibc
import Keys
import Magicsock
import PacketPipeline
import Packets
import TestSupport
import Testing
import Timing
import WireGuard

@Suite("Many peers, hardly any of which talks")
struct IdlePeersTests {
  static let count = 5000

  @Test("An idle peer takes at most 1,024 bytes, what is remembered to compare with among them")
  func memory() async {
    // In a process of its own, where nobody else allocates.
    await #expect(processExitsWith: .success) {
      var tailnet = Tailnet()
      let before = allocatedBytes()
      tailnet.tell(peers: IdlePeersTests.count)
      let bytes = (allocatedBytes() - before) / IdlePeersTests.count
      // Used once more, so that it is still there when it is measured.
      let awake = tailnet.pipeline.activity.inTunnel
      #expect(bytes <= 1024, "an idle peer takes \(bytes) bytes")
      #expect(bytes > 100 && awake == 0, "nothing was measured")
      exit(bytes <= 1024 && bytes > 100 ? 0 : 1)
    }
  }

  @Test("A change of one peer touches that peer alone, and wakes nobody")
  func oneChanges() {
    var tailnet = Tailnet()
    tailnet.tell(peers: Self.count)
    let before = tailnet.pipeline.counters.peersReconfigured
    tailnet.tell(peers: Self.count) { number, peer in
      if number == 77 { peer.path.endpoints = [] }
    }
    tailnet.tell(peers: Self.count - 1) { number, peer in
      if number == 77 { peer.path.endpoints = [] }
    }
    let touched = tailnet.pipeline.counters.peersReconfigured - before
    let activity = tailnet.pipeline.activity
    #expect(touched == 2)
    #expect(activity.inTunnel == 0 && activity.inPaths == 0)
  }

  @Test("Of idle peers none is looked at when time passes, of a busy one only that one")
  func timeouts() {
    var tailnet = Tailnet()
    tailnet.tell(peers: Self.count)
    tailnet.runTimers(for: .seconds(60))
    let idle = tailnet.pipeline.activity
    #expect(idle.calls == 0)
    tailnet.send(to: 77)
    let awake = tailnet.pipeline.activity
    #expect(awake.inTunnel == 1 && awake.inPaths == 1)
    tailnet.runTimers(for: .seconds(60))
    let busy = tailnet.pipeline.activity
    // Retransmitted initiations, heartbeats, pings that nobody answers.
    #expect(busy.calls > 10 && busy.calls < 100)
    tailnet.runTimers(for: .seconds(3600))
    let later = tailnet.pipeline.activity
    #expect(later.inTunnel == 0 && later.inPaths == 0)
    #expect(later.calls - busy.calls < 100)
    let next = tailnet.pipeline.nextTimeout
    #expect(next == nil)
  }

  @Test("Of two peers with one key the lower number counts, and the other when that one goes")
  func sharedKey() {
    var tailnet = Tailnet()
    let shared = Tailnet.peer(1).tunnel.publicKey
    tailnet.tell(peers: 2) { _, peer in
      (peer.tunnel.publicKey, peer.path.nodeKey) = (shared, shared)
    }
    let first = tailnet.pipeline.status(at: tailnet.moment.now).peers.keys.sorted()
    #expect(first == [PeerID(1)])
    tailnet.tell(peers: 2, from: 2) { _, peer in
      (peer.tunnel.publicKey, peer.path.nodeKey) = (shared, shared)
    }
    let second = tailnet.pipeline.status(at: tailnet.moment.now).peers.keys.sorted()
    #expect(second == [PeerID(2)])
  }
}

/// One node and what it is told of many others.
struct Tailnet: ~Copyable {
  var pipeline: Pipeline
  var effects = PipelineEffects()
  var told = ToldConfiguration()
  var moment = Pipeline.Moment(
    now: Instant(nanoseconds: 1_000_000_000),
    wall: Timestamp(seconds: 1_800_000_000)
  )
  let key: NodePrivateKey

  init() {
    var entropy = Entropy(seed: 1)
    key = NodePrivateKey.generate(using: &entropy)
    pipeline = Pipeline(
      nodeKey: key,
      discoKey: .generate(using: &entropy),
      mtu: 1280,
      joinsUDP: true,
      entropy: entropy
    )
  }

  static func peer(_ number: Int) -> PipelineConfiguration.Peer {
    var entropy = Entropy(seed: UInt64(number) << 8)
    let key = NodeKey(bytes: entropy.bytes(32)) ?? .zero
    let addresses = [
      IPAddress(v4: 0x6440_0000 + UInt32(number)),
      IPAddress(high: 0xFD7A_115C_A1E0_0000, low: UInt64(number) << 20),
    ]
    return PipelineConfiguration.Peer(
      tunnel: PeerConfiguration(publicKey: key, allowedIPs: addresses.map { IPPrefix(host: $0) }),
      path: PeerPathConfiguration(
        nodeKey: key,
        discoKey: DiscoKey(bytes: entropy.bytes(32)) ?? .zero,
        endpoints: (0..<3).map { Endpoint(IPAddress(v4: 0xC000_0200 + $0), port: 41_641) },
        homeRegion: RegionID(1),
        addresses: addresses
      ),
      addresses: addresses
    )
  }

  mutating func tell(
    peers last: Int,
    from first: Int = 1,
    _ adapt: (Int, inout PipelineConfiguration.Peer) -> Void = { _, _ in }
  ) {
    var configuration = PipelineConfiguration(nodeKey: key, addresses: [IPAddress(100, 64, 0, 0)])
    for number in first...last {
      var peer = Self.peer(number)
      adapt(number, &peer)
      configuration.peers[PeerID(Int64(number))] = peer
    }
    pipeline.apply(told.change(to: configuration), at: moment, into: &effects)
    effects = PipelineEffects()
  }

  /// The host sends a packet to a peer.
  mutating func send(to number: Int) {
    var packet = IPPacket.build(
      from: IPAddress(100, 64, 0, 0),
      to: IPAddress(v4: 0x6440_0000 + UInt32(number)),
      proto: .udp,
      payload: [0, 1, 0, 2, 0, 8, 0, 0]
    )
    packet.withPacketBytes {
      pipeline.outbound($0, offload: .none, at: moment, into: &effects)
    }
    effects = PipelineEffects()
  }

  /// Lets time pass and does what becomes due.
  mutating func runTimers(for duration: Duration) {
    let end = moment.now + duration
    while let next = pipeline.nextTimeout, next <= end {
      moment.now = max(next, moment.now)
      pipeline.handleTimeouts(at: moment, into: &effects)
      effects = PipelineEffects()
    }
    moment.now = end
  }
}
