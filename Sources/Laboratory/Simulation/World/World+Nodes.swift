// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import DERP
import Disco
import Keys
import Magicsock
import PacketPipeline
import Packets
import PortMapping
import STUN
import Timing

/// What the drivers of a node do: wake it, hand it datagrams, do what it asks.
extension World {
  func wake(_ node: VirtualNode) {
    guard let due = node.wakeAt, due <= now, !node.isAsleep else { return }
    node.wakeAt = nil
    node.economy.wakeups += 1
    node.pipeline.handleTimeouts(at: moment(of: node), into: &node.effects)
    perform(node)
  }

  /// Tells a node how it is attached to the network.
  func attach(_ node: VirtualNode, isMajor: Bool) {
    let host = internet.hosts[node.host.index]
    let network = LocalNetwork(
      addresses: host.addresses,
      portV4: VirtualNode.port,
      portV6: VirtualNode.port,
      configuredPort: VirtualNode.port,
      isUp: host.isUp
    )
    withPaths(node) { paths, now, effects in
      paths.networkChanged(to: network, isMajor: isMajor, at: now, into: &effects)
    }
    attachMapper(of: node)
    attachRelay(node)
  }

  func withPaths(
    _ node: VirtualNode,
    _ body: (inout MagicSocket, Instant, inout Magicsock.Effects) -> Void
  ) {
    node.pipeline.withPaths(at: moment(of: node), into: &node.effects, body)
    perform(node)
  }

  // MARK: Receiving

  func receive(
    _ bytes: [UInt8],
    at host: HostID,
    from source: Endpoint,
    to own: Endpoint,
    _ launch: Launch
  ) {
    guard internet.hosts[host.index].isUp else { return }
    if relaysByHost[host] != nil {
      return answerSTUN(bytes, at: host, from: source, to: own)
    }
    guard let index = nodesByHost[host], !nodes[index].isAsleep,
      internet.hosts[host.index].addresses.contains(own.address)
    else { return }
    if own.port == VirtualNode.relayPort {
      return receive(bytes, atRelayOf: nodes[index], from: source, to: own, launch)
    }
    guard own.port == VirtualNode.port else { return }
    if let sender = nodesByHost[launch.host] { oracle.reached(launch.aim, by: sender) }
    hand(bytes, to: nodes[index], from: .direct(source))
  }

  private func answerSTUN(_ bytes: [UInt8], at host: HostID, from source: Endpoint, to: Endpoint) {
    guard to.port == VirtualRelay.stunPort,
      let answer = BindingResponse.answering(bytes, from: source)
    else { return }
    launch(answer, by: host, from: to, to: source)
  }

  func hand(_ bytes: [UInt8], to node: VirtualNode, from source: PacketSource) {
    var bytes = bytes
    let moment = moment(of: node)
    let packets = bytes.withPacketBytes { buffer in
      node.pipeline.inbound(
        buffer,
        segmentSize: buffer.count,
        from: source,
        at: moment,
        into: &node.effects
      )
      return node.effects.deliveries.map { delivery in
        node.effects.pieces[delivery.pieces].flatMap(\.array)
      }
    }
    node.effects.resetDeliveries()
    perform(node)
    for packet in packets { deliver(packet, to: node) }
  }

  // MARK: Doing

  /// Does all that a node asked for, and sees to it that it is woken in time.
  func perform(_ node: VirtualNode) {
    var sends: [(bytes: [UInt8], destination: PacketSource)] = []
    for train in node.effects.trains {
      let bytes = node.effects.bytes(of: train).array
      for start in stride(from: 0, to: bytes.count, by: train.segmentSize) {
        let one = Array(bytes[start..<min(start + train.segmentSize, bytes.count)])
        sends.append((one, train.destination))
      }
    }
    for message in node.effects.messages { sends.append((message.bytes, message.destination)) }
    let packets = node.effects.hostPackets
    let events = node.effects.events
    node.effects.reset()
    for send in sends { transmit(send.bytes, by: node, to: send.destination) }
    for event in events { handle(event, of: node) }
    for packet in packets { deliver(packet, to: node) }
    if let next = node.pipeline.nextTimeout, node.wakeAt.map({ next < $0 }) ?? true {
      node.wakeAt = max(next, now)
      agenda.note(.wake(node: node.index), at: max(next, now))
    }
  }

  private func transmit(_ bytes: [UInt8], by node: VirtualNode, to destination: PacketSource) {
    count(bytes, by: node, to: destination)
    oracle.sent(bytes, by: node.index, to: destination, at: now)
    switch destination {
    case .direct(let endpoint), .peerRelay(let endpoint, _):
      let addresses = internet.hosts[node.host.index].addresses
      guard let own = addresses.first(where: { $0.family == endpoint.address.family }) else {
        return
      }
      launch(bytes, by: node.host, from: Endpoint(own, port: VirtualNode.port), to: endpoint)
    case .relay(let region, let key): relay(bytes, from: node, to: key, through: region)
    }
  }

  private func count(_ bytes: [UInt8], by node: VirtualNode, to destination: PacketSource) {
    // SAFETY: the call keeps nothing of the bytes.
    switch unsafe bytes.withUnsafeBytes({ unsafe DatagramKind.classify($0) }) {
    case .disco: node.economy.discoveryMessages += 1
    case .geneve:
      if GeneveHeader(parsing: bytes)?.content == .disco { node.economy.discoveryMessages += 1 }
    case .stun: node.economy.stunRequests += 1
    case .wireguard: if bytes.first == 1 { node.economy.handshakes += 1 }
    case .noise: break
    }
    if case .direct = destination {
      node.economy.directBytes += bytes.count
    } else {
      node.economy.relayedBytes += bytes.count
    }
  }

  func launch(_ bytes: [UInt8], by host: HostID, from: Endpoint, to: Endpoint) {
    let arrivals = internet.send(bytes.count, by: host, from: from, to: to, at: now)
    for arrival in arrivals {
      agenda.note(
        .datagram(
          arrival.host,
          bytes,
          from: arrival.source,
          to: arrival.destination,
          Launch(host: host, aim: to)
        ),
        at: now + arrival.delay
      )
    }
  }

  private func handle(_ event: PipelineEvent, of node: VirtualNode) {
    switch event {
    case .endpointsChanged(let endpoints):
      node.endpoints = endpoints
      report(node)
    case .homeRelayChanged(let home):
      tell("node\(node.index): home \(home.map { "\($0)" } ?? "none")")
      setHome(home, of: node)
    case .netcheckFinished(let report):
      node.report = report
      withMapper(of: node) { $0.takeInterest(at: $1, into: &$2) }
      self.report(node)
    case .httpsProbeWanted(let probe): answer(probe, of: node)
    case .resolutionWanted(let name):
      withPaths(node) { $0.resolved(name, to: [], at: $1, into: &$2) }
    case .relayRequested(let request): allocate(request, at: node)
    case .pathTrace(let trace): tell("node\(node.index): \(trace)")
    default: break
    }
  }

  private func answer(_ probe: Magicsock.Effects.HTTPSProbe, of node: VirtualNode) {
    let relay = relays.first { $0.region == probe.region }
    let route = relay.flatMap { internet.route(from: node.host, to: $0.host) }
    let event = Event.probed(
      node: node.index,
      id: probe.netcheck,
      probe.region,
      route.map { $0.latency + $0.latency }
    )
    agenda.note(event, at: now + (route.map { $0.latency * 6 } ?? probe.timeout))
  }

  func probed(_ node: VirtualNode, _ id: UInt64, _ region: RegionID, _ latency: Duration?) {
    guard !node.isAsleep else { return }
    withPaths(node) {
      $0.httpsProbeFinished(
        netcheck: id,
        region: region,
        latency: latency,
        over: .v4,
        at: $1,
        into: &$2
      )
    }
  }
}
