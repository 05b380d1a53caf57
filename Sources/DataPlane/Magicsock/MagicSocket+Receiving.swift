// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import DERP
import Disco
public import Keys
import STUN
public import Timing

/// What arrives.
extension MagicSocket {
  // MARK: Datagrams

  /// Takes a datagram of discovery or STUN.
  public mutating func receive(
    _ datagram: [UInt8],
    from source: PacketSource,
    at now: Instant,
    into effects: inout Effects
  ) {
    if case .relay(let region, _) = source { home.noteHeard(region, at: now) }
    switch (DatagramKind.classify(datagram), source) {
    case (.stun, .direct): receiveSTUN(datagram, at: now, into: &effects)
    case (.disco, .direct), (.disco, .relay):
      receiveDisco(datagram, from: source, at: now, into: &effects)
    case (.geneve, .direct(let endpoint)):
      receiveGeneve(datagram, from: endpoint, at: now, into: &effects)
    default: sealer.counters.unsupported += 1
    }
  }

  /// Takes discovery that came through a peer relay, or from one.
  private mutating func receiveGeneve(
    _ datagram: [UInt8],
    from endpoint: Endpoint,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let header = GeneveHeader(parsing: datagram), header.version == 0,
      header.content == .disco, header.virtualNetwork != 0
    else {
      sealer.counters.unsupported += 1
      return
    }
    let message = Array(datagram[GeneveHeader.byteCount...])
    let network = header.virtualNetwork
    if header.isControl {
      receiveControl(message, from: endpoint, network, at: now, into: &effects)
    } else {
      receiveDisco(message, from: .peerRelay(endpoint, network), at: now, into: &effects)
    }
  }

  private mutating func receiveSTUN(
    _ datagram: [UInt8],
    at now: Instant,
    into effects: inout Effects
  ) {
    // What is no response answers nothing: one of the strays.
    guard let response = try? BindingResponse(parsing: datagram),
      netcheck?.receive(response, at: now) == true
    else {
      sealer.counters.strayResponses += 1
      return
    }
    advanceNetcheck(at: now, into: &effects)
  }

  private mutating func receiveDisco(
    _ datagram: [UInt8],
    from source: PacketSource,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let sender = Envelope.sender(of: datagram), !table.peers(with: sender).isEmpty else {
      sealer.counters.unknownSender += 1
      return
    }
    guard let plaintext = sealer.open(datagram, from: sender) else {
      sealer.counters.notAuthentic += 1
      return
    }
    // Only whether it makes sense matters: from here on the sender is known, its version may be newer.
    guard let message = try? Message(parsing: plaintext) else {
      sealer.counters.malformed += 1
      return
    }
    let relayed = noteRelayed(source, by: sender)
    switch message {
    case .ping(let ping):
      receive(ping, from: source, relayed, by: sender, at: now, into: &effects)
    case .pong(let pong): receive(pong, from: source, by: sender, at: now, into: &effects)
    case .callMeMaybe(let call): receive(call, relayed, at: now, into: &effects)
    case .callMeMaybeVia(let call): receive(call, relayed, at: now, into: &effects)
    case .allocate(let clients, let generation):
      receive(clients, generation, from: relayed, by: sender, at: now, into: &effects)
    case .allocated(let allocation, let generation):
      guard case .relay(_, let key) = source, relayed != nil else {
        sealer.counters.misroutedCalls += 1
        return
      }
      receive(allocation, generation, from: key, at: now, into: &effects)
    default: sealer.counters.unsupported += 1
    }
  }

  /// The peer whose relayed message this is: the holder of the node key that the relay names, if the
  /// message was sealed with its disco key.
  private mutating func noteRelayed(_ source: PacketSource, by sender: DiscoKey) -> PeerID? {
    guard case .relay(let region, let key) = source, let peer = table.peer(with: key),
      let slot = table.slot(of: peer), table.peers[slot].discoKey == sender
    else { return nil }
    table.peers[slot].heardRegion = region
    return peer
  }

  // MARK: Messages

  private mutating func receive(
    _ ping: Ping,
    from source: PacketSource,
    _ relayed: PeerID?,
    by sender: DiscoKey,
    at now: Instant,
    into effects: inout Effects
  ) {
    switch source {
    case .direct(let endpoint):
      guard note(ping, from: endpoint, by: sender, at: now, into: &effects) else { return }
      answer(ping, seenFrom: endpoint, to: source, sender, into: &effects)
      pingBack(endpoint, ping, by: sender, at: now, into: &effects)
    case .peerRelay(let endpoint, let network):
      answer(ping, seenFrom: endpoint, to: source, sender, into: &effects)
      pingBack(network, by: sender, at: now, into: &effects)
    case .relay(let region, _):
      guard relayed != nil else {
        sealer.counters.unknownSender += 1
        return
      }
      answer(ping, seenFrom: .standingFor(region), to: source, sender, into: &effects)
    }
  }

  /// Makes the source of a ping a candidate of every peer that it may be from.
  ///
  /// - Returns: Whether the ping is to be answered.
  private mutating func note(
    _ ping: Ping,
    from endpoint: Endpoint,
    by sender: DiscoKey,
    at now: Instant,
    into effects: inout Effects
  ) -> Bool {
    if let peer = owner(of: ping, by: sender), let slot = table.slot(of: peer) {
      table.map(endpoint, toPeerAt: slot)
    }
    var isNew = false
    for peer in table.peers(with: sender) {
      guard let slot = table.slot(of: peer) else { continue }
      let isNewHere = table.peers[slot].receive(
        ping,
        from: endpoint,
        at: now,
        with: &sealer,
        into: &effects
      )
      schedule(slot, at: now)
      isNew = isNew || isNewHere
    }
    return isNew
  }

  private mutating func answer(
    _ ping: Ping,
    seenFrom endpoint: Endpoint,
    to source: PacketSource,
    _ sender: DiscoKey,
    into effects: inout Effects
  ) {
    sealer.counters.pongsSent += 1
    let pong = Message.pong(Pong(id: ping.id, source: endpoint))
    effects.sendWrapped(sealer.seal(pong, to: sender), to: source)
  }

  private mutating func pingBack(
    _ endpoint: Endpoint,
    _ ping: Ping,
    by sender: DiscoKey,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let peer = owner(of: ping, by: sender), let slot = table.slot(of: peer) else { return }
    table.peers[slot].pingBack(endpoint, at: now, with: &sealer, into: &effects)
    schedule(slot, at: now)
  }

  /// Which of the peers with a disco key a ping is from: the one it names, or the only one.
  private func owner(of ping: Ping, by sender: DiscoKey) -> PeerID? {
    let peers = table.peers(with: sender)
    if let key = ping.nodeKey, let named = table.peer(with: key), peers.contains(named) {
      return named
    }
    return peers.count == 1 ? peers.first : nil
  }

  private mutating func receive(
    _ pong: Pong,
    from source: PacketSource,
    by sender: DiscoKey,
    at now: Instant,
    into effects: inout Effects
  ) {
    if case .peerRelay(_, let network) = source,
      finishMeeting(pong, network, by: sender, at: now, into: &effects)
    {
      sealer.counters.pongsReceived += 1
      return
    }
    for peer in table.peers(with: sender) {
      guard let slot = table.slot(of: peer),
        table.peers[slot].receive(pong, from: source, at: now, with: &sealer, into: &effects)
      else { continue }
      schedule(slot, at: now)
      sealer.counters.pongsReceived += 1
      if case .direct(let endpoint) = source { table.map(endpoint, toPeerAt: slot) }
      return
    }
    sealer.counters.stalePongs += 1
  }

  private mutating func receive(
    _ call: CallMeMaybe,
    _ relayed: PeerID?,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let relayed, let slot = table.slot(of: relayed) else {
      sealer.counters.misroutedCalls += 1
      return
    }
    guard table.peers[slot].admitCall(at: now) else {
      sealer.counters.excessCalls += 1
      return
    }
    sealer.counters.callsReceived += 1
    table.peers[slot].receive(call, at: now, with: &sealer, into: &effects)
    schedule(slot, at: now)
    if table.peers[slot].isActive(at: now) { seekRelay(slot, at: now, into: &effects) }
  }

  // MARK: The tunnel

  /// Who was proven to be at `endpoint`.
  public func peer(at endpoint: Endpoint) -> PeerID? { table.peer(at: endpoint) }

  /// Who holds a node key.
  public func peer(with key: NodeKey) -> PeerID? { table.peer(with: key) }

  /// Takes note that a packet of the tunnel from `peer` was authentic.
  ///
  /// It moves the path of a peer that speaks plain WireGuard, and of no other.
  public mutating func noteAuthenticated(
    _ peer: PeerID,
    from source: PacketSource,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let slot = table.slot(of: peer) else { return }
    lastActivity = now
    table.peers[slot].lastReceived = now
    switch source {
    case .direct(let endpoint):
      table.map(endpoint, toPeerAt: slot)
      if table.peers[slot].isPlain {
        table.peers[slot].roam(to: endpoint, at: now, into: &effects)
      }
      if table.peers[slot].sleepAt == nil { schedule(slot, at: now) }
    case .peerRelay: if table.peers[slot].sleepAt == nil { schedule(slot, at: now) }
    case .relay(let region, _):
      home.noteHeard(region, at: now)
      table.peers[slot].heardRegion = region
    }
  }

  // MARK: Relays

  /// Takes note that a relay is connected.
  public mutating func relayConnected(_ region: RegionID, at now: Instant) {
    connectedRelays.insert(region)
    home.noteHeard(region, at: now)
  }

  /// Takes note that a relay was lost, or that we left it.
  ///
  /// - Parameters:
  ///   - region: Its region.
  ///   - failed: Whether it broke: perhaps the network changed.
  ///   - now: Now.
  ///   - effects: What to do.
  public mutating func relayClosed(
    _ region: RegionID,
    failed: Bool,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard connectedRelays.remove(region) != nil, failed else { return }
    refresh(.relayFailed, full: false, at: now, into: &effects)
  }

  /// Takes note of any frame from the relay of a region: it is alive.
  public mutating func relayHeard(_ region: RegionID, at now: Instant) {
    home.noteHeard(region, at: now)
  }

  /// Takes note that a relay says a peer is not connected to it any more.
  public mutating func peerGone(_ key: NodeKey, from region: RegionID) {
    guard let peer = table.peer(with: key), let slot = table.slot(of: peer),
      table.peers[slot].heardRegion == region
    else { return }
    table.peers[slot].heardRegion = nil
  }
}

extension PeerPaths {
  /// Whether the peer may call now.
  mutating func admitCall(at now: Instant) -> Bool {
    var bucket =
      calls
      ?? TokenBucket(perSecond: PathLimits.calls.perSecond, burst: PathLimits.calls.burst, at: now)
    defer { calls = bucket }
    return bucket.admit(at: now)
  }
}

extension Endpoint {
  /// How a pong tells that its ping came through a relay: an address that cannot be.
  static func standingFor(_ region: RegionID) -> Endpoint {
    Endpoint(IPAddress(127, 3, 3, 40), port: UInt16(truncatingIfNeeded: region.rawValue))
  }
}
