// SPDX-License-Identifier: Apache-2.0

import Addressing
package import Cryptography
import Disco
package import Keys
import Magicsock
import PacketFilter
package import Packets
package import Timing
package import WireGuard

/// The data plane of one node: everything that happens to a packet between the host and the network.
///
/// Owns the cores and calls them in order; they do not know each other. `OutboundJourney` and
/// `InboundJourney` tell the order. One thread owns a pipeline, gives it packets in place and performs
/// the effects before it goes on.
package struct Pipeline: ~Copyable {
  /// A moment on both clocks: `now` drives everything, `wall` is for what peers and people see.
  package struct Moment: Hashable, Sendable {
    /// On the clock that only goes forward.
    package var now: Instant
    /// On the wall.
    package var wall: Timestamp

    /// A moment.
    package init(now: Instant, wall: Timestamp) { (self.now, self.wall) = (now, wall) }
  }

  /// What the pipeline itself knows of a peer.
  struct PeerFacts {
    var nodeKey: NodeKey
    /// The discovery key of the netmap.
    var toldDiscoKey: DiscoKey
    /// The one that the peer uses, as far as we know: the netmap's, or one it told over a session.
    var discoKey: DiscoKey
    var addresses: [IPAddress]
    var isJailed: Bool
    var isWireGuardOnly: Bool
    /// Whether it was seen to copy congestion bits out, so that it will also bring them in.
    var carriesECN = false
  }

  /// A handshake message that waits for a path.
  struct WaitingHandshake {
    var bytes: [UInt8]
    var since: Instant
  }

  /// How long a handshake message is worth sending: then its sender makes another.
  static let handshakePatience = Duration.seconds(5)

  var tunnel: Tunnel
  var paths: MagicSocket
  var filter = Filter.none
  var jailedFilter = Filter.none
  var flows = FlowTable()
  var peers = PeerBook()
  var told = ToldConfiguration()
  var addresses: [IPAddress] = []
  var peerAPIPort: UInt16 = 0
  var nodeKey: NodePrivateKey
  private(set) var discoKey: DiscoKey
  let mtu: Int
  let shard: Shard
  /// What may be joined for the host; less, once it refused to take it.
  package var joining: Joining
  /// Super-packets that the host refused, by their kind.
  var refusals: [UInt8: Int] = [:]
  var joiner = Joiner()
  /// The flow of the last packet from the host.
  var recalled: OutboundFlow?
  var pings: PingTable
  /// Bounds how often hosts are told that packets are too large.
  var telling: TokenBucket?
  var tunnelEffects = WireGuard.Effects()
  /// What became of the datagrams that were opened last; kept for its memory.
  var opened: [Received] = []
  var pathEffects = Magicsock.Effects()
  /// The last handshake message to each peer that found no path: it goes as soon as there is one.
  var waitingHandshakes: [PeerID: WaitingHandshake] = [:]
  /// What passed and what fell off.
  package internal(set) var counters = Counters()

  /// A pipeline without peers, which accepts nothing.
  ///
  /// - Parameters:
  ///   - nodeKey: This node's key.
  ///   - discoKey: This run's discovery key.
  ///   - mtu: The largest packet in the tunnel.
  ///   - joinsUDP: Whether the TUN device takes super-packets of UDP.
  ///   - entropy: Where random numbers come from.
  ///   - shard: Which of this node's pipelines it is.
  package init(
    nodeKey: NodePrivateKey,
    discoKey: DiscoPrivateKey,
    mtu: Int,
    joinsUDP: Bool,
    entropy: Entropy,
    shard: Shard = .only
  ) {
    tunnel = Tunnel(privateKey: nodeKey, mtu: mtu, entropy: entropy, shard: shard)
    paths = MagicSocket(nodeKey: nodeKey.publicKey, discoKey: discoKey, entropy: entropy)
    pings = PingTable(entropy: entropy)
    self.nodeKey = nodeKey
    self.discoKey = discoKey.publicKey
    (self.mtu, self.shard) = (mtu, shard)
    paths.probeSizes(upTo: mtu + Self.overhead)
    if !shard.isOnly { paths.share(leads: shard.index == 0) }
    joining = joinsUDP ? .all : .tcp
    opened.reserveCapacity(Tunnel.longestTrain)
  }

  /// Goes by another discovery key from now on; paths that work stay.
  package mutating func use(_ key: DiscoPrivateKey) {
    discoKey = key.publicKey
    paths.use(key)
  }

  /// When `handleTimeouts` wants to be called; nil when nothing waits.
  package var nextTimeout: Instant? {
    var earliest = tunnel.nextTimeout
    if let path = paths.nextTimeout { earliest = min(path, earliest ?? path) }
    if let ping = pings.nextTimeout { earliest = min(ping, earliest ?? ping) }
    return earliest
  }

  /// Does what has become due.
  package mutating func handleTimeouts(at moment: Moment, into effects: inout PipelineEffects) {
    recalled = nil
    tunnel.handleTimeouts(at: moment.now, timestamp: moment.wall, into: &tunnelEffects)
    paths.handleTimeouts(at: moment.now, into: &pathEffects)
    pings.handleTimeouts(at: moment.now)
    settle(at: moment, into: &effects)
  }

  /// Moves what the cores asked for to where it belongs, until none of them asks for more.
  ///
  /// The tunnel may ask for a path, a new session for a message to its peer; neither asks back, so
  /// this ends after a few rounds.
  mutating func settle(at moment: Moment, into effects: inout PipelineEffects) {
    while !tunnelEffects.isEmpty {
      var asked = WireGuard.Effects()
      swap(&asked, &tunnelEffects)
      for peer in asked.sessionsEstablished { greet(peer, at: moment, into: &effects) }
      for datagram in asked.sends { send(datagram, at: moment, into: &effects) }
    }
    guard !pathEffects.isEmpty else { return }
    for send in pathEffects.sends {
      effects.messages.append(.init(bytes: send.bytes, destination: send.destination))
    }
    if !waitingHandshakes.isEmpty { sendWaitingHandshakes(at: moment, into: &effects) }
    effects.events += pathEffects.pipelineEvents
    pathEffects.removeAll()
  }

  /// Sends a datagram of the tunnel's own making.
  private mutating func send(
    _ datagram: WireGuard.Effects.Send,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    let isData = datagram.kind == .data
    let way =
      isData
      ? paths.paths(to: datagram.peer, at: moment.now, into: &pathEffects)
      : paths.controlPaths(
        to: datagram.peer,
        datagram.kind == .handshake ? .handshake : .keepalive,
        at: moment.now,
        into: &pathEffects
      )
    let isLarge = datagram.bytes.count > way.limit
    let large = isLarge ? paths.largePaths(to: datagram.peer, at: moment.now) : way
    guard !large.isEmpty else { return keep(datagram, at: moment.now) }
    for destination in destinations(large, datagram.peer) {
      if isData {
        counters.outbound.add(packets: 1, bytes: datagram.bytes.count, over: destination)
      }
      effects.post(datagram.bytes, to: destination)
    }
  }

  /// Keeps a handshake message that found no path, instead of the one before it; drops others.
  private mutating func keep(_ datagram: WireGuard.Effects.Send, at now: Instant) {
    let message = WaitingHandshake(bytes: datagram.bytes, since: now)
    guard datagram.kind == .handshake,
      waitingHandshakes.updateValue(message, forKey: datagram.peer) == nil
    else { return counters.drop(Counters.OutboundDrop.noPath) }
  }

  /// Sends the handshake messages to peers for which a direct path was just found.
  ///
  /// Without a relay the first message asks for a path and finds none: discovery is quicker than the
  /// timer that would repeat it.
  private mutating func sendWaitingHandshakes(
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    for trace in pathEffects.traces {
      guard case .pathChanged(let peer, _, let hop?, _) = trace,
        let handshake = waitingHandshakes.removeValue(forKey: peer),
        moment.now - handshake.since <= Self.handshakePatience
      else { continue }
      effects.post(handshake.bytes, to: hop)
    }
  }

  /// Where `way` leads for a peer: a direct endpoint or a peer relay, a relay, or both.
  func destinations(_ way: SendPaths, _ peer: PeerID) -> [PacketSource] {
    var list: [PacketSource] = []
    if let hop = way.hop { list.append(hop) }
    if let region = way.relay, let key = peers[peer]?.nodeKey { list.append(.relay(region, key)) }
    return list
  }
}
