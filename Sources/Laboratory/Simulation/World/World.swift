// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Coordination
import Cryptography
import DERP
import Keys
import LocalAPI
import PacketPipeline
import PeerRelay
package import Timing

/// A small world: an internet, relays, a coordination server and nodes, under a clock that jumps.
///
/// The nodes are the real cores; everything else is made of values. The same topology, changes and seed
/// give the same run, event by event (in one process or with deterministic hashing).
package final class World {
  /// How a network that hosts may join is made.
  package struct Network: Hashable, Sendable {
    /// Its router; nil for hosts that are on the internet itself.
    package var nat: NATBehaviour?
    /// The network that its router is attached to; nil for the internet.
    package var above: Int?
    /// Whether it has IPv6.
    package var hasV6: Bool
    /// The line of its router.
    package var uplink: LinkConditions

    /// A network.
    package init(
      nat: NATBehaviour?,
      above: Int? = nil,
      hasV6: Bool = false,
      uplink: LinkConditions = LinkConditions(latency: .milliseconds(8))
    ) {
      (self.nat, self.above, self.hasV6, self.uplink) = (nat, above, hasV6, uplink)
    }
  }

  /// What a world is made of.
  package struct Topology: Hashable, Sendable {
    /// The networks.
    package var networks: [Network]
    /// For each node the network that it is in at first.
    package var nodes: [Int]
    /// How many relay regions there are.
    package var relays: Int
    /// Which of the nodes carry packets for the others.
    package var peerRelays: [Int]

    /// A topology.
    package init(networks: [Network], nodes: [Int], relays: Int = 1, peerRelays: [Int] = []) {
      (self.networks, self.nodes, self.relays) = (networks, nodes, relays)
      self.peerRelays = peerRelays
    }
  }

  static let epoch = Timestamp(seconds: 1_800_000_000)

  /// What the world is made of.
  package let topology: Topology
  /// Now.
  package private(set) var now = Instant(nanoseconds: 1_000_000_000)
  /// What was found wrong, and what is being watched.
  package internal(set) var oracle = Oracle()
  var agenda = Agenda<Event>()
  var internet: Internet
  var realms: [RealmID] = []
  var nodes: [VirtualNode] = []
  var relays: [VirtualRelay] = []
  let coordination: VirtualCoordination
  var connections: [ConnectionID: Connection] = [:]
  var nextConnection = 0
  var random: Entropy
  var nextHost: UInt32 = 2
  var nodesByKey: [NodeKey: Int] = [:]
  var nodesByHost: [HostID: Int] = [:]
  var relaysByHost: [HostID: Int] = [:]
  var hasNews = false
  /// Told every event, in words, when set.
  package var trace: ((Instant, String) -> Void)?

  /// A world in which everybody is about to start.
  package init(_ topology: Topology, seed: UInt64) {
    self.topology = topology
    var random = Entropy(seed: seed)
    var internet = Internet(random: Entropy(seed: random.next()))
    var map: [Int: DERPRegion] = [:]
    var relays: [VirtualRelay] = []
    for index in 0..<topology.relays {
      let address = IPAddress(192, 0, 2, UInt8(10 + index))
      let v6 = IPAddress(high: 0x2001_0DB8_0000_0000, low: UInt64(10 + index))
      // Regions lie ever further away, so that the first is everybody's home while it lives.
      let access = LinkConditions(latency: .milliseconds(10 + 25 * index))
      let host = internet.addHost([address, v6], in: .internet, access: access)
      let region = RegionID(index + 1)
      relays.append(VirtualRelay(region: region, host: host, seed: random.next()))
      let node = DERPNode(
        name: "\(region)a",
        regionID: region.rawValue,
        hostName: "relay\(region).example",
        ipv4: "\(address)",
        ipv6: "\(v6)"
      )
      map[region.rawValue] = DERPRegion(
        regionID: region.rawValue,
        regionCode: "r\(region)",
        regionName: "Region \(region)",
        nodes: [node]
      )
    }
    let server = internet.addHost([IPAddress(192, 0, 2, 1)], in: .internet)
    coordination = VirtualCoordination(
      host: server,
      relayMap: DERPMap(regions: map),
      seed: random.next(),
      at: Coordination.Moment(instant: now, time: Self.epoch)
    )
    (self.internet, self.relays, self.random) = (internet, relays, random)
    for (index, relay) in relays.enumerated() { relaysByHost[relay.host] = index }
    for network in topology.networks { addNetwork(network) }
    if !topology.peerRelays.isEmpty { coordination.allowPeerRelays(at: serverMoment) }
    for network in topology.nodes { addNode(in: network) }
    agenda.note(.tick, at: now + .seconds(1))
  }

  private func addNetwork(_ network: Network) {
    let number = UInt8(realms.count + 1)
    guard let nat = network.nat else { return realms.append(.internet) }
    let parent = network.above.map { realms[$0] } ?? .internet
    let outer =
      parent == .internet
      ? IPAddress(198, 51, number, 1) : IPAddress(10, number, 0, 1)
    let v6 = IPPrefix(
      IPAddress(high: 0x2001_0DB8_0000_0000 | UInt64(number) << 8, low: 0),
      length: 56
    )
    realms.append(
      internet.addRealm(
        behind: nat,
        at: outer,
        in: parent,
        v6: network.hasV6 ? v6 : nil,
        uplink: network.uplink
      )
    )
  }

  private func addNode(in network: Int) {
    let addresses = freshAddresses(in: network)
    let host = internet.addHost(addresses, in: realms[network])
    let node = VirtualNode(index: nodes.count, host: host, seed: random.next())
    nodes.append(node)
    nodesByKey[node.nodeKey.publicKey] = node.index
    nodesByHost[host] = node.index
    if topology.peerRelays.contains(node.index) {
      node.preferences.relayServerPort = VirtualNode.relayPort
      node.relay = PeerRelayServer(entropy: Entropy(seed: random.next()), at: now)
    }
    attach(node, isMajor: true)
    agenda.note(.dial(node: node.index, .coordination), at: now)
  }

  /// Addresses for a host that comes to a network.
  func freshAddresses(in network: Int) -> [IPAddress] {
    nextHost += 1
    let low = UInt8(truncatingIfNeeded: nextHost & 0xFF)
    let high = UInt8(truncatingIfNeeded: nextHost >> 8)
    let number = UInt8(network + 1)
    let isBehind = topology.networks[network].nat != nil
    var addresses = [
      isBehind ? IPAddress(192, 168, number, low) : IPAddress(203, 0, high, low)
    ]
    if topology.networks[network].hasV6 {
      let prefix: UInt64 = isBehind ? UInt64(number) << 8 : 0xFFFF
      addresses.append(IPAddress(high: 0x2001_0DB8_0000_0000 | prefix, low: UInt64(nextHost)))
    }
    return addresses
  }

  // MARK: Time

  /// Lets `duration` pass.
  package func run(for duration: Duration) { run(until: now + duration) }

  /// Lets time pass until `end`.
  package func run(until end: Instant) {
    while let next = agenda.next, next <= end, let (at, event) = agenda.take() {
      now = at
      handle(event)
      if hasNews { tellNews() }
    }
    now = end
  }

  /// The moment, as a node sees it.
  func moment(of node: VirtualNode) -> Pipeline.Moment {
    Pipeline.Moment(now: now, wall: wall + node.wallOffset)
  }

  /// The right time of day.
  var wall: Timestamp { Self.epoch + (now - .origin) }

  var serverMoment: Coordination.Moment { Coordination.Moment(instant: now, time: wall) }

  /// Makes something change at a time to come.
  package func plan(_ change: Change, after delay: Duration) {
    agenda.note(.change(change), at: now + delay)
  }

  /// Makes a node's host send to another's at a time to come.
  ///
  /// - Parameters:
  ///   - from: Who asks.
  ///   - to: Who is asked.
  ///   - size: How many bytes the question has at least.
  ///   - delay: After how long.
  package func planTalk(from: Int, to: Int, size: Int = 0, after delay: Duration) {
    agenda.note(.talk(from: from, to: to, size: size), at: now + delay)
  }

  func tell(_ text: @autoclosure () -> String) {
    if let trace { trace(now, text()) }
  }

  private func handle(_ event: Event) {
    switch event {
    case .wake(let index): wake(nodes[index])
    case .datagram(let host, let bytes, let source, let destination, let launch):
      receive(bytes, at: host, from: source, to: destination, launch)
    case .opened(let id, let node, let server, let way): opened(id, nodes[node], server, way)
    case .refused(let node, let server): refused(nodes[node], server)
    case .arrived(let id, let toNode, let payload): arrived(id, toNode: toNode, payload)
    case .retry(let id): retry(id)
    case .ended(let id, let node, let server, let tellsNode):
      ended(id, nodes[node], server, tellsNode: tellsNode)
    case .dial(let node, let server): dial(nodes[node], server)
    case .probed(let node, let id, let region, let latency):
      probed(nodes[node], id, region, latency)
    case .mapperWake(let node): wakeMapper(of: nodes[node])
    case .gatewaySays(let node, let bytes, let gateway):
      receive(bytes, from: gateway, by: nodes[node])
    case .tick: tick()
    case .change(let change): apply(change)
    case .talk(let from, let to, let size):
      talk(from: nodes[from], to: nodes[to], size: size)
    }
  }

  private func tick() {
    coordination.tick(at: serverMoment)
    hasNews = true
    for relay in relays { tick(relay) }
    for node in nodes where !node.isAsleep {
      tick(node)
      tickRelay(node)
    }
    agenda.note(.tick, at: now + .seconds(1))
  }
}
