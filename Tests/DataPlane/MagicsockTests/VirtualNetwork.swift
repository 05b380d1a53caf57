// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import Disco
import Keys
import Magicsock
import Packets
import PeerRelay
import STUN
import TestSupport
import Timing

/// How a NAT behaves, in the words of RFC 4787 §§4 and 5.
struct NATBehaviour: Hashable, Sendable {
  enum Dependence: Hashable, Sendable {
    case endpointIndependent
    case addressDependent
    case addressAndPortDependent
  }

  var mapping: Dependence
  var filtering: Dependence

  /// Keeps ports; lets in whom one has sent to: the usual home router.
  static let easy = NATBehaviour(
    mapping: .endpointIndependent,
    filtering: .addressAndPortDependent
  )
  /// Another port for every destination.
  static let hard = NATBehaviour(
    mapping: .addressAndPortDependent,
    filtering: .addressAndPortDependent
  )
  /// Lets in everybody once something went out.
  static let open = NATBehaviour(
    mapping: .endpointIndependent,
    filtering: .endpointIndependent
  )
}

/// One NAT with its table.
struct VirtualNAT {
  private struct Flow: Hashable {
    var inside: Endpoint
    var remote: Endpoint?
  }

  var behaviour: NATBehaviour
  var address: IPAddress
  private var ports: [Flow: UInt16] = [:]
  private var insides: [UInt16: Endpoint] = [:]
  private var permitted: [UInt16: Set<Endpoint>] = [:]
  private var nextPort: UInt16 = 20_000

  init(_ behaviour: NATBehaviour, address: IPAddress) {
    (self.behaviour, self.address) = (behaviour, address)
  }

  mutating func outbound(from inside: Endpoint, to remote: Endpoint) -> Endpoint {
    let key =
      switch behaviour.mapping {
      case .endpointIndependent: Flow(inside: inside, remote: nil)
      case .addressDependent: Flow(inside: inside, remote: Endpoint(remote.address, port: 0))
      case .addressAndPortDependent: Flow(inside: inside, remote: remote)
      }
    let port = ports[key] ?? nextPort
    if ports[key] == nil {
      ports[key] = port
      nextPort += 7
      insides[port] = inside
    }
    permitted[port, default: []].insert(remote)
    return Endpoint(address, port: port)
  }

  func inbound(to port: UInt16, from remote: Endpoint) -> Endpoint? {
    guard let inside = insides[port], let allowed = permitted[port] else { return nil }
    let passes =
      switch behaviour.filtering {
      case .endpointIndependent: true
      case .addressDependent: allowed.contains { $0.address == remote.address }
      case .addressAndPortDependent: allowed.contains(remote)
      }
    return passes ? inside : nil
  }

  /// Forgets every mapping, as at a restart.
  mutating func forget() { self = VirtualNAT(behaviour, address: address) }
}

/// A small internet with a clock that jumps: hosts, their NATs, two STUN servers, one relay region.
final class VirtualNetwork {
  /// A node and what happened to it.
  struct Host {
    var id: PeerID
    var nodeKey: NodeKey
    var discoKey: DiscoPrivateKey
    var socket: MagicSocket
    var address: IPAddress
    var port: UInt16 = 41_641
    var nat: Int?
    var endpoints: [Endpoint] = []
    var homeRegion: RegionID?
    var isUDPBlocked = false
    var received: [Arrival] = []
    var traces: [Effects.Trace] = []
    var pingResults: [Effects.PingResult] = []
    var reports: [NetcheckReport] = []
    var discoSent = 0
    var sentByRelay = 0
    var sentByPeerRelay = 0
    /// The peer relay that it runs, on a port of its own.
    var relay: PeerRelayServer?
    var isRelayDown = false

    var endpoint: Endpoint { Endpoint(address, port: port) }
  }

  struct Arrival: Hashable {
    var sequence: UInt64
    var from: PeerID
    var isDirect: Bool
    var at: Instant
  }

  private struct InFlight {
    var at: Instant
    var order: Int
    var host: Int
    var bytes: [UInt8]
    var source: PacketSource
  }

  static let region = RegionID(1)
  static let relayPort: UInt16 = 7777
  static let stunServers = [
    Endpoint(IPAddress(198, 51, 100, 1), port: 3478),
    Endpoint(IPAddress(198, 51, 100, 2), port: 3478),
  ]

  var now = Instant(nanoseconds: 1_000_000_000)
  var hosts: [Host] = []
  var nats: [VirtualNAT] = []
  /// Pairs of hosts between which nothing passes directly.
  var cut: Set<Set<Int>> = []
  var lossPercent = 0
  /// The largest IPv4 packet that passes between hosts; larger ones vanish without a word.
  var pathMTU = 65_535
  var copies = 1
  var directLatency = Duration.milliseconds(10)
  var relayLatency = Duration.milliseconds(40)
  /// Who may use the peer relays that there are.
  var relayUsers: Set<Int> = []
  /// Whether the coordination server tells endpoints to the others.
  var tellsEndpoints = true
  /// Every datagram that was delivered, when set.
  var onDelivery: ((Int, [UInt8], PacketSource) -> Void)?
  private var queue: [InFlight] = []
  private var order = 0
  private var random: SeededGenerator
  private var sequence: UInt64 = 0

  init(seed: UInt64) { random = SeededGenerator(state: seed) }

  var relayMap: RelayMap {
    let nodes = Self.stunServers.enumerated().map { index, endpoint in
      RelayNode(
        name: "1\(index)",
        regionID: Self.region,
        hostName: "\(endpoint.address)",
        ipv4: "\(endpoint.address)",
        ipv6: "none",
        stunPort: Int(endpoint.port)
      )
    }
    let second = RelayRegion(
      id: RegionID(2),
      nodes: [
        RelayNode(
          name: "2a",
          regionID: RegionID(2),
          hostName: "198.51.100.3",
          ipv4: "198.51.100.3",
          ipv6: "none",
          stunOnly: true
        )
      ],
      avoid: true
    )
    return RelayMap(regions: [
      Self.region: RelayRegion(id: Self.region, nodes: nodes), second.id: second,
    ])
  }

  // MARK: Building

  @discardableResult
  func addNAT(_ behaviour: NATBehaviour) -> Int {
    nats.append(
      VirtualNAT(behaviour, address: IPAddress(203, 0, 113, UInt8(nats.count + 1)))
    )
    return nats.count - 1
  }

  @discardableResult
  func addHost(behind nat: Int?, address: IPAddress? = nil) -> Int {
    var entropy = Entropy(seed: random.next())
    let key = NodePrivateKey.generate(using: &entropy).publicKey
    let disco = DiscoPrivateKey.generate(using: &entropy)
    let index = hosts.count
    let number = UInt8(index + 10)
    let fallback = nat == nil ? IPAddress(192, 0, 2, number) : IPAddress(10, 0, number, number)
    hosts.append(
      Host(
        id: PeerID(Int64(index + 1)),
        nodeKey: key,
        discoKey: disco,
        socket: MagicSocket(nodeKey: key, discoKey: disco, entropy: entropy),
        address: address ?? fallback,
        nat: nat
      )
    )
    return index
  }

  /// Attaches everybody to the network and tells everybody about everybody.
  func start() {
    for index in hosts.indices { attach(index, isMajor: false) }
    configure()
    run(for: .seconds(8))
  }

  func attach(_ index: Int, isMajor: Bool) {
    let network = LocalNetwork(
      addresses: [hosts[index].address],
      portV4: hosts[index].port,
      portV6: nil
    )
    step(index) { $0.networkChanged(to: network, isMajor: isMajor, at: $1, into: &$2) }
  }

  func configure() {
    for index in hosts.indices { configure(index) }
  }

  func configure(_ index: Int) {
    let configuration = configuration(of: index)
    step(index) { $0.apply(configuration, at: $1, into: &$2) }
  }

  func configuration(of index: Int) -> MagicSocket.Configuration {
    var peers: [PeerID: PeerPathConfiguration] = [:]
    for (other, host) in hosts.enumerated() where other != index {
      peers[host.id] = PeerPathConfiguration(
        nodeKey: host.nodeKey,
        discoKey: host.discoKey.publicKey,
        endpoints: tellsEndpoints ? host.endpoints : [],
        homeRegion: host.homeRegion,
        capabilityVersion: relayUsers.contains(other) ? 130 : 0,
        mayAllocate: relayUsers.contains(other)
      )
    }
    var configuration = MagicSocket.Configuration(
      nodeKey: hosts[index].nodeKey,
      peers: peers,
      relayMap: relayMap
    )
    configuration.servesPeerRelay = hosts[index].relay != nil
    configuration.peerRelays =
      relayUsers.contains(index)
      ? hosts.filter { $0.relay != nil }.map {
        PeerRelayCandidate(
          nodeKey: $0.nodeKey,
          discoKey: $0.discoKey.publicKey,
          homeRegion: $0.homeRegion,
          isSelf: $0.id == hosts[index].id
        )
      } : []
    return configuration
  }

  // MARK: Running

  /// Lets time pass, jumping from event to event.
  func run(for duration: Duration) {
    let end = now + duration
    while let next = nextEvent, next <= end {
      now = max(now, next)
      deliverDue()
      for index in hosts.indices where hosts[index].relay.map({ $0.nextTimeout <= now }) == true {
        hosts[index].relay?.handleTimeouts(at: now)
      }
      for index in hosts.indices where hosts[index].socket.nextTimeout ?? end + duration <= now {
        step(index) { $0.handleTimeouts(at: $1, into: &$2) }
      }
    }
    now = end
  }

  /// Sends traffic both ways for a while.
  func talk(
    _ one: Int,
    _ other: Int,
    for duration: Duration,
    every: Duration = .milliseconds(100),
    size: Int = 40
  ) {
    let end = now + duration
    while now < end {
      send(from: one, to: other, size: size)
      send(from: other, to: one, size: size)
      run(for: every)
    }
  }

  /// Sends one packet of the user; returns its number.
  @discardableResult
  func send(from one: Int, to other: Int, size: Int = 40) -> UInt64 {
    sequence += 1
    let peer = hosts[other].id
    var effects = Effects()
    var paths = hosts[one].socket.paths(to: peer, at: now, into: &effects)
    if size > paths.limit { paths = hosts[one].socket.largePaths(to: peer, at: now) }
    perform(effects, one)
    var bytes: [UInt8] = [4, 0, 0, 0]
    bytes += (0..<8).map { UInt8(truncatingIfNeeded: sequence >> (56 - 8 * UInt64($0))) }
    bytes += [UInt8](repeating: 0, count: size - 13) + [UInt8(one)]
    if let direct = paths.direct, paths.network == 0 {
      transmit(bytes, from: one, to: .direct(direct))
    }
    if paths.network != 0, let hop = paths.hop {
      hosts[one].sentByPeerRelay += 1
      let header = GeneveHeader(
        isControl: false,
        content: .wireguard,
        virtualNetwork: paths.network
      )
      transmit(header.bytes + bytes, from: one, to: hop)
    }
    if let region = paths.relay {
      hosts[one].sentByRelay += 1
      transmit(bytes, from: one, to: .relay(region, hosts[other].nodeKey))
    }
    return sequence
  }

  /// Calls a socket and does what it asks for.
  func step(_ index: Int, _ body: (inout MagicSocket, Instant, inout Effects) -> Void) {
    var effects = Effects()
    body(&hosts[index].socket, now, &effects)
    perform(effects, index)
  }

  private var nextEvent: Instant? {
    ([queue.first?.at] + hosts.map(\.socket.nextTimeout) + hosts.map { $0.relay?.nextTimeout })
      .compactMap(\.self).min()
  }

  private func deliverDue() {
    while let packet = queue.first, packet.at <= now {
      queue.removeFirst()
      onDelivery?(packet.host, packet.bytes, packet.source)
      deliver(packet.bytes, to: packet.host, from: packet.source)
    }
  }

  func deliver(_ bytes: [UInt8], to index: Int, from source: PacketSource) {
    if let header = GeneveHeader(parsing: bytes), header.content == .wireguard,
      case .direct(let relay) = source
    {
      return accept(
        Array(bytes.dropFirst(8)),
        to: index,
        from: .peerRelay(relay, header.virtualNetwork)
      )
    }
    guard DatagramKind.classify(bytes) == .wireguard else {
      return step(index) { $0.receive(bytes, from: source, at: $1, into: &$2) }
    }
    accept(bytes, to: index, from: source)
  }

  private func accept(_ bytes: [UInt8], to index: Int, from source: PacketSource) {
    let from: Int? =
      switch source {
      case .peerRelay: bytes.last.map { Int($0) }
      case .relay(_, let key): hosts.firstIndex { $0.nodeKey == key }
      case .direct(let endpoint): sender(of: endpoint)
      }
    guard let from, bytes.count >= 12 else { return }
    let number = bytes[4..<12].reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    var isDirect = false
    if case .direct = source { isDirect = true }
    hosts[index].received.append(
      Arrival(sequence: number, from: hosts[from].id, isDirect: isDirect, at: now)
    )
    let peer = hosts[from].id
    step(index) { $0.noteAuthenticated(peer, from: source, at: $1, into: &$2) }
  }

  private func sender(of endpoint: Endpoint) -> Int? {
    hosts.firstIndex { host in
      host.endpoint == endpoint || host.nat.map { nats[$0].address == endpoint.address } ?? false
    }
  }

  private func perform(_ effects: Effects, _ index: Int) {
    for send in effects.sends { transmit(send.bytes, from: index, to: send.destination) }
    hosts[index].traces += effects.traces
    hosts[index].pingResults += effects.pingResults
    hosts[index].reports += effects.netcheckReports
    for request in effects.relayRequests {
      guard let allocation = hosts[index].relay?.allocate(request.clients, at: now) else {
        continue
      }
      step(index) { $0.relayAllocated(allocation, for: request, at: $1, into: &$2) }
    }
    for region in effects.homeRelayChanged { hosts[index].homeRegion = region }
    if let list = effects.endpointsChanged.last { hosts[index].endpoints = list.map(\.endpoint) }
    for region in effects.homeRelayChanged.compactMap(\.self) {
      hosts[index].socket.relayConnected(region, at: now)
    }
    for probe in effects.httpsProbes {
      step(index) {
        $0.httpsProbeFinished(
          netcheck: probe.netcheck,
          region: probe.region,
          latency: .milliseconds(50),
          over: .v4,
          at: $1,
          into: &$2
        )
      }
    }
    guard !effects.endpointsChanged.isEmpty || !effects.homeRelayChanged.isEmpty else { return }
    for other in hosts.indices where other != index { configure(other) }
  }

  // MARK: Wires

  func transmit(_ bytes: [UInt8], from index: Int, to destination: PacketSource) {
    if DatagramKind.classify(bytes) == .disco { hosts[index].discoSent += 1 }
    switch destination {
    case .relay(let region, let key):
      guard let other = hosts.firstIndex(where: { $0.nodeKey == key }) else { return }
      let source = PacketSource.relay(region, hosts[index].nodeKey)
      enqueue(bytes, for: other, from: source, after: relayLatency)
    case .direct(let endpoint), .peerRelay(let endpoint, _):
      transmit(bytes, from: index, to: endpoint)
    }
  }

  /// Makes a host a peer relay.
  func startRelay(_ index: Int) {
    var relay = PeerRelayServer(entropy: Entropy(seed: random.next()), at: now)
    let place = Endpoint(hosts[index].address, port: Self.relayPort)
    relay.attach(local: [place], explicit: [], servers: [], at: now)
    hosts[index].relay = relay
  }

  /// What reaches a peer relay, and what it does with it.
  private func relay(_ bytes: [UInt8], at index: Int, from source: Endpoint) {
    guard !hosts[index].isRelayDown else { return }
    let place = Endpoint(hosts[index].address, port: Self.relayPort)
    var bytes = bytes
    switch bytes.withPacketBytes({ RelayedKind(of: $0) }) {
    case .control:
      guard let reply = hosts[index].relay?.receive(bytes, from: source, at: now) else { return }
      passBack(reply, from: place, to: source)
    case .data(let network):
      guard
        let next = hosts[index].relay?.forward(
          network,
          from: source,
          packets: 1,
          bytes: bytes.count,
          at: now
        )
      else { return }
      passBack(bytes, from: place, to: next)
    default: break
    }
  }

  /// From a public address to a client of the relay.
  private func passBack(_ bytes: [UInt8], from place: Endpoint, to endpoint: Endpoint) {
    for (other, candidate) in hosts.enumerated() where !candidate.isUDPBlocked {
      if let nat = candidate.nat {
        guard nats[nat].address == endpoint.address,
          nats[nat].inbound(to: endpoint.port, from: place) == candidate.endpoint
        else { continue }
      } else {
        guard candidate.endpoint == endpoint else { continue }
      }
      return enqueueLossy(bytes, for: other, from: .direct(place))
    }
  }

  private func transmit(_ bytes: [UInt8], from index: Int, to endpoint: Endpoint) {
    guard !hosts[index].isUDPBlocked else { return }
    let host = hosts[index]
    for other in hosts.indices where other != index && hosts[other].endpoint == endpoint {
      guard hosts[other].nat == host.nat, !cut.contains([index, other]) else { break }
      return enqueueLossy(bytes, for: other, from: .direct(host.endpoint))
    }
    let source =
      host.nat.map { nats[$0].outbound(from: host.endpoint, to: endpoint) } ?? host.endpoint
    if Self.stunServers.contains(endpoint) {
      guard let answer = BindingResponse.answering(bytes, from: source) else { return }
      return enqueueLossy(answer, for: index, from: .direct(endpoint))
    }
    for (other, candidate) in hosts.enumerated()
    where candidate.relay != nil && Endpoint(candidate.address, port: Self.relayPort) == endpoint {
      return relay(bytes, at: other, from: source)
    }
    for (other, candidate) in hosts.enumerated() where other != index {
      guard !cut.contains([index, other]), !candidate.isUDPBlocked else { continue }
      if let nat = candidate.nat {
        guard nats[nat].address == endpoint.address, nat != host.nat,
          nats[nat].inbound(to: endpoint.port, from: source) == candidate.endpoint
        else { continue }
      } else {
        guard candidate.endpoint == endpoint else { continue }
      }
      return enqueueLossy(bytes, for: other, from: .direct(source))
    }
  }

  private func enqueueLossy(_ bytes: [UInt8], for host: Int, from source: PacketSource) {
    guard bytes.count + 28 <= pathMTU else { return }
    for _ in 0..<copies where Int.random(in: 0..<100, using: &random) >= lossPercent {
      enqueue(bytes, for: host, from: source, after: directLatency)
    }
  }

  private func enqueue(
    _ bytes: [UInt8],
    for host: Int,
    from source: PacketSource,
    after delay: Duration
  ) {
    order += 1
    let packet = InFlight(at: now + delay, order: order, host: host, bytes: bytes, source: source)
    let place = queue.firstIndex { $0.at > packet.at } ?? queue.count
    queue.insert(packet, at: place)
  }
}

extension VirtualNetwork {
  /// Two hosts, each behind a NAT of its own.
  static func pair(_ one: NATBehaviour?, _ other: NATBehaviour?, seed: UInt64 = 1) -> VirtualNetwork
  {
    let network = VirtualNetwork(seed: seed)
    for behaviour in [one, other] {
      network.addHost(behind: behaviour.map { network.addNAT($0) })
    }
    return network
  }

  /// The trusted direct path of a host to a peer.
  func direct(_ one: Int, _ other: Int) -> Endpoint? {
    guard let status = hosts[one].socket.status(of: hosts[other].id, at: now), status.isTrusted
    else { return nil }
    return status.direct
  }
}
