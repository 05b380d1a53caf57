// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Timing

/// One NAT with its table.
///
/// - Source: RFC 4787.
struct VirtualNAT {
  private struct Flow: Hashable {
    var inside: Endpoint
    /// As much of the other end as the mapping depends on.
    var remote: Endpoint?
  }

  private struct Mapping {
    var inside: Endpoint
    var flow: Flow
    var lastUsed: Instant
    /// To whom something was sent, and when last.
    var permitted: [Endpoint: Instant] = [:]
  }

  let behaviour: NATBehaviour
  private(set) var address: IPAddress
  private var ports: [Flow: UInt16] = [:]
  private var mappings: [UInt16: Mapping] = [:]
  private var nextPort: UInt16 = 20_000
  /// Ports that hosts asked for: where they lead, and until when.
  private var forwards: [UInt16: (inside: Endpoint, until: Instant)] = [:]
  /// What came in by those ports, so that the answer leaves by them.
  private var forwardedFlows: [Flow: (port: UInt16, lastUsed: Instant)] = [:]

  init(_ behaviour: NATBehaviour, address: IPAddress) {
    (self.behaviour, self.address) = (behaviour, address)
  }

  /// How many mappings it holds.
  var count: Int { mappings.count }

  /// Where a datagram that leaves seems to come from.
  mutating func outbound(
    from inside: Endpoint,
    to remote: Endpoint,
    at now: Instant,
    using random: inout Entropy
  ) -> Endpoint {
    let answered = Flow(inside: inside, remote: remote)
    if let (port, lastUsed) = forwardedFlows[answered], !isOver(lastUsed, at: now) {
      forwardedFlows[answered]?.lastUsed = now
      return Endpoint(address, port: port)
    }
    let flow = Flow(inside: inside, remote: Self.part(of: remote, behaviour.mapping))
    if let port = ports[flow], let mapping = mappings[port], !isOver(mapping.lastUsed, at: now) {
      mappings[port]?.lastUsed = now
      mappings[port]?.permitted[remote] = now
      return Endpoint(address, port: port)
    }
    if let old = ports[flow] { mappings[old] = nil }
    let port = freePort(for: inside, at: now, using: &random)
    ports[flow] = port
    mappings[port] = Mapping(inside: inside, flow: flow, lastUsed: now, permitted: [remote: now])
    return Endpoint(address, port: port)
  }

  /// Where a datagram that arrives goes inside; nil when it is not let in.
  mutating func inbound(to port: UInt16, from remote: Endpoint, at now: Instant) -> Endpoint? {
    if let (inside, until) = forwards[port], until > now {
      forwardedFlows[Flow(inside: inside, remote: remote)] = (port, now)
      return inside
    }
    if let inside = answered(at: port, from: remote, at: now) { return inside }
    guard let mapping = mappings[port] else { return nil }
    guard !isOver(mapping.lastUsed, at: now) else {
      ports[mapping.flow] = nil
      mappings[port] = nil
      return nil
    }
    let passes =
      switch behaviour.filtering {
      case .endpointIndependent: true
      case .addressDependent: mapping.permitted.keys.contains { $0.address == remote.address }
      case .addressAndPortDependent: mapping.permitted[remote] != nil
      }
    guard passes else { return nil }
    if behaviour.isRefreshedInbound { mappings[port]?.lastUsed = now }
    return mapping.inside
  }

  /// Who inside answers what comes from `remote` by a port that led there until lately: a flow outlives
  /// what let it in, for routers look at new ones only.
  private func answered(at port: UInt16, from remote: Endpoint, at now: Instant) -> Endpoint? {
    forwardedFlows.first {
      $0.key.remote == remote && $0.value.port == port && !isOver($0.value.lastUsed, at: now)
    }?.key.inside
  }

  /// Forgets every mapping, as at a restart.
  mutating func restart() {
    ports = [:]
    mappings = [:]
    forwards = [:]
    forwardedFlows = [:]
  }

  // MARK: Ports that hosts ask for

  /// Lets everybody in by a port.
  ///
  /// - Returns: The port: the one wished for, where it is free.
  mutating func forward(
    to inside: Endpoint,
    wishing wish: UInt16,
    until: Instant,
    at now: Instant
  ) -> UInt16 {
    var port = forwards.first { $0.value.inside == inside }?.key ?? max(1, wish)
    while isTaken(port, from: inside, at: now) { port = port == .max ? 1024 : port + 1 }
    forwards[port] = (inside, until)
    return port
  }

  /// Lets nobody in any more by the ports of a host's port.
  mutating func forwardNoLonger(to inside: Endpoint) {
    forwards = forwards.filter { $0.value.inside != inside }
    forwardedFlows = forwardedFlows.filter { $0.key.inside != inside }
  }

  /// Whether somebody else has a port.
  private func isTaken(_ port: UInt16, from inside: Endpoint, at now: Instant) -> Bool {
    if let other = forwards[port], other.until > now { return other.inside != inside }
    guard let mapping = mappings[port], !isOver(mapping.lastUsed, at: now) else { return false }
    return mapping.inside != inside
  }

  /// Gets another outer address, as after a night; the table goes with the old one.
  mutating func move(to address: IPAddress) {
    self.address = address
    restart()
  }

  private func isOver(_ lastUsed: Instant, at now: Instant) -> Bool {
    now - lastUsed > behaviour.expiry
  }

  private mutating func freePort(
    for inside: Endpoint,
    at now: Instant,
    using random: inout Entropy
  ) -> UInt16 {
    if behaviour.allocation == .preserving, isFree(inside.port, at: now) { return inside.port }
    while true {
      if behaviour.allocation == .random {
        nextPort = UInt16.random(in: 1024...65_535, using: &random)
      } else {
        nextPort = nextPort == .max ? 1024 : nextPort + 1
      }
      if isFree(nextPort, at: now) { return nextPort }
    }
  }

  private mutating func isFree(_ port: UInt16, at now: Instant) -> Bool {
    if let forward = forwards[port], forward.until > now { return false }
    guard let mapping = mappings[port] else { return true }
    guard isOver(mapping.lastUsed, at: now) else { return false }
    ports[mapping.flow] = nil
    mappings[port] = nil
    return true
  }

  private static func part(of remote: Endpoint, _ dependence: NATBehaviour.Dependence) -> Endpoint?
  {
    switch dependence {
    case .endpointIndependent: nil
    case .addressDependent: Endpoint(remote.address, port: 0)
    case .addressAndPortDependent: remote
    }
  }
}

/// A firewall that translates nothing and lets in only answers: what IPv6 networks at home have.
struct StatefulFirewall {
  private struct Flow: Hashable {
    var inside: Endpoint
    var remote: Endpoint
  }

  /// How long an answer is awaited.
  static let expiry = Duration.seconds(120)

  private var flows: [Flow: Instant] = [:]

  mutating func outbound(from inside: Endpoint, to remote: Endpoint, at now: Instant) {
    flows[Flow(inside: inside, remote: remote)] = now
  }

  mutating func letsIn(to inside: Endpoint, from remote: Endpoint, at now: Instant) -> Bool {
    let flow = Flow(inside: inside, remote: remote)
    guard let last = flows[flow], now - last <= Self.expiry else { return false }
    flows[flow] = now
    return true
  }

  mutating func restart() { flows = [:] }
}
