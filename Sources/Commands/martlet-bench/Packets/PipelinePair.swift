// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import Cryptography
import Keys
import Magicsock
import PacketFilter
import PacketPipeline
import Packets
import Timing
import WireGuard

/// Two nodes in one memory, without hosts or sockets: what `martlet-bench packets` drives.
struct PipelinePair: ~Copyable {
  /// One node: its pipeline, and what it asks for.
  struct Node: ~Copyable {
    let id: PeerID
    let key: NodePrivateKey
    let disco: DiscoPrivateKey
    let endpoint: Endpoint
    let addresses: Addresses
    var pipeline: Pipeline
    var effects = PipelineEffects()

    init(_ number: UInt8) {
      var entropy = Entropy(seed: UInt64(number) * 1000)
      id = PeerID(Int64(number))
      key = NodePrivateKey.generate(using: &entropy)
      disco = DiscoPrivateKey.generate(using: &entropy)
      endpoint = Endpoint(IPAddress(192, 0, 2, number), port: 41_641)
      addresses = Addresses(
        v4: IPAddress(100, 64, 0, number),
        v6: IPAddress(high: 0xFD7A_115C_A1E0_0000, low: UInt64(number))
      )
      pipeline = Pipeline(
        nodeKey: key,
        discoKey: disco,
        mtu: 1280,
        joinsUDP: true,
        entropy: Entropy(seed: UInt64(number))
      )
    }

    /// What the other is told about this one.
    var asPeer: PipelineConfiguration.Peer {
      PipelineConfiguration.Peer(
        tunnel: PeerConfiguration(publicKey: key.publicKey, allowedIPs: hosts),
        path: PeerPathConfiguration(
          nodeKey: key.publicKey,
          discoKey: disco.publicKey,
          endpoints: [endpoint],
          homeRegion: nil
        ),
        addresses: [addresses.v4, addresses.v6]
      )
    }

    var hosts: [IPPrefix] { [IPPrefix(host: addresses.v4), IPPrefix(host: addresses.v6)] }
  }

  /// A datagram under way, before there is a session.
  private struct Flight {
    var bytes: [UInt8]
    var isToFirst: Bool
  }

  /// How long a packet takes, as far as the pipelines know.
  private static let step = Duration.microseconds(1)

  private var sender = Node(1)
  private var receiver = Node(2)
  private var moment = Pipeline.Moment(
    now: Instant(nanoseconds: 1_000_000_000),
    wall: Timestamp(seconds: 1_800_000_000)
  )

  /// A pair that has found each other and holds a session.
  init() throws(CommandError) {
    let (first, second) = (sender.asPeer, receiver.asPeer)
    Self.configure(&sender, with: (receiver.id, second), at: moment)
    Self.configure(&receiver, with: (sender.id, first), at: moment)
    // Now and then the clock has to move: discovery answers, and keepalives, go by timers.
    for _ in 0..<4 {
      greet()
      settle()
      moment.now = moment.now + .milliseconds(50)
    }
    sender.effects.reset()
    greet()
    guard sender.effects.trains.count == 1 else {
      throw CommandError("the two pipelines did not find each other")
    }
    settle()
  }

  private static func configure(
    _ node: inout Node,
    with peer: (id: PeerID, configuration: PipelineConfiguration.Peer),
    at moment: Pipeline.Moment
  ) {
    let network = LocalNetwork(addresses: [node.endpoint.address], portV4: 41_641, portV6: nil)
    node.pipeline.withPaths(at: moment, into: &node.effects) { paths, now, effects in
      paths.networkChanged(to: network, isMajor: true, at: now, into: &effects)
    }
    let configuration = PipelineConfiguration(
      nodeKey: node.key,
      addresses: [node.addresses.v4, node.addresses.v6],
      peers: [peer.id: peer.configuration],
      filter: Filter(localNetworks: node.hosts, rules: [.allowAll])
    )
    node.pipeline.apply(configuration, at: moment, into: &node.effects)
  }

  /// The sender's host sends one datagram.
  private mutating func greet() {
    var (packet, offload) = PacketKind.udp64.packet(from: sender.addresses, to: receiver.addresses)
    packet.withPacketBytes {
      sender.pipeline.outbound($0, offload: offload, at: moment, into: &sender.effects)
    }
  }

  /// Carries everything to and fro until both are silent.
  private mutating func settle() {
    var flights: [Flight] = []
    repeat {
      flights = Self.take(&sender, isFirst: true) + Self.take(&receiver, isFirst: false)
      for var flight in flights {
        flight.bytes.withPacketBytes { bytes in
          if flight.isToFirst {
            Self.receive(bytes, &sender, from: receiver.endpoint, at: moment)
          } else {
            Self.receive(bytes, &receiver, from: sender.endpoint, at: moment)
          }
        }
      }
    } while !flights.isEmpty
  }

  private static func take(_ node: inout Node, isFirst: Bool) -> [Flight] {
    var flights: [Flight] = []
    for train in node.effects.trains {
      let bytes = node.effects.bytes(of: train).array
      for start in stride(from: 0, to: bytes.count, by: train.segmentSize) {
        let end = min(start + train.segmentSize, bytes.count)
        flights.append(Flight(bytes: Array(bytes[start..<end]), isToFirst: !isFirst))
      }
    }
    flights += node.effects.messages.map { Flight(bytes: $0.bytes, isToFirst: !isFirst) }
    node.effects.reset()
    return flights
  }

  private static func receive(
    _ bytes: PacketBytes,
    _ node: inout Node,
    from endpoint: Endpoint,
    at moment: Pipeline.Moment
  ) {
    node.pipeline.inbound(
      bytes,
      segmentSize: bytes.count,
      from: .direct(endpoint),
      at: moment,
      into: &node.effects
    )
    node.effects.resetDeliveries()
  }
}

/// What is measured: one direction at a time.
///
/// A profiler counts inside the function of the direction only, which is why they have names of their
/// own and are never inlined.
extension PipelinePair {
  /// Sends one run of packets of a kind, and receives it.
  ///
  /// - Returns: How many datagrams the sender made, and how many packets the receiver's host got.
  mutating func carry(_ kind: PacketKind, number: Int) -> (sealed: Int, delivered: Int) {
    var (packet, offload) = kind.packet(
      from: sender.addresses,
      to: receiver.addresses,
      number: number
    )
    moment.now = moment.now + Self.step
    packet.withPacketBytes { bytes in
      measuredOutbound(bytes, offload, count: kind.runLength)
    }
    let before = receiver.pipeline.counters.inbound.directV4.packets
    var sealed = 0
    for index in sender.effects.trains.indices {
      let train = sender.effects.trains[index]
      sealed += train.count
      measuredInbound(sender.effects.bytes(of: train), segmentSize: train.segmentSize)
      receiver.effects.reset()
    }
    sender.effects.reset()
    let after = receiver.pipeline.counters.inbound.directV4.packets
    return (sealed, Int(after - before))
  }

  @inline(never)
  private mutating func measuredOutbound(
    _ packet: PacketBytes,
    _ offload: OffloadHeader,
    count: Int
  ) {
    for _ in 0..<count {
      sender.pipeline.outbound(packet, offload: offload, at: moment, into: &sender.effects)
    }
  }

  @inline(never)
  private mutating func measuredInbound(_ train: PacketBytes, segmentSize: Int) {
    receiver.pipeline.inbound(
      train,
      segmentSize: segmentSize,
      from: .direct(sender.endpoint),
      at: moment,
      into: &receiver.effects
    )
  }

  /// What fell off, of both.
  var drops: Int {
    let inbound = receiver.pipeline.counters.inboundDrops.values.reduce(0, +)
    let outbound = sender.pipeline.counters.outboundDrops.values.reduce(0, +)
    return Int(inbound + outbound)
  }
}
