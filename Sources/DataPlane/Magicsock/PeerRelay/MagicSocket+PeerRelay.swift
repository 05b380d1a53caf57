// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
package import Disco
package import Keys
package import Timing

/// A request of a peer, or of this node itself, for a network at this node's own peer relay.
package struct RelayRequest: Hashable, Sendable {
  /// Who asks; nil for this node.
  package var peer: PeerID?
  /// The two who want to meet.
  package var clients: RelayAllocation.ClientKeys
  /// Goes back with the answer.
  package var generation: UInt32
}

/// Reaching peers through other nodes, and letting peers reach each other through this one.
extension MagicSocket {
  // MARK: Looking for one

  /// Asks relays for a network in which to meet a peer, if that is wanted now.
  mutating func seekRelay(_ slot: Int, at now: Instant, into effects: inout Effects) {
    guard !peerRelays.isEmpty, table.peers[slot].wantsRelay(at: now) else { return }
    table.peers[slot].lastRelaySearch = now
    let peer = table.peers[slot]
    let clients = RelayAllocation.ClientKeys(sealer.publicKey, peer.discoKey).sorted
    for server in peerRelays.prefix(PathLimits.relayCandidates)
    where server.nodeKey != peer.configuration.nodeKey {
      guard let request = finder.ask(server, for: peer.id, clients, at: now) else { continue }
      send(request, into: &effects)
    }
  }

  private mutating func send(_ request: RelayFinder.Request, into effects: inout Effects) {
    sealer.counters.relayRequestsSent += 1
    let server = request.server
    guard !server.isSelf else {
      effects.relayRequests.append(
        RelayRequest(peer: nil, clients: request.clients, generation: request.generation)
      )
      return
    }
    let known = table.peer(with: server.nodeKey).flatMap { table.slot(of: $0) }
    let key = known.map { table.peers[$0].discoKey } ?? server.discoKey
    guard let region = known.flatMap({ relayRegion(of: $0) }) ?? server.homeRegion else { return }
    let message = Message.allocate(request.clients, generation: request.generation)
    effects.send(sealer.seal(message, to: key), to: .relay(region, server.nodeKey))
  }

  /// Takes the answer of a relay.
  mutating func receive(
    _ allocation: RelayAllocation,
    _ generation: UInt32,
    from server: NodeKey,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard allocation.isPlausible,
      let request = finder.answered(generation, by: server, allocation),
      let slot = table.slot(of: request.peer),
      allocation.clientKeys.contains(table.peers[slot].discoKey)
    else {
      sealer.counters.strayAllocations += 1
      return
    }
    guard meet(slot, in: allocation, at: now, into: &effects),
      let region = relayRegion(of: slot)
    else { return }
    let peer = table.peers[slot]
    sealer.counters.relayCallsSent += 1
    let datagram = sealer.seal(.callMeMaybeVia(allocation), to: peer.discoKey)
    effects.send(datagram, to: .relay(region, peer.configuration.nodeKey))
  }

  /// Takes a call to a network that a peer was given.
  mutating func receive(
    _ call: RelayAllocation,
    _ relayed: PeerID?,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let relayed, let slot = table.slot(of: relayed) else {
      sealer.counters.misroutedCalls += 1
      return
    }
    let peer = table.peers[slot]
    let pair = RelayAllocation.ClientKeys(sealer.publicKey, peer.discoKey).sorted
    guard usesPeerRelays, peer.configuration.capabilityVersion >= PathLimits.relayCapability,
      call.isPlausible, call.clientKeys.sorted == pair
    else {
      sealer.counters.strayAllocations += 1
      return
    }
    guard table.peers[slot].admitCall(at: now) else {
      sealer.counters.excessCalls += 1
      return
    }
    sealer.counters.relayCallsReceived += 1
    _ = meet(slot, in: call, at: now, into: &effects)
  }

  // MARK: The handshake

  /// Begins the handshake for a network, unless it is under way or the path in use.
  private mutating func meet(
    _ slot: Int,
    in allocation: RelayAllocation,
    at now: Instant,
    into effects: inout Effects
  ) -> Bool {
    let peer = table.peers[slot]
    if let best = peer.best, peer.isTrusted(at: now), best.relayKey == allocation.serverKey,
      best.virtualNetwork == allocation.virtualNetwork
    {
      return false
    }
    guard finder.begin(allocation, with: peer.id, peer.discoKey, at: now) else { return false }
    if let index = finder.handshake(with: allocation.serverKey, in: allocation.virtualNetwork) {
      bind(index, into: &effects)
    }
    return true
  }

  /// Tells the relay, wherever it may listen, that we are here.
  private mutating func bind(_ index: Int, into effects: inout Effects) {
    let handshake = finder.handshakes[index]
    let binding = RelayBinding(
      virtualNetwork: handshake.network,
      generation: handshake.generation,
      remoteKey: handshake.peerKey,
      challenge: [UInt8](repeating: 0, count: 32)
    )
    let server = handshake.allocation.serverKey
    for endpoint in handshake.allocation.endpoints.prefix(PathLimits.relayEndpoints)
    where endpoint.isCallable {
      let datagram = sealer.seal(.bind(binding), to: server)
      effects.sendRelayed(datagram, isControl: true, to: endpoint, handshake.network)
    }
  }

  /// Takes a message of a relay itself.
  mutating func receiveControl(
    _ datagram: [UInt8],
    from endpoint: Endpoint,
    _ network: UInt32,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let server = Envelope.sender(of: datagram),
      let index = finder.handshake(with: server, in: network)
    else {
      sealer.counters.unknownSender += 1
      return
    }
    guard let plaintext = sealer.open(datagram, from: server) else {
      sealer.counters.notAuthentic += 1
      return
    }
    // What else a relay may say in newer versions is not for us.
    guard case .bindChallenge(let binding)? = try? Message(parsing: plaintext),
      binding.isAbout(network, finder.handshakes[index].peerKey)
    else {
      sealer.counters.malformed += 1
      return
    }
    // The first address to answer is the nearest.
    guard finder.handshakes[index].answered == nil else { return }
    finder.handshakes[index].answered = (endpoint, binding.challenge)
    answer(index, at: now, into: &effects)
  }

  /// Proves that the challenge was received, and sees whether the peer is there.
  private mutating func answer(_ index: Int, at now: Instant, into effects: inout Effects) {
    let handshake = finder.handshakes[index]
    guard let answered = handshake.answered else { return }
    let binding = RelayBinding(
      virtualNetwork: handshake.network,
      generation: handshake.generation,
      remoteKey: handshake.peerKey,
      challenge: answered.challenge
    )
    let datagram = sealer.seal(.bindAnswer(binding), to: handshake.allocation.serverKey)
    effects.sendRelayed(datagram, isControl: true, to: answered.endpoint, handshake.network)
    ping(index, at: now, into: &effects)
  }

  private mutating func ping(_ index: Int, at now: Instant, into effects: inout Effects) {
    let handshake = finder.handshakes[index]
    guard let endpoint = handshake.answered?.endpoint,
      handshake.pings.count < PathLimits.relayPings
    else { return }
    let id = PingID(using: &sealer.entropy)
    finder.handshakes[index].pings.append((id, now))
    sealer.counters.pingsSent += 1
    let datagram = sealer.sealPing(id, size: 0, to: handshake.peerKey)
    effects.sendRelayed(datagram, isControl: false, to: endpoint, handshake.network)
  }

  /// Takes note of a ping through a relay: the peer is there, so perhaps it can hear us now.
  mutating func pingBack(
    _ network: UInt32,
    by sender: DiscoKey,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let index = finder.handshake(toMeet: sender, in: network) else { return }
    ping(index, at: now, into: &effects)
  }

  /// Takes a pong through a relay that answers a ping of the handshake; false when it does not.
  mutating func finishMeeting(
    _ pong: Pong,
    _ network: UInt32,
    by sender: DiscoKey,
    at now: Instant,
    into effects: inout Effects
  ) -> Bool {
    guard let index = finder.handshake(toMeet: sender, in: network),
      let endpoint = finder.handshakes[index].answered?.endpoint,
      let ping = finder.handshakes[index].pings.first(where: { $0.id == pong.id })
    else { return false }
    let handshake = finder.handshakes.remove(at: index)
    sealer.forget(handshake.allocation.serverKey)
    guard let slot = table.slot(of: handshake.peer), table.peers[slot].discoKey == sender else {
      return true
    }
    sealer.counters.relayPathsFound += 1
    table.peers[slot].adopt(
      PathQuality(
        endpoint: endpoint,
        virtualNetwork: network,
        latency: now - ping.sentAt,
        relayKey: handshake.allocation.serverKey
      ),
      at: now,
      into: &effects
    )
    table.peers[slot].proveSize(at: now, with: &sealer, into: &effects)
    schedule(slot, at: now)
    return true
  }

  // MARK: Time

  mutating func handleRelayTimeouts(at now: Instant, into effects: inout Effects) {
    guard finder.nextTimeout <= now else { return }
    for over in finder.expire(at: now) { sealer.forget(over.allocation.serverKey) }
    for request in finder.dueRequests(at: now) { send(request, into: &effects) }
    for index in finder.dueHandshakes(at: now) {
      if finder.handshakes[index].answered == nil {
        bind(index, into: &effects)
      } else {
        answer(index, at: now, into: &effects)
      }
    }
  }

  // MARK: Being one

  /// Takes a request for a network at this node's relay.
  mutating func receive(
    _ clients: RelayAllocation.ClientKeys,
    _ generation: UInt32,
    from relayed: PeerID?,
    by sender: DiscoKey,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let relayed, let slot = table.slot(of: relayed) else {
      sealer.counters.misroutedCalls += 1
      return
    }
    guard servesPeerRelay, table.peers[slot].configuration.mayAllocate, generation != 0,
      clients.contains(sender), clients.first != clients.second
    else {
      sealer.counters.relayRequestsRefused += 1
      return
    }
    guard table.peers[slot].admitCall(at: now) else {
      sealer.counters.excessCalls += 1
      return
    }
    effects.relayRequests.append(
      RelayRequest(peer: relayed, clients: clients, generation: generation)
    )
  }

  /// Takes what this node's own relay gave to who asked.
  package mutating func relayAllocated(
    _ allocation: RelayAllocation,
    for request: RelayRequest,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let peer = request.peer else {
      return receive(
        allocation,
        request.generation,
        from: sealer.nodeKey,
        at: now,
        into: &effects
      )
    }
    guard let slot = table.slot(of: peer), let region = relayRegion(of: slot) else { return }
    let message = Message.allocated(allocation, generation: request.generation)
    let datagram = sealer.seal(message, to: table.peers[slot].discoKey)
    effects.send(datagram, to: .relay(region, table.peers[slot].configuration.nodeKey))
  }
}

extension RelayAllocation {
  /// Whether it could be a network at a relay.
  var isPlausible: Bool {
    !serverKey.isZero && virtualNetwork != 0 && virtualNetwork >> 24 == 0
      && clientKeys.first != clientKeys.second
  }
}

extension Effects {
  /// Sends a discovery message to a peer, whatever its way.
  mutating func sendWrapped(_ datagram: [UInt8], to destination: PacketSource) {
    guard case .peerRelay(let endpoint, let network) = destination else {
      return send(datagram, to: destination)
    }
    sendRelayed(datagram, isControl: false, to: endpoint, network)
  }

  /// Sends a discovery message in a network of a peer relay.
  mutating func sendRelayed(
    _ datagram: [UInt8],
    isControl: Bool,
    to endpoint: Endpoint,
    _ network: UInt32
  ) {
    let header = GeneveHeader(isControl: isControl, content: .disco, virtualNetwork: network)
    send(header.bytes + datagram, to: .peerRelay(endpoint, network))
  }
}
