// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import Cryptography
public import Keys
import Tables
public import Timing

/// WireGuard: sessions with peers, what they seal and open, and which addresses belong to whom.
///
/// Knows nothing of paths: datagrams go to peers, and where from a datagram came counts for cookies
/// only. A packet's way out is `peer(for:)`, `beginSealing`, `seal` for each train, `didSend`; without a
/// session `beginSealing` begins a handshake, and the packet is given to `stage`. A packet's way in is
/// `receive`, then `peer(_:owns:)` for its source address. `nextTimeout` tells when to call
/// `handleTimeouts`.
///
/// - Source: WireGuard paper (Donenfeld 2020); `Documentation/Protocols/wireguard.md`.
public struct Tunnel: ~Copyable, Sendable {
  var local: LocalState
  var peers = PeerTable()
  var allowedIPs = AllowedIPs()
  var deadlines = DeadlineQueue<Int>()
  /// What packets are sealed and opened with; this thread's own.
  var engine: PacketEngine
  var train = PacketTrain()
  /// Where helpers take part of what there is to seal and open, if there are any.
  var share: TrainShare?
  /// What fell off.
  public internal(set) var counters = TunnelCounters()

  /// A tunnel without peers.
  ///
  /// - Parameters:
  ///   - privateKey: This node's static key.
  ///   - mtu: The largest packet inside; padding ends there.
  ///   - entropy: Where keys, indices and jitter come from.
  ///   - shard: Which of several tunnels of this node it is.
  ///   - backend: What packets are sealed and opened with.
  public init(
    privateKey: NodePrivateKey,
    mtu: Int,
    entropy: Entropy,
    shard: Shard = .only,
    backend: PacketBackend = .boringSSL
  ) {
    engine = PacketEngine(backend)
    local = LocalState(privateKey: privateKey, mtu: mtu, entropy: entropy, shard: shard)
  }

  /// What packets are sealed and opened with.
  public var backend: PacketBackend.Name { engine.backend }

  /// Seals and opens with another backend from now on.
  public mutating func use(_ backend: PacketBackend) { engine = PacketEngine(backend) }

  /// Has helpers seal and open long trains with it from now on.
  public mutating func use(_ share: TrainShare) { self.share = share }

  /// How many peers there are.
  public var peerCount: Int { peers.count }

  /// The peer that packets to `destination` go to.
  public func peer(for destination: IPAddress) -> PeerID? { allowedIPs.peer(for: destination) }

  /// Whether packets from `source` may come from this peer.
  public func peer(_ id: PeerID, owns source: IPAddress) -> Bool {
    allowedIPs.peer(for: source) == id
  }

  /// How a peer is doing; nil when there is no such peer.
  public func status(of id: PeerID) -> PeerStatus? {
    peers.slot(of: id).map { peers.slots[$0].status }
  }

  // MARK: Time

  /// When `handleTimeouts` wants to be called; nil when nothing waits.
  public var nextTimeout: Instant? { deadlines.first }

  /// Does what has become due: handshakes again, keepalives, keys to forget.
  public mutating func handleTimeouts(
    at now: Instant,
    timestamp wall: Timestamp,
    into effects: inout Effects
  ) {
    while let slot = deadlines.next(at: now) {
      counters.timeoutsHandled &+= 1
      guard !peers.slots[slot].isAsleep else { continue }
      peers.slots[slot].called = nil
      let moment = Moment(now: now, wall: wall)
      let abandoned = peers.slots[slot].handleTimers(at: moment, &local, into: &effects)
      counters.stagedAbandoned += UInt64(abandoned)
      schedule(slot)
    }
  }

  /// Sees to it that a peer is called when its first timer runs out, or sleeps if it has none.
  mutating func schedule(_ slot: Int) {
    guard !peers.slots[slot].isAsleep else { return }
    let (earliest, known) = peers.slots[slot].wakeful.update { ($0.timers.earliest, $0.called) }
    guard let wanted = earliest else { return peers.slots[slot].sleepIfIdle() }
    if let known, known <= wanted { return }
    peers.slots[slot].wakeful.update { $0.called = wanted }
    deadlines.call(slot, at: wanted)
  }
}
