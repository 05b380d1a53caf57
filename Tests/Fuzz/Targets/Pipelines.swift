// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Keys
import Magicsock
import PacketFilter
import PacketPipeline
import Packets
import Timing
import WireGuard

extension FuzzTarget {
  static let pipelines = [
    // Orders: odd ones are given the MAC that everybody can make who knows our public key.
    FuzzTarget("WireGuard", seeds: ["Corpora/WireGuard"]) { bytes in
      var world = TunnelWorld()
      world.receive(bytes)
      for (order, body) in Script(bytes).prefix(32) {
        world.receive(order.isMultiple(of: 2) ? body : introduced(body))
      }
      world.wait()
    },
    // Orders: 0 a datagram, 1 a packet that the peer sealed, 2 a packet of the host, 3 time passes,
    // 4 a packet that the peer sealed and that waits, 5 all that wait arrive together: one byte of
    // order, then the size of each; 0 for that of the first.
    FuzzTarget("Pipeline", cuts: 32) { bytes in _ = PipelineWorld.run(bytes) },
  ]
}

/// What a run of the target `Pipeline` came to.
struct PipelineReach {
  /// Packets given to the host as one.
  var joined = 0
  /// Packets that were cut out of the host's super-packets.
  var cut = 0
  /// Why packets fell off on the way in and on the way out.
  var inbound: Set<Counters.InboundDrop> = []
  var outbound: Set<Counters.OutboundDrop> = []
}

private let here = Endpoint(IPAddress(192, 0, 2, 1), port: 41_641)
private let there = Endpoint(IPAddress(192, 0, 2, 2), port: 51_820)
private let peer = PeerID(1)

private func secret(_ number: UInt64) -> NodePrivateKey {
  var entropy = Entropy(seed: number)
  return .generate(using: &entropy)
}

/// A handshake message with a valid MAC 1 and no cookie.
private func introduced(_ body: [UInt8]) -> [UInt8] {
  let key = BLAKE2s.hash(Array("mac1----".utf8), secret(1).publicKey.bytes)
  return body + BLAKE2s.mac(key: key, body) + [UInt8](repeating: 0, count: 16)
}

/// A tunnel that knows one peer.
private struct TunnelWorld: ~Copyable {
  private var tunnel = Tunnel(privateKey: secret(1), mtu: 1280, entropy: Entropy(seed: 9))
  private var effects = WireGuard.Effects()
  private var now = Instant(nanoseconds: 1_000_000_000)
  private let wall = Timestamp(seconds: 1_800_000_000)

  init() {
    tunnel.setPeer(
      peer,
      WireGuard.PeerConfiguration(
        publicKey: secret(2).publicKey,
        allowedIPs: [IPPrefix(host: IPAddress(100, 64, 0, 2))]
      ),
      at: now,
      into: &effects
    )
  }

  mutating func receive(_ bytes: [UInt8]) {
    var bytes = bytes
    // SAFETY: the array is alive and not looked at otherwise until the closure returns.
    unsafe bytes.withUnsafeMutableBytes { datagram in
      let received = unsafe tunnel.receive(
        datagram,
        from: there.discoveryBytes,
        at: now,
        timestamp: wall,
        into: &effects
      )
      if case .packet = received { fatalError("bytes of nobody were opened") }
    }
    effects.removeAll()
  }

  mutating func wait() {
    now = now + .seconds(200)
    tunnel.handleTimeouts(at: now, timestamp: wall, into: &effects)
  }
}

/// A pipeline, and a peer with a session who may put anything into the tunnel.
struct PipelineWorld: ~Copyable {
  private var pipeline: Pipeline
  private var attacker = Tunnel(privateKey: secret(2), mtu: 65_000, entropy: Entropy(seed: 10))
  private var attackerEffects = WireGuard.Effects()
  private var effects = PipelineEffects()
  private var moment = Pipeline.Moment(
    now: Instant(nanoseconds: 1_000_000_000),
    wall: Timestamp(seconds: 1_800_000_000)
  )
  private let own = IPAddress(100, 64, 0, 1)
  private let theirs = IPAddress(100, 64, 0, 2)
  private let own6 = IPAddress(high: 0xFD7A_115C_A1E0_0000, low: 1)
  private let theirs6 = IPAddress(high: 0xFD7A_115C_A1E0_0000, low: 2)
  /// Sealed datagrams that are to arrive together.
  private var train: [UInt8] = []
  private var firstOfTrain = 0
  private var reach = PipelineReach()

  /// Does what a script says, and tells how far that went.
  static func run(_ bytes: [UInt8]) -> PipelineReach {
    var world = PipelineWorld()
    for (order, body) in Script(bytes).prefix(64) { world.perform(order, body) }
    let counters = world.pipeline.counters
    world.reach.inbound.formUnion(counters.inboundDrops.keys)
    world.reach.outbound.formUnion(counters.outboundDrops.keys)
    return world.reach
  }

  init() {
    var entropy = Entropy(seed: 11)
    let disco = DiscoPrivateKey.generate(using: &entropy)
    pipeline = Pipeline(
      nodeKey: secret(1),
      discoKey: disco,
      mtu: 1280,
      joinsUDP: true,
      entropy: Entropy(seed: 12)
    )
    pipeline.apply(
      PipelineConfiguration(
        nodeKey: secret(1),
        addresses: [own, own6],
        peers: [
          peer: PipelineConfiguration.Peer(
            tunnel: WireGuard.PeerConfiguration(
              publicKey: secret(2).publicKey,
              allowedIPs: [IPPrefix(host: theirs), IPPrefix(host: theirs6)]
            ),
            path: PeerPathConfiguration(
              nodeKey: secret(2).publicKey,
              discoKey: .zero,
              endpoints: [there],
              isWireGuardOnly: true,
              addresses: [theirs, theirs6]
            ),
            addresses: [theirs, theirs6]
          )
        ],
        filter: Filter(
          localNetworks: [IPPrefix(host: own), IPPrefix(host: own6)],
          rules: [.allowAll]
        ),
        peerAPIPort: 4242
      ),
      at: moment,
      into: &effects
    )
    effects.reset()
    attacker.setPeer(
      peer,
      WireGuard.PeerConfiguration(
        publicKey: secret(1).publicKey,
        allowedIPs: [IPPrefix(host: own)]
      ),
      at: moment.now,
      into: &attackerEffects
    )
    shakeHands()
  }

  private mutating func shakeHands() {
    _ = attacker.beginSealing(
      peer,
      packets: 1,
      at: moment.now,
      timestamp: moment.wall,
      into: &attackerEffects
    )
    for send in attackerEffects.sends { receive(send.bytes) }
    attackerEffects.removeAll()
    for message in effects.messages {
      var bytes = message.bytes
      // SAFETY: the array is alive and not looked at otherwise until the closure returns.
      unsafe bytes.withUnsafeMutableBytes { datagram in
        _ = unsafe attacker.receive(
          datagram,
          from: here.discoveryBytes,
          at: moment.now,
          timestamp: moment.wall,
          into: &attackerEffects
        )
      }
    }
    // It confirms the session, so that this side may use it as well.
    for send in attackerEffects.sends { receive(send.bytes) }
    attackerEffects.removeAll()
    effects.reset()
  }

  mutating func perform(_ order: Int, _ body: [UInt8]) {
    switch order % 6 {
    case 0: receive(body)
    case 1: receive(sealed(body))
    case 2: send(body)
    case 4: wait(body)
    case 5:
      let size = body.prefix(2).reduce(0) { $0 << 8 | Int($1) }
      receive(train, segmentSize: size > 0 ? size : firstOfTrain)
      train = []
    default:
      let pause = Duration.milliseconds(Int64(body.first ?? 0) * 100)
      moment = Pipeline.Moment(now: moment.now + pause, wall: moment.wall + pause)
      pipeline.handleTimeouts(at: moment, into: &effects)
    }
    effects.reset()
  }

  /// `plaintext` in a message of the session; the handshake must have worked.
  private mutating func sealed(_ plaintext: [UInt8]) -> [UInt8] {
    guard
      let run = attacker.beginSealing(
        peer,
        packets: 1,
        at: moment.now,
        timestamp: moment.wall,
        into: &attackerEffects
      )
    else {
      claim(moment.now > Instant(nanoseconds: 100_000_000_000), "the peer has no session")
      return []
    }
    attackerEffects.removeAll()
    var buffer = [UInt8](repeating: 0, count: 16) + plaintext + [UInt8](repeating: 0, count: 16)
    // SAFETY: the buffer has room for header and tag around the plaintext.
    unsafe buffer.withUnsafeMutableBytes { bytes in
      guard let base = bytes.baseAddress else { return }
      unsafe attacker.seal(run, index: 0, buffer: base, plaintextCount: plaintext.count)
    }
    return buffer
  }

  /// Seals a packet that arrives later, with others.
  private mutating func wait(_ plaintext: [UInt8]) {
    let datagram = sealed(plaintext)
    // No kernel hands over more at a time.
    guard train.count + datagram.count <= 65_535 else { return }
    if train.isEmpty { firstOfTrain = datagram.count }
    train += datagram
  }

  private mutating func receive(_ bytes: [UInt8], segmentSize: Int? = nil) {
    var bytes = bytes
    bytes.withPacketBytes { buffer in
      pipeline.inbound(
        buffer,
        segmentSize: segmentSize ?? buffer.count,
        from: .direct(there),
        at: moment,
        into: &effects
      )
      for delivery in effects.deliveries {
        let packet = effects.pieces[delivery.pieces].flatMap(\.array)
        var copy = packet
        let source = copy.withPacketBytes { PacketView($0).source }
        claim(source == theirs || source == theirs6, "a packet from \(source) was delivered")
        guard delivery.header != .none else { continue }
        let packets = effects.packets(of: delivery)
        claim(packets.count > 1, "a super-packet of one packet")
        reach.joined += packets.count
      }
    }
  }

  private mutating func send(_ bytes: [UInt8]) {
    var bytes = bytes
    bytes.withPacketBytes { buffer in
      guard let offload = OffloadHeader(buffer) else { return }
      let packet = buffer.slice(OffloadHeader.size..<buffer.count)
      pipeline.outbound(packet, offload: offload, at: moment, into: &effects)
      for train in effects.trains {
        claim(train.count * train.segmentSize >= train.range.count, "a train that is cut")
        reach.cut += train.count > 1 ? train.count : 0
      }
    }
  }
}
