// SPDX-License-Identifier: Apache-2.0

import Addressing
public import Cryptography
import DERP
import Disco
public import Keys
import Tables
public import Timing

/// Decides by which way packets reach each peer: directly by UDP, or through a relay.
///
/// It finds out where this node may be reached and which relay is nearest (netcheck), pings the
/// endpoints of peers to which packets go, and tells for every packet where to send it. It does not know
/// WireGuard: the pipeline tells it what was authentic.
///
/// Its parts: `PeerPaths` (one peer), `PeerTable` (who is who), `OwnEndpoints`, `NetcheckRun` and
/// `HomeChoice` (this node's place in the network), `DiscoSealer` (its voice).
public struct MagicSocket: Sendable {
  var sealer: DiscoSealer
  var table = PeerTable()
  var deadlines = DeadlineQueue<PeerID>()

  var relayMap = RelayMap()
  var staticEndpoints: [Endpoint] = []
  var fixedHomeRegion: RegionID?
  var isControlConnected = true
  var connectedRelays: Set<RegionID> = []

  var network: LocalNetwork?
  var ownEndpoints = OwnEndpoints()
  var home = HomeChoice()
  var relayAddresses = RelayAddresses()
  var netcheck: NetcheckRun?
  var netcheckCount: UInt64 = 0
  var lastReport: NetcheckReport?
  var lastFullNetcheck: Instant?
  /// A look at the network that must follow the one under way.
  var refreshNext: (reason: RefreshReason, full: Bool)?
  /// When our endpoints are looked at again.
  var refreshAt: Instant?
  /// Who is to be called once our endpoints are fresh.
  var pendingCalls: [PeerID] = []
  var lastActivity: Instant?
  var role = Role.alone

  var peerRelays: [PeerRelayCandidate] = []
  var usesPeerRelays = true
  var servesPeerRelay = false
  var finder: RelayFinder

  /// Path finding for a node without peers, on no network.
  ///
  /// - Parameters:
  ///   - nodeKey: This node's WireGuard key.
  ///   - discoKey: This run's discovery key.
  ///   - entropy: Where random numbers come from.
  public init(nodeKey: NodeKey, discoKey: DiscoPrivateKey, entropy: Entropy) {
    sealer = DiscoSealer(nodeKey: nodeKey, privateKey: discoKey, entropy: entropy)
    finder = RelayFinder(using: &sealer.entropy)
  }

  /// Tells how large the datagrams of the tunnel may be, so that paths are asked whether they carry
  /// them; before anything else happens.
  public mutating func probeSizes(upTo largest: Int) { sealer.largest = largest }

  /// Goes by another discovery key from now on.
  ///
  /// Paths that work stay: peers that have not heard of it are tried until they have.
  public mutating func use(_ key: DiscoPrivateKey) {
    sealer.use(key)
    finder.removeAll()
  }

  // MARK: Configuration

  /// Makes the peers, the relays and the rest what `configuration` says, by difference.
  ///
  /// A peer with neither discovery key nor plain WireGuard is left out; of two peers with one node key
  /// the lower number counts.
  public mutating func apply(
    _ configuration: Configuration,
    at now: Instant,
    into effects: inout Effects
  ) {
    sealer.nodeKey = configuration.nodeKey
    isControlConnected = configuration.isControlConnected
    let hadPeers = !table.peers.isEmpty
    applyPeers(configuration.peers, at: now, into: &effects)
    applyRest(of: configuration, hadPeers: hadPeers, at: now, into: &effects)
  }

  /// Changes some peers and takes some away, and makes the rest what `configuration` says.
  ///
  /// - Parameters:
  ///   - changed: The peers that are new or have changed; no two with one node key.
  ///   - removed: The peers that are gone.
  ///   - configuration: Everything else; the peers in it are not looked at.
  ///   - now: Now.
  ///   - effects: What to do.
  public mutating func change(
    _ changed: [(PeerID, PeerPathConfiguration)],
    removing removed: [PeerID],
    and configuration: Configuration,
    at now: Instant,
    into effects: inout Effects
  ) {
    sealer.nodeKey = configuration.nodeKey
    isControlConnected = configuration.isControlConnected
    let hadPeers = !table.peers.isEmpty
    for peer in removed { remove(peer, into: &effects) }
    for (peer, wanted) in changed {
      if wanted.isWireGuardOnly || !wanted.discoKey.isZero {
        update(peer, wanted, at: now, into: &effects)
      } else {
        remove(peer, into: &effects)
      }
    }
    applyRest(of: configuration, hadPeers: hadPeers, at: now, into: &effects)
  }

  /// Makes room for that many peers, so that adding them moves none.
  public mutating func reserve(peers count: Int) { table.reserve(count) }

  private mutating func applyRest(
    of configuration: Configuration,
    hadPeers: Bool,
    at now: Instant,
    into effects: inout Effects
  ) {
    usesPeerRelays = configuration.usesPeerRelays
    peerRelays = usesPeerRelays ? configuration.peerRelays : []
    servesPeerRelay = configuration.servesPeerRelay
    if configuration.fixedHomeRegion != fixedHomeRegion {
      fixedHomeRegion = configuration.fixedHomeRegion
      if let region = fixedHomeRegion { setHome(into: &effects) { $0.fix(region) } }
    }
    if configuration.relayMap != relayMap {
      relayMap = configuration.relayMap
      relayAddresses.forget()
      refresh(.relayMapChanged, full: true, at: now, into: &effects)
    }
    if configuration.staticEndpoints != staticEndpoints {
      staticEndpoints = configuration.staticEndpoints
      publishEndpoints(nil, at: now, into: &effects)
      refresh(.staticEndpointsChanged, full: false, at: now, into: &effects)
    }
    if !hadPeers, !table.peers.isEmpty {
      lastActivity = now
      refresh(.peersAppeared, full: false, at: now, into: &effects)
    }
  }

  private mutating func applyPeers(
    _ wanted: [PeerID: PeerPathConfiguration],
    at now: Instant,
    into effects: inout Effects
  ) {
    var usable: [PeerID: PeerPathConfiguration] = [:]
    var seen: Set<NodeKey> = []
    for (peer, configuration) in wanted.sorted(by: { $0.key < $1.key })
    where configuration.isWireGuardOnly || !configuration.discoKey.isZero {
      if seen.insert(configuration.nodeKey).inserted { usable[peer] = configuration }
    }
    for gone in table.peers.map(\.id) where usable[gone] == nil {
      remove(gone, into: &effects)
    }
    for (peer, configuration) in usable.sorted(by: { $0.key < $1.key }) {
      update(peer, configuration, at: now, into: &effects)
    }
  }

  private mutating func remove(_ peer: PeerID, into effects: inout Effects) {
    guard let slot = table.slot(of: peer) else { return }
    let key = table.peers[slot].discoKey
    if !table.peers[slot].isAsleep {
      table.peers[slot].setBest(nil, because: .peerRemoved, into: &effects)
    }
    table.remove(peer)
    finder.forget(peer)
    deadlines.remove(peer)
    pendingCalls.removeAll { $0 == peer }
    if !table.hasPeer(with: key) { sealer.forget(key) }
  }

  private mutating func update(
    _ peer: PeerID,
    _ configuration: PeerPathConfiguration,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let slot = table.slot(of: peer) else {
      return table.add(PeerPaths(id: peer, configuration))
    }
    let old = table.peers[slot].configuration
    let configuration = configuration.kept
    guard old != configuration else { return }
    if old.isWireGuardOnly != configuration.isWireGuardOnly {
      remove(peer, into: &effects)
      return table.add(PeerPaths(id: peer, configuration))
    }
    if old.nodeKey != configuration.nodeKey { table.setNodeKey(configuration.nodeKey, at: slot) }
    // An unchanged key in the netmap does not undo a newer one that came through the tunnel.
    if old.discoKey != configuration.discoKey { replaceDiscoKey(configuration.discoKey, at: slot) }
    table.peers[slot].configuration = configuration
    if old.endpoints != configuration.endpoints {
      table.peers[slot].updateNetmapCandidates()
    }
  }

  /// Takes the disco key that a peer told through the tunnel.
  ///
  /// Only the key is replaced: the path stays, and ages out if it does not answer.
  public mutating func learnDiscoKey(
    _ key: DiscoKey,
    of peer: PeerID,
    at now: Instant,
    into effects: inout Effects
  ) {
    guard let slot = table.slot(of: peer), !table.peers[slot].isPlain, !key.isZero,
      key != sealer.publicKey
    else { return }
    replaceDiscoKey(key, at: slot)
  }

  private mutating func replaceDiscoKey(_ key: DiscoKey, at slot: Int) {
    let old = table.peers[slot].discoKey
    guard old != key, !table.peers[slot].isPlain else { return }
    table.setDiscoKey(key, at: slot)
    finder.forget(table.peers[slot].id)
    if !table.hasPeer(with: old) { sealer.forget(old) }
  }

  // MARK: Time

  /// When `handleTimeouts` wants to be called; nil when nothing waits.
  public var nextTimeout: Instant? {
    let earliest = min(
      deadlines.first ?? .distantFuture,
      netcheck?.nextTimeout ?? .distantFuture,
      refreshAt ?? .distantFuture,
      finder.nextTimeout
    )
    return earliest == .distantFuture ? nil : earliest
  }

  /// Does what has become due.
  public mutating func handleTimeouts(at now: Instant, into effects: inout Effects) {
    while let peer = deadlines.next(at: now) {
      sealer.counters.timeoutsHandled &+= 1
      guard let slot = table.slot(of: peer) else { continue }
      let wantsCall = table.peers[slot].handleTimeout(at: now, with: &sealer, into: &effects)
      sleepIfIdle(slot, at: now, into: &effects)
      schedule(slot, at: now)
      if wantsCall { call(peer, at: now, into: &effects) }
      if table.peers[slot].isActive(at: now) { seekRelay(slot, at: now, into: &effects) }
    }
    handleRelayTimeouts(at: now, into: &effects)
    advanceNetcheck(at: now, into: &effects)
    handleRefreshTimer(at: now, into: &effects)
  }

  /// Sees to it that the peer is asked when it next waits for something, and in time to fall asleep.
  mutating func schedule(_ slot: Int, at now: Instant) {
    guard !table.peers[slot].isAsleep else { return }
    if table.peers[slot].sleepAt == nil { table.peers[slot].sleepAt = now + PathTiming.memory }
    guard let deadline = table.peers[slot].nextTimeout else { return }
    deadlines.call(table.peers[slot].id, at: deadline)
  }

  /// Forgets what was known of a conversation that ended long ago.
  private mutating func sleepIfIdle(_ slot: Int, at now: Instant, into effects: inout Effects) {
    guard !table.peers[slot].isAsleep, let due = table.peers[slot].sleepAt, due <= now else {
      return
    }
    let stir = table.peers[slot].lastStir
    let memory = PathTiming.memory
    guard stir == .distantPast || now - stir >= memory, table.peers[slot].mayFallAsleep else {
      let next = stir == .distantPast ? now + memory : stir + memory
      table.peers[slot].sleepAt = next > now ? next : now + memory
      return
    }
    table.peers[slot].setBest(nil, because: .asleep, into: &effects)
    table.putToSleep(slot)
    sealer.forget(table.peers[slot].discoKey)
  }

  /// How many peers are awake: the rest is idle, and nothing waits for them.
  public var wakefulCount: Int { table.peers.reduce(0) { $0 + ($1.isAsleep ? 0 : 1) } }
}
