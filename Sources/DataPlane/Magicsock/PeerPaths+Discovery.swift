// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Disco
import Keys
import Timing

/// Candidates, pings, pongs and calls.
extension PeerPaths {
  // MARK: Rounds

  /// Pings every candidate that is due.
  ///
  /// - Returns: Whether any was.
  mutating func discover(
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) -> Bool {
    lastRound = now
    dropStaleCandidates(at: now, into: &effects)
    var sent = false
    for index in candidates.indices where candidates[index].nextPing <= now {
      pingCandidate(index, at: now, with: &sealer, into: &effects)
      sent = true
    }
    nextRound = candidates.lazy.map(\.nextPing).min() ?? .distantFuture
    return sent
  }

  /// Sends what somebody asked for: over the paths in use, or over every one that might be.
  ///
  /// - Returns: Whether the peer should be called.
  mutating func ping(
    request: UInt64,
    size: Int,
    relay: RegionID?,
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) -> Bool {
    let isTrusted = isTrusted(at: now)
    noteActivity(at: now)
    let relayed = isTrusted ? nil : relay.map { PacketSource.relay($0, configuration.nodeKey) }
    let isDirect = hasTrustedDirect(at: now)
    let used = isTrusted ? best?.hop : nil
    // While packets take a peer relay, direct paths are tried as well.
    let direct = isDirect ? [] : candidates.map(\.endpoint)
    let targets = [relayed, used].compactMap(\.self) + direct.map(PacketSource.direct)
    guard !targets.isEmpty else {
      effects.pingResults.append(.init(id: request, peer: id, outcome: .noPath, size: size))
      return false
    }
    for target in targets {
      ping(target, request: request, size: size, at: now, with: &sealer, into: &effects)
    }
    guard !isDirect else { return false }
    for index in candidates.indices { candidates[index].lastPing = now }
    lastRound = now
    nextRound = now + PathTiming.candidatePing
    return !direct.isEmpty
  }

  private mutating func noteActivity(at now: Instant) {
    lastSend = now
    if heartbeatAt == nil { heartbeatAt = now + PathTiming.heartbeat }
  }

  private mutating func pingCandidate(
    _ index: Int,
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) {
    candidates[index].lastPing = now
    ping(.direct(candidates[index].endpoint), at: now, with: &sealer, into: &effects)
  }

  /// Sends one ping.
  mutating func ping(
    _ target: PacketSource,
    request: UInt64? = nil,
    size: Int = 0,
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) {
    if pings.count >= PathLimits.outstandingPings {
      pings.removeFirst()
      sealer.counters.excessPings += 1
    }
    let id = PingID(using: &sealer.entropy)
    let datagram = sealer.sealPing(id, size: size, to: discoKey)
    pings.append(
      OutstandingPing(
        id: id,
        target: target,
        sentAt: now,
        size: datagram.count,
        request: request
      )
    )
    sealer.counters.pingsSent += 1
    effects.sendWrapped(datagram, to: target)
  }

  // MARK: Messages

  /// Takes note of a ping that came directly.
  ///
  /// - Returns: Whether it is to be answered: not when it came twice.
  mutating func receive(
    _ ping: Ping,
    from endpoint: Endpoint,
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) -> Bool {
    let isNew = !candidates.contains { $0.endpoint == endpoint }
    guard
      let index = candidate(endpoint, at: now, counting: &sealer.counters, into: &effects)
    else { return true }
    if isNew, best?.isDirect == true, best?.endpoint.address.family == endpoint.address.family {
      doubtBest(at: now, with: &sealer, into: &effects)
    }
    guard candidates[index].lastHeardPing != ping.id else {
      sealer.counters.duplicatePings += 1
      return false
    }
    candidates[index].lastHeard = now
    candidates[index].lastHeardPing = ping.id
    return true
  }

  /// Pings a candidate that has just been heard, while a path is wanted and there is none.
  ///
  /// The peer's ping opened its side: waiting for the next round would leave seconds of relaying. It
  /// never happens without traffic of our own, nor more than once a second, so two nodes cannot keep
  /// each other going.
  mutating func pingBack(
    _ endpoint: Endpoint,
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) {
    guard isActive(at: now), !hasTrustedDirect(at: now),
      let index = candidates.firstIndex(where: { $0.endpoint == endpoint }),
      candidates[index].lastPingBack.map({ now - $0 >= PathTiming.pingBack }) ?? true
    else { return }
    candidates[index].lastPingBack = now
    pingCandidate(index, at: now, with: &sealer, into: &effects)
  }

  /// Learns from a pong.
  ///
  /// What counts is the address that was pinged, not the one that the pong came from.
  ///
  /// - Returns: Whether it answers a ping that waits.
  mutating func receive(
    _ pong: Pong,
    from source: PacketSource,
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) -> Bool {
    guard
      let index = pings.firstIndex(where: {
        $0.id == pong.id && $0.deadline > now && $0.mayBeAnswered(from: source)
      })
    else { return false }
    let ping = pings.remove(at: index)
    let latency = now - ping.sentAt
    if let request = ping.request {
      for index in pings.indices where pings[index].request == request {
        pings[index].request = nil
      }
      let outcome = Effects.PingResult.Outcome.pong(over: ping.target, latency: latency)
      effects.pingResults.append(
        .init(id: request, peer: id, outcome: outcome, size: ping.size)
      )
    }
    if case .direct(let endpoint) = ping.target,
      candidates.contains(where: { $0.endpoint == endpoint })
    {
      adopt(PathQuality(endpoint: endpoint, latency: latency), at: now, into: &effects)
    } else if case .peerRelay = ping.target, var quality = best, quality.hop == ping.target {
      quality.latency = latency
      adopt(quality, at: now, into: &effects)
    }
    if ping.target == best?.hop {
      mtu.note(ping.size, of: sealer.largest, at: now)
      proveSize(at: now, with: &sealer, into: &effects)
    }
    return true
  }

  /// Takes a path that works, if it is the one in use, or better, or that one is not to be trusted.
  mutating func adopt(
    _ quality: PathQuality,
    at now: Instant,
    into effects: inout Effects
  ) {
    let isBest = best?.hop == quality.hop
    let isSameRelay = quality.relayKey != nil && best?.relayKey == quality.relayKey
    guard isBest || isSameRelay || quality.isBetter(than: best) || !isTrusted(at: now) else {
      return
    }
    setBest(quality, because: .pong, into: &effects)
    trustedUntil = now + PathTiming.trust
  }

  /// Does what the peer calls for: pings it wherever it says it may be.
  ///
  /// It is not called back, or calls would never end.
  mutating func receive(
    _ call: CallMeMaybe,
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) {
    for index in candidates.indices {
      candidates[index].isCalled = false
      candidates[index].lastPing = nil
    }
    for endpoint in call.endpoints.prefix(PathLimits.candidates) where endpoint.isCallable {
      guard
        let index = candidate(endpoint, at: now, counting: &sealer.counters, into: &effects)
      else { break }
      candidates[index].isCalled = true
    }
    if let best, best.isDirect, !call.endpoints.contains(best.endpoint) {
      doubtBest(at: now, with: &sealer, into: &effects)
    }
    _ = discover(at: now, with: &sealer, into: &effects)
  }

  /// Trusts the best path no more until a pong comes, because the peer seems to be elsewhere.
  ///
  /// Whoever moved knows at once, its peers would send to where it was until trust ends. Packets go
  /// over the relay as well meanwhile; a path that still works costs one ping.
  private mutating func doubtBest(
    at now: Instant,
    with sealer: inout DiscoSealer,
    into effects: inout Effects
  ) {
    guard let best, isTrusted(at: now), isActive(at: now),
      lastDoubt.map({ now - $0 >= PathTiming.doubt }) ?? true
    else { return }
    lastDoubt = now
    trustedUntil = .distantPast
    ping(best.hop, at: now, with: &sealer, into: &effects)
  }

  // MARK: Candidates

  /// Makes the candidates agree with the netmap.
  mutating func updateNetmapCandidates() {
    guard !isAsleep, !isPlain else { return }
    let endpoints = configuration.endpoints
    for index in candidates.indices { candidates[index].isInNetmap = false }
    for endpoint in endpoints.prefix(PathLimits.candidates)
    where endpoint.isCallable {
      if let index = candidates.firstIndex(where: { $0.endpoint == endpoint }) {
        candidates[index].isInNetmap = true
      } else if candidates.count < PathLimits.candidates {
        var candidate = Candidate(endpoint)
        candidate.isInNetmap = true
        candidates.append(candidate)
        nextRound = .distantPast
      }
    }
  }

  /// The place of `endpoint` among the candidates, made if there is room.
  private mutating func candidate(
    _ endpoint: Endpoint,
    at now: Instant,
    counting counters: inout PathCounters,
    into effects: inout Effects
  ) -> Int? {
    if let index = candidates.firstIndex(where: { $0.endpoint == endpoint }) { return index }
    if candidates.count >= PathLimits.candidates {
      dropStaleCandidates(at: now, into: &effects)
    }
    if candidates.count >= PathLimits.candidates {
      counters.excessCandidates += 1
      guard let oldest = leastUseful else { return nil }
      candidates.remove(at: oldest)
    }
    candidates.append(Candidate(endpoint))
    nextRound = .distantPast
    return candidates.count - 1
  }

  /// The candidate that only a ping speaks for, the longest ago.
  private var leastUseful: Int? {
    candidates.indices
      .filter {
        let candidate = candidates[$0]
        return !candidate.isInNetmap && !candidate.isCalled
          && candidate.endpoint != best?.endpoint
      }
      .min {
        candidates[$0].lastHeard ?? .distantPast < candidates[$1].lastHeard ?? .distantPast
      }
  }

  /// Removes candidates that nothing speaks for; a path that works speaks for itself.
  private mutating func dropStaleCandidates(at now: Instant, into effects: inout Effects) {
    let kept = hasTrustedDirect(at: now) ? best?.endpoint : nil
    candidates.removeAll { $0.endpoint != kept && $0.isStale(at: now) }
    guard let best, best.isDirect, !candidates.contains(where: { $0.endpoint == best.endpoint })
    else { return }
    setBest(nil, because: .candidateRemoved, into: &effects)
  }
}

extension Endpoint {
  /// Whether a packet may be sent there because somebody says so.
  var isCallable: Bool {
    port != 0 && !address.isUnspecified && !address.isMulticast
      && !(address.isLinkLocal && !address.isV4) && !(address.isV4 && address.v4Bits == .max)
  }
}
