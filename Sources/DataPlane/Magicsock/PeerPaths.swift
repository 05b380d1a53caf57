// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Disco
import Keys
import Tables
import Timing

/// Finds and keeps the best path to one peer.
///
/// The direct path is the candidate whose pong was best; a pong makes it trusted for a while. Only pongs
/// promote a path: a packet from somewhere moves nothing, except for a peer that speaks plain WireGuard
/// (`PeerPaths+Plain.swift`). Pinging happens only while the session is active, that is, for a while
/// after the last outgoing packet.
///
/// Invariant: a direct best path is among the candidates (of a peer with discovery).
/// Most peers are asleep most of the time, as in `WireGuard`: what finding a path needs comes with the
/// first thing that happens (`PeerPaths+Waking.swift`) and goes when nothing has for a while.
struct PeerPaths: Sendable {
  /// What a peer has while a path to it is looked for or kept.
  struct Wakeful: Sendable {
    var best: PathQuality?
    var trustedUntil = Instant.distantPast
    var candidates: [Candidate] = []
    /// In the order they were sent.
    var pings: [OutstandingPing] = []
    var heartbeatAt: Instant?
    var lastRound: Instant?
    /// When the best path was last doubted.
    var lastDoubt: Instant?
    /// When a peer relay was last looked for.
    var lastRelaySearch: Instant?
    /// Before this, no candidate is due.
    var nextRound = Instant.distantPast
    /// Which endpoints are known to be this peer's, oldest first.
    var mapped: [Endpoint] = []
    var calls: TokenBucket?
    /// How large a datagram passes on the best path.
    var mtu = PathMTU()
    /// Set for a peer that speaks plain WireGuard.
    var plain: PlainChoice?
    /// When it falls asleep, if nothing happens until then.
    var sleepAt: Instant?
  }

  let id: PeerID
  var configuration: PeerPathConfiguration
  /// The key in use: the netmap's, or a newer one that the peer told through the tunnel.
  var discoKey: DiscoKey
  var lastSend: Instant?
  var lastReceived: Instant?
  /// The region through which the peer was last heard.
  var heardRegion: RegionID?
  var wakeful = Boxed<Wakeful>()

  init(id: PeerID, _ configuration: PeerPathConfiguration) {
    (self.id, self.configuration) = (id, configuration.kept)
    discoKey = configuration.discoKey
  }

  /// Whether it speaks plain WireGuard.
  var isPlain: Bool { configuration.isWireGuardOnly }

  /// Whether a pong confirmed the best path lately.
  func isTrusted(at now: Instant) -> Bool { best != nil && now <= trustedUntil }

  /// Whether the path in use leads to the peer itself and was confirmed lately.
  func hasTrustedDirect(at now: Instant) -> Bool {
    isTrusted(at: now) && best?.isDirect == true
  }

  /// Whether a peer relay is to be looked for.
  func wantsRelay(at now: Instant) -> Bool {
    guard !isPlain, configuration.capabilityVersion >= PathLimits.relayCapability,
      !hasTrustedDirect(at: now), !configuration.isExpired
    else { return false }
    guard let last = lastRelaySearch else { return true }
    return now - last >= (isTrusted(at: now) ? PathTiming.upgrade : PathTiming.relaySearch)
  }

  /// Whether a packet went out lately.
  func isActive(at now: Instant) -> Bool {
    lastSend.map { now - $0 <= PathTiming.session } ?? false
  }

  /// When `handleTimeout` wants to be called.
  var nextTimeout: Instant? {
    let earliest = min(
      pings.first?.deadline ?? .distantFuture,
      heartbeatAt ?? .distantFuture,
      mtu.judgeAt ?? .distantFuture,
      sleepAt ?? .distantFuture
    )
    return earliest == .distantFuture ? nil : earliest
  }

  // MARK: Sending

  /// The direct path when nothing needs to be done but send; notes the packet.
  mutating func trustedDirect(at now: Instant) -> SendPaths? {
    guard heartbeatAt != nil, now <= trustedUntil, !configuration.isExpired,
      let best, best.isDirect
    else { return nil }
    lastSend = now
    var paths = SendPaths(direct: best.endpoint)
    paths.limit = UInt32(clamping: mtu.limit)
    return paths
  }

  /// Notes that a packet is going out, and looks for a direct path if there is none to trust.
  ///
  /// - Returns: Whether the peer should be called.
  mutating func noteSend(
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) -> Bool {
    lastSend = now
    if heartbeatAt == nil { heartbeatAt = now + PathTiming.heartbeat }
    guard !hasTrustedDirect(at: now), nextRound <= now else { return false }
    return discover(at: now, with: &sealer, into: &effects)
  }

  // MARK: Time

  /// Gives up pings and beats the heart, as far as they are due.
  ///
  /// - Returns: Whether the peer should be called.
  mutating func handleTimeout(
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) -> Bool {
    expirePings(at: now, into: &effects)
    judgeSize(at: now, with: &sealer, into: &effects)
    guard let heartbeatAt, heartbeatAt <= now else { return false }
    return beat(at: now, with: &sealer, into: &effects)
  }

  private mutating func beat(
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) -> Bool {
    guard isActive(at: now) else {
      heartbeatAt = nil
      return false
    }
    heartbeatAt = now + PathTiming.heartbeat
    heartbeat(at: now, with: &sealer, into: &effects)
    guard wantsDiscovery(at: now) else { return false }
    return discover(at: now, with: &sealer, into: &effects)
  }

  private func wantsDiscovery(at now: Instant) -> Bool {
    guard let best, best.isDirect, isTrusted(at: now), let lastRound else { return true }
    return best.latency > PathTiming.goodEnough && now - lastRound >= PathTiming.upgrade
  }

  private mutating func expirePings(at now: Instant, into effects: inout Effects) {
    while let ping = pings.first, ping.deadline <= now {
      pings.removeFirst()
      if let request = ping.request, !pings.contains(where: { $0.request == request }) {
        effects.pingResults.append(
          .init(id: request, peer: id, outcome: .timedOut, size: ping.size)
        )
      }
      if ping.target == best?.hop, !isTrusted(at: now) {
        setBest(nil, because: .pingsUnanswered, into: &effects)
      }
    }
  }

  // MARK: Change

  /// Forgets what was true on another network.
  mutating func networkChanged(at now: Instant, into effects: inout Effects) {
    guard !isAsleep else { return }
    setBest(nil, because: .networkChanged, into: &effects)
    pings.removeAll { $0.request == nil }
    for index in candidates.indices { candidates[index].lastPing = nil }
    nextRound = .distantPast
    lastRelaySearch = nil
  }

  /// Gives up a path that the host cannot send to.
  mutating func noteUnreachable(_ endpoint: Endpoint, into effects: inout Effects) {
    guard endpoint == best?.endpoint else { return }
    setBest(nil, because: .unreachable, into: &effects)
  }

  mutating func setBest(
    _ quality: PathQuality?,
    because reason: Effects.Trace.Reason,
    into effects: inout Effects
  ) {
    if best?.endpoint != quality?.endpoint || best?.virtualNetwork != quality?.virtualNetwork {
      effects.traces.append(
        .pathChanged(id, from: best?.hop, to: quality?.hop, because: reason)
      )
      mtu = PathMTU()
    }
    best = quality
    if quality == nil { trustedUntil = .distantPast }
  }
}
