// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
package import Keys
import Magicsock
import Packets
import Timing

/// What path finding reports, in the words of the pipeline.
extension Magicsock.Effects {
  var pipelineEvents: [PipelineEvent] {
    endpointsChanged.map { .endpointsChanged($0) }
      + homeRelayChanged.map { .homeRelayChanged($0) }
      + netcheckReports.map { .netcheckFinished($0) }
      + httpsProbes.map { .httpsProbeWanted($0) }
      + portalProbes.map { .portalProbeWanted($0) }
      + resolutions.map { .resolutionWanted($0) }
      + pingResults.map { $0.pipelineEvent }
      + traces.map { .pathTrace($0) } + wants.map { .wanted($0) }
      + freshEndpoints.map { .endpointsFresh($0) } + relayRequests.map { .relayRequested($0) }
  }
}

extension Magicsock.Effects.PingResult {
  fileprivate var pipelineEvent: PipelineEvent {
    switch outcome {
    case .pong(let source, let latency): pong(over: source, latency)
    case .timedOut: failed(.timedOut)
    case .unknownPeer: failed(.unknownPeer)
    case .expired: failed(.expired)
    case .wireGuardOnly: failed(.wireGuardOnly)
    case .noPath: failed(.noPath)
    case .tooLarge: failed(.tooLarge)
    }
  }

  private func pong(over source: PacketSource, _ latency: Duration) -> PipelineEvent {
    var reply = PingReply(id: id, kind: .disco, peer: peer, latency: latency)
    switch source {
    case .direct(let endpoint): reply.endpoint = endpoint
    case .peerRelay(let endpoint, let network):
      (reply.endpoint, reply.network) = (endpoint, network)
    case .relay(let region, _): reply.region = region
    }
    return .pong(reply)
  }

  private func failed(_ reason: PingFailure) -> PipelineEvent {
    .pingFailed(id: id, peer: peer, because: reason)
  }
}

extension Pipeline {
  /// Pings a peer; the answer, or why there is none, comes as an event.
  ///
  /// - Parameters:
  ///   - peer: Whom.
  ///   - kind: How.
  ///   - id: What the asker calls it; goes back with the answer.
  ///   - size: How many bytes: the datagram of discovery, the data of ICMP; 0 for the least.
  ///   - moment: Now.
  ///   - effects: Receives the ping.
  package mutating func ping(
    _ peer: PeerID,
    kind: PingKind,
    id: UInt64,
    size: Int = 0,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    defer { settle(at: moment, into: &effects) }
    guard kind != .disco else {
      return paths.ping(peer, id: id, size: size, at: moment.now, into: &pathEffects)
    }
    guard let facts = peers[peer] else {
      return effects.events.append(.pingFailed(id: id, peer: peer, because: .unknownPeer))
    }
    guard kind == .icmp || !facts.isWireGuardOnly else {
      return effects.events.append(.pingFailed(id: id, peer: peer, because: .wireGuardOnly))
    }
    guard let (here, there) = addressPair(facts) else {
      return effects.events.append(.pingFailed(id: id, peer: peer, because: .noAddress))
    }
    let largest = mtu - 48
    guard size <= largest else {
      return effects.events.append(.pingFailed(id: id, peer: peer, because: .tooLarge))
    }
    let packet =
      kind == .tsmp
      ? pings.tsmp(id, to: peer, at: moment.now).packet(from: here, to: there)
      : pings.echo(id, to: peer, size: size, at: moment.now).packet(from: here, to: there)
    inject(packet, to: peer, at: moment, into: &effects)
  }

  /// Adds by which path packets to the peer go now.
  func withPath(_ reply: PingReply, _ peer: PeerID, at moment: Moment) -> PingReply {
    var reply = reply
    let status = paths.status(of: peer, at: moment.now)
    (reply.endpoint, reply.network) = (status?.direct, status?.network)
    reply.region = status?.direct == nil ? status?.relay : nil
    return reply
  }
}
