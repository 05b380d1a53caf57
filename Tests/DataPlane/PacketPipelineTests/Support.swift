// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import Cryptography
import DERP
import Keys
import Magicsock
import PacketFilter
import PacketPipeline
import Packets
import Timing
import WireGuard

/// One node: a pipeline, and a host behind it that keeps what it receives.
final class Node {
  let id: PeerID
  let key: NodePrivateKey
  let disco: DiscoPrivateKey
  let endpoint: Endpoint
  let v4: IPAddress
  let v6: IPAddress
  var pipeline: Pipeline
  var effects = PipelineEffects()
  /// What the host received: packets and super-packets with their headers.
  var delivered: [(header: OffloadHeader, bytes: [UInt8])] = []
  var events: [PipelineEvent] = []
  var filter: Filter

  var counters: Counters { pipeline.counters }

  /// The packets that the host makes of what it was given, in order.
  var taken: [[UInt8]] {
    delivered.flatMap { header, bytes in
      var bytes = bytes
      return HostPacket.cut(&bytes, header)
    }
  }

  /// How many packets and datagrams fell off so far, on either way and in path finding.
  var fallenOff: UInt64 {
    let paths = pipeline.status(at: Instant(nanoseconds: 0)).pathCounters
    return counters.inboundDrops.values.reduce(0, +) + counters.outboundDrops.values.reduce(0, +)
      + paths.unknownSender + paths.notAuthentic + paths.malformed + paths.strayResponses
      + paths.unsupported + paths.strayAllocations
  }

  init(_ number: Int) {
    var entropy = Entropy(seed: UInt64(number) * 1000)
    id = PeerID(Int64(number))
    key = NodePrivateKey.generate(using: &entropy)
    disco = DiscoPrivateKey.generate(using: &entropy)
    endpoint = Endpoint(IPAddress(192, 0, 2, UInt8(number)), port: 41_641)
    v4 = IPAddress(100, 64, 0, UInt8(number))
    v6 = IPAddress(high: 0xFD7A_115C_A1E0_0000, low: UInt64(number))
    filter = Filter(
      localNetworks: [IPPrefix(host: v4), IPPrefix(host: v6)],
      rules: [.allowAll]
    )
    pipeline = Pipeline(
      nodeKey: key,
      discoKey: disco,
      mtu: 1280,
      joinsUDP: true,
      entropy: Entropy(seed: UInt64(number))
    )
  }

  /// What others are told about this node.
  func asPeer(
    endpoints: [Endpoint],
    home: RegionID? = Network.region
  ) -> PipelineConfiguration.Peer {
    PipelineConfiguration.Peer(
      tunnel: PeerConfiguration(
        publicKey: key.publicKey,
        allowedIPs: [IPPrefix(host: v4), IPPrefix(host: v6)]
      ),
      path: PeerPathConfiguration(
        nodeKey: key.publicKey,
        discoKey: disco.publicKey,
        endpoints: endpoints,
        homeRegion: home
      ),
      addresses: [v4, v6]
    )
  }
}

/// A network without loss between nodes: direct by endpoint where it is let, and one relay.
final class Network {
  static let region = RegionID(1)

  struct Flight {
    var to: Node
    var from: PacketSource
    var bytes: [UInt8]
    var segmentSize: Int
  }

  let nodes: [Node]
  var moment = Pipeline.Moment(
    now: Instant(nanoseconds: 1_000_000_000),
    wall: Timestamp(seconds: 1_800_000_000)
  )
  var isDirectOpen: Bool
  let hasRelay: Bool
  /// Every flight so far, if asked for.
  var log: [Flight] = []
  private var flights: [Flight] = []

  init(_ count: Int = 2, isDirectOpen: Bool = true, hasRelay: Bool = true) {
    nodes = (1...count).map { Node($0) }
    (self.isDirectOpen, self.hasRelay) = (isDirectOpen, hasRelay)
    for node in nodes {
      node.pipeline.withPaths(at: moment, into: &node.effects) { paths, now, effects in
        paths.networkChanged(
          to: LocalNetwork(addresses: [node.endpoint.address], portV4: 41_641, portV6: nil),
          isMajor: true,
          at: now,
          into: &effects
        )
        if hasRelay { paths.relayConnected(Self.region, at: now) }
      }
      configure(node)
    }
    settle()
  }

  /// Tells a node about the others, or about some of them.
  func configure(_ node: Node, peers: [Node]? = nil) {
    let others = (peers ?? nodes).filter { $0.id != node.id }
    let configuration = PipelineConfiguration(
      nodeKey: node.key,
      addresses: [node.v4, node.v6],
      peers: Dictionary(
        uniqueKeysWithValues: others.map {
          ($0.id, $0.asPeer(endpoints: [$0.endpoint], home: hasRelay ? Self.region : nil))
        }
      ),
      filter: node.filter,
      peerAPIPort: 4242
    )
    node.pipeline.apply(configuration, at: moment, into: &node.effects)
    perform(node)
  }

  /// The host of `node` sends a packet.
  func send(_ packet: [UInt8], from node: Node, offload: OffloadHeader = .none) {
    var packet = packet
    packet.withPacketBytes {
      node.pipeline.outbound($0, offload: offload, at: moment, into: &node.effects)
    }
    perform(node)
    settle()
  }

  /// Lets two nodes find their path and their session, and forgets what was delivered meanwhile.
  func settleSession(from node: Node, to peer: Node) {
    send(HostPacket.udp(from: node.v4, to: peer.v4, payload: [1]).packet, from: node)
    advance(by: .seconds(1))
    peer.delivered = []
  }

  func ping(_ peer: Node, from node: Node, _ kind: PingKind, id: UInt64) {
    node.pipeline.ping(peer.id, kind: kind, id: id, at: moment, into: &node.effects)
    perform(node)
    settle()
  }

  /// Lets time pass, stopping wherever a node wants to be called.
  func advance(by duration: Duration) {
    let end = moment.now + duration
    while true {
      let next = nodes.compactMap { $0.pipeline.nextTimeout }.min() ?? end
      let stop = max(moment.now + .nanoseconds(1), min(next, end))
      moment.wall = moment.wall + (stop - moment.now)
      moment.now = stop
      for node in nodes {
        node.pipeline.handleTimeouts(at: moment, into: &node.effects)
        perform(node)
      }
      settle()
      if stop >= end { return }
    }
  }

  /// Gives bytes to a node as if they had come from somewhere.
  func inject(_ bytes: [UInt8], segmentSize: Int? = nil, to node: Node, from source: PacketSource) {
    receive(Flight(to: node, from: source, bytes: bytes, segmentSize: segmentSize ?? bytes.count))
    settle()
  }

  private func settle() {
    var rounds = 0
    while !flights.isEmpty {
      let flight = flights.removeFirst()
      log.append(flight)
      receive(flight)
      rounds += 1
      precondition(rounds < 10_000, "the nodes talk without end")
    }
  }

  private func receive(_ flight: Flight) {
    var bytes = flight.bytes
    let node = flight.to
    bytes.withPacketBytes { buffer in
      node.pipeline.inbound(
        buffer,
        segmentSize: flight.segmentSize,
        from: flight.from,
        at: moment,
        into: &node.effects
      )
      for delivery in node.effects.deliveries {
        let pieces = node.effects.pieces[delivery.pieces]
        node.delivered.append((delivery.header, pieces.flatMap(\.array)))
      }
    }
    perform(node)
  }

  private func perform(_ node: Node) {
    for train in node.effects.trains {
      post(
        node.effects.bytes(of: train).array,
        train.segmentSize,
        from: node,
        to: train.destination
      )
    }
    for message in node.effects.messages {
      post(message.bytes, message.bytes.count, from: node, to: message.destination)
    }
    node.delivered += node.effects.hostPackets.map { (OffloadHeader.none, $0) }
    node.events += node.effects.events
    node.effects.reset()
  }

  private func post(_ bytes: [UInt8], _ size: Int, from node: Node, to destination: PacketSource) {
    switch destination {
    case .peerRelay: return
    case .direct(let endpoint):
      guard isDirectOpen, let to = nodes.first(where: { $0.endpoint == endpoint }) else { return }
      flights.append(Flight(to: to, from: .direct(node.endpoint), bytes: bytes, segmentSize: size))
    case .relay(let region, let key):
      guard let to = nodes.first(where: { $0.key.publicKey == key }) else { return }
      for start in stride(from: 0, to: bytes.count, by: size) {
        let one = Array(bytes[start..<min(start + size, bytes.count)])
        let from = PacketSource.relay(region, node.key.publicKey)
        flights.append(Flight(to: to, from: from, bytes: one, segmentSize: one.count))
      }
    }
  }
}

/// Packets of a host.
enum HostPacket {
  static func payload(_ count: Int, seed: UInt64 = 1) -> [UInt8] {
    var entropy = Entropy(seed: seed)
    return entropy.bytes(count)
  }

  /// A TCP packet or super-packet with an unfinished checksum, as a kernel hands it over.
  static func tcp(
    from source: IPAddress,
    to destination: IPAddress,
    flags: TCPFlags = [.ack, .psh],
    sequence: UInt32 = 1,
    payload: [UInt8],
    segmentSize: Int = 1200
  ) -> (packet: [UInt8], offload: OffloadHeader) {
    var segment = ByteWriter()
    segment.bigEndian(UInt16(4000))
    segment.bigEndian(UInt16(80))
    segment.bigEndian(sequence)
    segment.bigEndian(UInt32(9))
    segment.write([0x50, flags.rawValue, 1, 0, 0, 0, 0, 0])
    segment.write(payload)
    return unfinished(
      segment.bytes,
      source,
      destination,
      .tcp,
      field: 16,
      segmentation: payload.count <= segmentSize ? .none : source.isV4 ? .tcpV4 : .tcpV6,
      segmentSize: segmentSize
    )
  }

  /// A UDP packet or super-packet.
  static func udp(
    from source: IPAddress,
    to destination: IPAddress,
    payload: [UInt8],
    segmentSize: Int = 1200
  ) -> (packet: [UInt8], offload: OffloadHeader) {
    var datagram = ByteWriter()
    datagram.bigEndian(UInt16(4000))
    datagram.bigEndian(UInt16(53))
    datagram.bigEndian(UInt16(8 + payload.count))
    datagram.bigEndian(UInt16(0))
    datagram.write(payload)
    return unfinished(
      datagram.bytes,
      source,
      destination,
      .udp,
      field: 6,
      segmentation: payload.count <= segmentSize ? .none : .udp,
      segmentSize: segmentSize
    )
  }

  private static func unfinished(
    _ upper: [UInt8],
    _ source: IPAddress,
    _ destination: IPAddress,
    _ proto: IPProtocol,
    field: Int,
    segmentation: OffloadHeader.Segmentation,
    segmentSize: Int
  ) -> (packet: [UInt8], offload: OffloadHeader) {
    var packet = IPPacket.build(from: source, to: destination, proto: proto, payload: upper)
    let start = source.isV4 ? 20 : 40
    let pseudo = InternetChecksum.pseudoHeader(
      from: source,
      to: destination,
      proto: proto,
      length: upper.count
    )
    packet.withPacketBytes {
      $0.storeNative(InternetChecksum.folded(pseudo), at: start + field)
    }
    let offload = OffloadHeader(
      needsChecksum: true,
      segmentation: segmentation,
      headerLength: 0,
      segmentSize: segmentation == .none ? 0 : segmentSize,
      checksumStart: start,
      checksumOffset: field
    )
    return (packet, offload)
  }

  /// The packets that a host makes of one that it is given; none when the header does not fit it.
  static func cut(_ packet: inout [UInt8], _ header: OffloadHeader) -> [[UInt8]] {
    packet.withPacketBytes { whole in
      guard let segmenter = Segmenter(whole, PacketView(whole), header) else { return [] }
      return (0..<segmenter.count).map { index in
        var one = [UInt8](repeating: 0, count: segmenter.length(of: index))
        one.withPacketBytes { segmenter.write(index, of: whole, to: $0) }
        return one
      }
    }
  }

  /// A datagram of UDP over IPv4 back to where `packet` came from, without a checksum.
  static func answer(to packet: [UInt8]) -> [UInt8] {
    let view = view(packet)
    var upper = ByteWriter()
    upper.bigEndian(view.destinationPort)
    upper.bigEndian(view.sourcePort)
    upper.bigEndian(UInt16(9))
    upper.bigEndian(UInt16(0))
    upper.write([7])
    return IPPacket.build(
      from: view.destination,
      to: view.source,
      proto: .udp,
      payload: upper.bytes
    )
  }

  /// What follows the transport header.
  static func content(_ packet: [UInt8]) -> [UInt8] {
    var packet = packet
    return packet.withPacketBytes { bytes in
      let view = PacketView(bytes)
      let header = view.kind == .tcp ? Int(bytes[view.transportOffset + 12] >> 4) * 4 : 8
      return bytes.slice(view.transportOffset + header..<view.length).array
    }
  }

  static func view(_ packet: [UInt8]) -> PacketView {
    var packet = packet
    return packet.withPacketBytes { PacketView($0) }
  }
}
