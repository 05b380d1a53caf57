// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Disco
public import Keys
public import Timing

/// Which way packets take.
extension MagicSocket {
  /// Why packets go out that are not the user's.
  public enum ControlTraffic: Hashable, Sendable {
    /// A handshake: somebody wants to talk, so a path is looked for.
    case handshake
    /// A keep-alive: by itself no reason to look for anything.
    case keepalive
  }

  /// Where packets of the user for `peer` go, from now until the next call.
  ///
  /// Call it for every train: it notes the activity that keeps the path alive. While the direct path is
  /// trusted that costs one look-up and a few compares.
  public mutating func paths(
    to peer: PeerID,
    at now: Instant,
    into effects: inout Effects
  ) -> SendPaths {
    guard let slot = table.slot(of: peer) else { return unroutable() }
    lastActivity = now
    if let direct = table.peers[slot].trustedDirect(at: now) { return direct }
    return seek(slot, at: now, into: &effects)
  }

  /// Where a packet of the tunnel itself goes.
  public mutating func controlPaths(
    to peer: PeerID,
    _ traffic: ControlTraffic,
    at now: Instant,
    into effects: inout Effects
  ) -> SendPaths {
    if traffic == .handshake { return paths(to: peer, at: now, into: &effects) }
    guard let slot = table.slot(of: peer) else { return unroutable() }
    guard !table.peers[slot].isPlain else { return seek(slot, at: now, into: &effects) }
    return choose(slot, at: now)
  }

  /// The slower half of `paths`: looks for a path, and meanwhile uses what there is.
  private mutating func seek(
    _ slot: Int,
    at now: Instant,
    into effects: inout Effects
  ) -> SendPaths {
    guard !table.peers[slot].configuration.isExpired else { return unroutable() }
    startRefreshTimer(at: now)
    if table.peers[slot].isPlain {
      let direct = table.peers[slot].plainEndpoint(
        at: now,
        using: &sealer.entropy,
        into: &effects
      )
      return direct == nil ? unroutable() : SendPaths(direct: direct)
    }
    let wantsCall = table.peers[slot].noteSend(at: now, with: &sealer, into: &effects)
    schedule(slot, at: now)
    if wantsCall { call(table.peers[slot].id, at: now, into: &effects) }
    seekRelay(slot, at: now, into: &effects)
    return choose(slot, at: now)
  }

  /// The best direct path; and the relay, unless that path is trusted.
  private mutating func choose(_ slot: Int, at now: Instant) -> SendPaths {
    guard !table.peers[slot].configuration.isExpired else { return unroutable() }
    let isTrusted = table.peers[slot].isTrusted(at: now)
    let best = table.peers[slot].best
    var paths = SendPaths(
      direct: best?.endpoint,
      network: best?.virtualNetwork ?? 0,
      relay: isTrusted ? nil : relayRegion(of: slot)
    )
    if isTrusted { paths.limit = UInt32(clamping: table.peers[slot].mtu.limit) }
    return paths.isEmpty ? unroutable() : paths
  }

  /// Where datagrams go that are larger than the `limit` of a path.
  ///
  /// Over the relay; and over the path as well while that is being found out, or where there is no relay.
  public mutating func largePaths(to peer: PeerID, at now: Instant) -> SendPaths {
    guard let slot = table.slot(of: peer) else { return unroutable() }
    sealer.counters.tooLargeForPath += 1
    let best = table.peers[slot].best
    let relay = relayRegion(of: slot)
    guard table.peers[slot].mtu.state == .known, let relay, connectedRelays.contains(relay) else {
      return SendPaths(direct: best?.endpoint, network: best?.virtualNetwork ?? 0, relay: relay)
    }
    return SendPaths(relay: relay)
  }

  /// The largest datagram that the path to a peer carries, where it is known and less than the tunnel
  /// may send.
  public func limit(to peer: PeerID) -> Int? {
    guard sealer.largest > 0, let slot = table.slot(of: peer), !table.peers[slot].isAsleep,
      table.peers[slot].best != nil, table.peers[slot].mtu.state == .known,
      table.peers[slot].mtu.limit < sealer.largest
    else { return nil }
    return table.peers[slot].mtu.limit
  }

  private mutating func unroutable() -> SendPaths {
    sealer.counters.unroutable += 1
    return SendPaths()
  }

  /// The region through which a peer is reached: its home when we are connected there, else where it
  /// was last heard if we still are connected there, else its home, to which the driver then connects.
  func relayRegion(of slot: Int) -> RegionID? {
    let home = table.peers[slot].configuration.homeRegion
    if let home, connectedRelays.contains(home) { return home }
    let heard = table.peers[slot].heardRegion
    if let heard, connectedRelays.contains(heard) { return heard }
    return home ?? heard
  }

  // MARK: Calls

  /// Asks a peer, over its relay, to ping us while we ping it.
  ///
  /// Waits until our endpoints are fresh: old ones open no NAT.
  mutating func call(_ peer: PeerID, at now: Instant, into effects: inout Effects) {
    guard let slot = table.slot(of: peer), relayRegion(of: slot) != nil else { return }
    if ownEndpoints.isFresh(at: now) { return sendCall(slot, into: &effects) }
    if !pendingCalls.contains(peer) { pendingCalls.append(peer) }
    if netcheck == nil { refresh(.callMeMaybe, full: false, at: now, into: &effects) }
  }

  /// Makes the calls that waited for fresh endpoints.
  mutating func sendPendingCalls(into effects: inout Effects) {
    for peer in pendingCalls {
      guard let slot = table.slot(of: peer) else { continue }
      sendCall(slot, into: &effects)
    }
    pendingCalls.removeAll()
  }

  private mutating func sendCall(_ slot: Int, into effects: inout Effects) {
    guard let region = relayRegion(of: slot) else { return }
    let message = CallMeMaybe(endpoints: ownEndpoints.current.map(\.endpoint))
    let datagram = sealer.seal(.callMeMaybe(message), to: table.peers[slot].discoKey)
    sealer.counters.callsSent += 1
    let key = table.peers[slot].configuration.nodeKey
    effects.send(datagram, to: .relay(region, key))
  }

  // MARK: Pings on demand

  /// Pings a peer because somebody asks; the outcome comes as a `pingResult` named `id`.
  ///
  /// - Parameters:
  ///   - peer: Who is pinged.
  ///   - id: What the asker calls this ping.
  ///   - size: The size of the datagram; as small as possible when less.
  ///   - now: Now.
  ///   - effects: What to do.
  public mutating func ping(
    _ peer: PeerID,
    id: UInt64,
    size: Int = 0,
    at now: Instant,
    into effects: inout Effects
  ) {
    if let refusal = refusal(of: peer, size: size) {
      effects.pingResults.append(.init(id: id, peer: peer, outcome: refusal, size: size))
      return
    }
    guard let slot = table.slot(of: peer) else { return }
    lastActivity = now
    startRefreshTimer(at: now)
    let wantsCall = table.peers[slot].ping(
      request: id,
      size: size,
      relay: relayRegion(of: slot),
      at: now,
      with: &sealer,
      into: &effects
    )
    schedule(slot, at: now)
    if wantsCall { call(peer, at: now, into: &effects) }
    seekRelay(slot, at: now, into: &effects)
  }

  private func refusal(of peer: PeerID, size: Int) -> Effects.PingResult.Outcome? {
    guard let slot = table.slot(of: peer) else { return .unknownPeer }
    if table.peers[slot].configuration.isExpired { return .expired }
    if table.peers[slot].isPlain { return .wireGuardOnly }
    return size > PathLimits.pingBytes ? .tooLarge : nil
  }
}
