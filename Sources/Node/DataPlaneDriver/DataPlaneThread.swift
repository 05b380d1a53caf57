// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import HostIO
import Keys
import Magicsock
import PacketPipeline
import Packets
import Timing
import WireGuard

/// One shard of the data path: a loop on a thread of its own that runs packets to completion.
///
/// Reads a train, runs the whole pipeline on it where it lies, writes it out, and goes on; no lock or
/// queue stands in a packet's way. Others speak to it through the mailbox. Where there are several
/// shards, each has a queue of the same interface, sockets on the same port, a pipeline and peers of
/// its own; what arrives at the wrong one goes through a ring (`DataPlaneThread+Crew.swift`).
struct DataPlaneThread: ~Copyable {
  private enum Token: UInt64 {
    case wake
    case tun
    case v4
    case v6
  }

  /// How many trains are taken from one descriptor before the others have their turn.
  static let turn = 64
  /// After how many bytes the turn is over, too: a quarter of a millisecond of work or so.
  private static let turnBytes = 256 << 10

  private var devices: HostDevices
  var pipeline: Pipeline
  var effects = PipelineEffects()
  private var poller: Poller
  var counters = HostCounters()
  private var gather = GatherList()
  private let received = PacketMemory(capacity: UDPSocket.receiveCapacity)
  private let read = PacketMemory(capacity: TUNDevice.readCapacity)
  private let header = PacketMemory(capacity: OffloadHeader.size)
  private let mailbox: Mailbox
  private let wake: WakeSignal
  let ways: Ways
  private let port: UInt16
  let shard: Shard
  /// The other shards; nil when there are none.
  let crew: Crew?
  /// Where helpers take part in long trains; nil when there are none.
  private let share: TrainShare?
  private var isTUNOpen: Bool
  /// What the train that is being sorted says of congestion; it is not handed over.
  var outerECN = ECN.notCapable

  /// Where the thread leaves what it does not do itself.
  struct Ways: Sendable {
    var relays: RelayOutboxes
    var post: PostOffice
    var report: @Sendable (PipelineEvent) -> Void
    var interfaceLost: @Sendable (HostError) -> Void
  }

  init(
    _ devices: consuming HostDevices,
    _ options: DataPlaneOptions,
    mailbox: Mailbox,
    wake: WakeSignal,
    ways: Ways,
    shard: Shard = .only,
    crew: Crew? = nil,
    share: TrainShare? = nil
  ) throws(HostError) {
    let features = devices.tun.features
    let poller = try Poller()
    try poller.add(wake.rawDescriptor, token: Token.wake.rawValue)
    if devices.readsTUN {
      try poller.add(devices.tun.rawDescriptor, token: Token.tun.rawValue)
    }
    try poller.add(devices.v4.rawDescriptor, token: Token.v4.rawValue)
    if let v6 = devices.v6Descriptor { try poller.add(v6, token: Token.v6.rawValue) }
    self.poller = poller
    pipeline = Pipeline(
      nodeKey: options.nodeKey,
      discoKey: options.discoKey,
      mtu: options.mtu,
      joinsUDP: features.isSuperset(of: [.udp4, .udp6]),
      entropy: .system,
      shard: shard
    )
    pipeline.use(options.backend)
    self.share = share
    if let share { pipeline.use(share) }
    isTUNOpen = devices.readsTUN
    pipeline.joining = features.joining
    self.devices = devices
    (self.shard, self.crew) = (shard, crew)
    port = options.port
    (self.mailbox, self.wake, self.ways) = (mailbox, wake, ways)
  }

  /// Runs until it is told to stop.
  mutating func run() {
    while true {
      let ready = poller.wait(until: pipeline.nextTimeout)
      let moment = Self.moment
      counters.wakeUps &+= 1
      if let share { share.beginTurn() }
      for index in 0..<ready {
        switch Token(rawValue: poller[index].token) {
        case .wake:
          wake.consume()
          if let crew { crew.answerBell(of: shard.index) }
          guard readMail(at: moment) else { return }
          if let crew { readRings(of: crew, at: moment) }
        case .tun: readTUN(at: moment)
        case .v4: receiveV4(at: moment)
        case .v6: receiveV6(at: moment)
        case nil: preconditionFailure("a descriptor is ready that was never added")
        }
      }
      if let timeout = pipeline.nextTimeout, timeout <= moment.now {
        pipeline.handleTimeouts(at: moment, into: &effects)
      }
      perform(at: moment)
    }
  }

  static var moment: Pipeline.Moment {
    Pipeline.Moment(now: MonotonicClock.now(), wall: wallClock())
  }

  // MARK: From the host

  private mutating func readTUN(at moment: Pipeline.Moment) {
    var taken = 0
    for _ in 0..<Self.turn where isTUNOpen && taken < Self.turnBytes {
      // SAFETY: the buffer belongs to this thread and outlives the call.
      switch unsafe devices.tun.read(into: read.raw) {
      case .packet(let count):
        taken += count
        outbound(count, at: moment)
      case .wouldBlock: return perform(at: moment)
      case .gone(let code): return loseTUN(code)
      }
      if !effects.hasRoom { perform(at: moment) }
    }
  }

  private mutating func outbound(_ count: Int, at moment: Pipeline.Moment) {
    guard count > OffloadHeader.size,
      let offload = OffloadHeader(read.bytes.slice(0..<OffloadHeader.size))
    else {
      counters.unreadable += 1
      return
    }
    let packet = read.bytes.slice(OffloadHeader.size..<count)
    pipeline.outbound(packet, offload: offload, at: moment, into: &effects)
    if let owner = effects.foreignOwner.take() {
      handOver(read.bytes.slice(0..<count), .outbound, to: owner)
    }
  }

  private mutating func loseTUN(_ code: Int32) {
    isTUNOpen = false
    // The interface is gone; if the poll set has already lost it, too, that is what was wanted.
    try? poller.remove(devices.tun.rawDescriptor)
    // All shards lose it at once; one tells.
    guard shard.index == 0 else { return }
    let name = devices.tun.name
    ways.interfaceLost(HostError("read from the TUN interface \(name)", code: code))
  }

  // MARK: From the network

  private mutating func receiveV4(at moment: Pipeline.Moment) {
    var taken = 0
    for _ in 0..<Self.turn where taken < Self.turnBytes {
      // SAFETY: the buffer belongs to this thread and outlives the call.
      guard let train = unsafe devices.v4.receive(into: received.raw) else { return }
      taken += train.count
      inbound(train, at: moment)
    }
  }

  private mutating func receiveV6(at moment: Pipeline.Moment) {
    var taken = 0
    for _ in 0..<Self.turn where taken < Self.turnBytes {
      // SAFETY: the buffer belongs to this thread and outlives the call.
      guard let train = unsafe devices.v6?.receive(into: received.raw) else { return }
      taken += train.count
      inbound(train, at: moment)
    }
  }

  private mutating func inbound(_ train: UDPSocket.Received, at moment: Pipeline.Moment) {
    if let crew {
      outerECN = ECN(trafficClass: train.trafficClass)
      sort(
        received.bytes.slice(0..<train.count),
        segmentSize: train.segmentSize,
        from: train.source,
        for: crew,
        at: moment
      )
      outerECN = .notCapable
      return
    }
    inbound(
      received.bytes.slice(0..<train.count),
      segmentSize: train.segmentSize,
      from: .direct(train.source),
      ecn: ECN(trafficClass: train.trafficClass),
      at: moment
    )
  }

  mutating func inbound(
    _ bytes: PacketBytes,
    segmentSize: Int,
    from source: PacketSource,
    ecn: ECN = .notCapable,
    at moment: Pipeline.Moment
  ) {
    pipeline.inbound(
      bytes,
      segmentSize: segmentSize,
      from: source,
      ecn: ecn,
      at: moment,
      into: &effects
    )
    deliver()
    if !effects.hasRoom { perform(at: moment) }
  }

  private mutating func relayed(
    _ packets: [RelayedPacket],
    from region: RegionID,
    at moment: Pipeline.Moment
  ) {
    var next = 0
    while next < packets.count {
      let (end, size) = gatherTrain(packets, from: next)
      if size > 0 {
        inbound(
          received.bytes.slice(0..<size),
          segmentSize: packets[next].bytes.count,
          from: .relay(region, packets[next].source),
          at: moment
        )
      }
      next = end
    }
  }

  /// Copies packets of one size from one sender behind each other, so that the pipeline joins them.
  ///
  /// - Returns: Where the next train begins, and how many bytes were copied.
  private func gatherTrain(_ packets: [RelayedPacket], from start: Int) -> (end: Int, bytes: Int) {
    let (source, size) = (packets[start].source, packets[start].bytes.count)
    var (end, used) = (start, 0)
    while end < packets.count, packets[end].source == source {
      let count = packets[end].bytes.count
      guard count <= size, used + count <= UDPSocket.receiveCapacity else { break }
      received.bytes.copy(packets[end].bytes, to: used)
      (end, used) = (end + 1, used + count)
      // A shorter one ends a train.
      if count < size { break }
    }
    return (max(end, start + 1), used)
  }

  // MARK: To the host

  /// Writes what came out of the receive buffer, before it is filled again.
  private mutating func deliver() {
    for delivery in effects.deliveries {
      gather.removeAll()
      delivery.header.write(to: header.bytes)
      var isWhole = Self.append(header.bytes, to: &gather)
      for piece in effects.pieces[delivery.pieces] {
        isWhole = isWhole && Self.append(piece, to: &gather)
      }
      precondition(isWhole, "a delivery has fewer pieces than one write takes")
      let result = devices.tun.write(gather)
      if result == .refused, delivery.header.segmentation != .none {
        deliverSingly(delivery)
      } else {
        note(result)
      }
    }
    effects.resetDeliveries()
  }

  /// Writes the packets of a super-packet that the host refused.
  private mutating func deliverSingly(_ delivery: PipelineEffects.Delivery) {
    let packets = effects.packets(of: delivery)
    let refused = counters.interfaceRefused
    for packet in packets { deliver(packet) }
    // Where each is refused as well, the packets are to blame and not their joining.
    if counters.interfaceRefused - refused < packets.count {
      counters.trainsRefused &+= 1
      pipeline.noteRefused(delivery.header)
    }
  }

  private static func append(_ piece: PacketBytes, to gather: inout GatherList) -> Bool {
    // SAFETY: the piece lies in a buffer of this thread, which is not touched before the write.
    unsafe gather.append(UnsafeRawBufferPointer(start: piece.pointer, count: piece.count))
  }

  private mutating func deliverOwn() {
    for packet in effects.hostPackets { deliver(packet) }
  }

  private mutating func deliver(_ packet: [UInt8]) {
    var bytes = [UInt8](repeating: 0, count: OffloadHeader.size) + packet
    bytes.withPacketBytes { OffloadHeader.none.write(to: $0) }
    // SAFETY: the bytes outlive the call.
    let result = unsafe bytes.withUnsafeBytes { unsafe devices.tun.write($0) }
    note(result)
  }

  private mutating func note(_ result: TUNDevice.WriteResult) {
    switch result {
    case .written: break
    case .wouldBlock: counters.interfaceFull += 1
    case .refused: counters.interfaceRefused += 1
    case .down: counters.interfaceDown += 1
    case .gone(let code):
      counters.interfaceDown += 1
      if isTUNOpen { loseTUN(code) }
    }
  }

  // MARK: To the network

  /// Does everything that was asked for, until nothing more is.
  mutating func perform(at moment: Pipeline.Moment) {
    var unreachable: [Endpoint] = []
    repeat {
      if effects.isEmpty && unreachable.isEmpty { return }
      for train in effects.trains { send(train, at: moment.now, &unreachable) }
      for message in effects.messages { send(message, at: moment.now, &unreachable) }
      deliverOwn()
      for event in effects.events { ways.report(event) }
      effects.reset()
      for endpoint in unreachable {
        pipeline.withPaths(at: moment, into: &effects) { paths, now, effects in
          paths.noteUnreachable(endpoint, at: now, into: &effects)
        }
      }
      unreachable.removeAll()
    } while true
  }

  private mutating func send(
    _ train: PipelineEffects.Train,
    at now: Instant,
    _ unreachable: inout [Endpoint]
  ) {
    let bytes = effects.bytes(of: train)
    switch train.destination {
    case .direct(let endpoint), .peerRelay(let endpoint, _):
      // SAFETY: the train lies in the arena of the effects, which outlives the call.
      let buffer = unsafe UnsafeRawBufferPointer(start: bytes.pointer, count: bytes.count)
      let result = unsafe send(buffer, train.segmentSize, to: endpoint, train.ecn)
      note(result, endpoint, &unreachable)
    case .relay(let region, let key):
      let copy = RelayTrain(
        destination: key,
        bytes: bytes.array,
        segmentSize: train.segmentSize,
        queuedAt: now
      )
      ways.relays.add(copy, through: region)
    }
  }

  private mutating func send(
    _ message: PipelineEffects.Message,
    at now: Instant,
    _ unreachable: inout [Endpoint]
  ) {
    switch message.destination {
    case .direct(let endpoint), .peerRelay(let endpoint, _):
      // SAFETY: the bytes outlive the call.
      let result = unsafe message.bytes.withUnsafeBytes { unsafe send($0, 0, to: endpoint) }
      note(result, endpoint, &unreachable)
    case .relay(let region, let key):
      let train = RelayTrain(
        destination: key,
        bytes: message.bytes,
        segmentSize: message.bytes.count,
        queuedAt: now
      )
      ways.relays.add(train, through: region)
    }
  }

  private mutating func send(
    _ bytes: UnsafeRawBufferPointer,
    _ size: Int,
    to endpoint: Endpoint,
    _ ecn: ECN = .notCapable
  ) -> SendResult {
    let bits = ecn.rawValue
    // SAFETY: the caller vouches for the bytes.
    return endpoint.address.isV4
      ? unsafe devices.v4.send(bytes, segmentSize: size, to: endpoint, trafficClass: bits)
      : unsafe devices.v6?.send(bytes, segmentSize: size, to: endpoint, trafficClass: bits)
        ?? .unreachable
  }

  private mutating func note(
    _ result: SendResult,
    _ endpoint: Endpoint,
    _ unreachable: inout [Endpoint]
  ) {
    switch result {
    case .sent: break
    case .wouldBlock: counters.socketFull += 1
    case .unreachable:
      counters.unreachable += 1
      if !unreachable.contains(endpoint) { unreachable.append(endpoint) }
    case .tooLarge, .forbidden, .failed: counters.sendFailed += 1
    }
  }

  // MARK: Mail

  /// Does what others asked for.
  ///
  /// - Returns: Whether to go on.
  private mutating func readMail(at moment: Pipeline.Moment) -> Bool {
    for mail in mailbox.drain() {
      switch mail {
      case .apply(let change, let routes):
        if let routes { pipeline.setRoutes(routes) }
        pipeline.apply(change, at: moment, into: &effects)
      case .relayed(let packets, let region): relayed(packets, from: region, at: moment)
      case .ping(let peer, let kind, let id, let size):
        pipeline.ping(peer, kind: kind, id: id, size: size, at: moment, into: &effects)
      case .discoKey(let key): pipeline.use(key)
      case .initiation(let initiation, let source):
        pipeline.receive(initiation, from: source, at: moment, into: &effects)
      case .status(let continuation): continuation.resume(returning: status(at: moment.now))
      case .stop: return false
      default: tellPaths(mail, at: moment)
      }
      if !effects.hasRoom { perform(at: moment) }
    }
    return true
  }

  /// What only path finding cares about.
  private mutating func tellPaths(_ mail: Mail, at moment: Pipeline.Moment) {
    let network = LocalNetwork(
      addresses: [],
      portV4: devices.v4.localEndpoint.port,
      portV6: devices.v6Endpoint?.port,
      configuredPort: port
    )
    pipeline.withPaths(at: moment, into: &effects) { paths, now, effects in
      switch mail {
      case .networkChanged(let addresses, let isMajor, let isUp):
        var network = network
        (network.addresses, network.isUp) = (addresses, isUp)
        paths.networkChanged(to: network, isMajor: isMajor, at: now, into: &effects)
      case .relayConnected(let region): paths.relayConnected(region, at: now)
      case .relayClosed(let region, let failed):
        paths.relayClosed(region, failed: failed, at: now, into: &effects)
      case .relayHeard(let region): paths.relayHeard(region, at: now)
      case .peerGone(let key, let region): paths.peerGone(key, from: region)
      case .wanted(let want): paths.receive(want, at: now, into: &effects)
      case .endpointsFresh(let endpoints): paths.adopt(endpoints, at: now, into: &effects)
      case .portMapped(let endpoint): paths.portMapped(to: endpoint, at: now, into: &effects)
      case .relayAllocated(let allocation, let request):
        paths.relayAllocated(allocation, for: request, at: now, into: &effects)
      case .netcheck(let isFull): paths.startNetcheck(full: isFull, at: now, into: &effects)
      case .resolved(let name, let addresses):
        paths.resolved(name, to: addresses, at: now, into: &effects)
      case .portalProbed(let id, let isCaptive):
        paths.portalProbeFinished(netcheck: id, isCaptive: isCaptive, at: now, into: &effects)
      case .probed(let id, let region, let latency, let family, let isByICMP):
        paths.httpsProbeFinished(
          netcheck: id,
          region: region,
          latency: latency,
          over: family,
          isByICMP: isByICMP,
          at: now,
          into: &effects
        )
      default: preconditionFailure("mail that is not for path finding")
      }
    }
  }

  private func status(at now: Instant) -> DataPlaneStatus {
    var host = counters
    host.relayedDropped = mailbox.droppedPackets
    host.partsHelped = share?.partsHelped ?? 0
    host.handoverDropped &+= mailbox.droppedInitiations
    // The relays are all shards'; one tells.
    host.relayQueueDropped = shard.index == 0 ? ways.relays.dropped : 0
    let known = pipeline.status(at: now)
    return DataPlaneStatus(
      pipeline: known,
      host: host,
      shards: [ShardFigures(peers: known.peers.count, traffic: known.counters, host: host)],
      backend: pipeline.backend,
      sockets: devices.socketCounters,
      ports: [devices.v4.localEndpoint] + (devices.v6Endpoint.map { [$0] } ?? [])
    )
  }
}
