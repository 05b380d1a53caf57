// SPDX-License-Identifier: Apache-2.0

import Addressing
import Disco
import Keys
import Magicsock
import PacketFilter
import Packets
import WireGuard

/// Packets that are answered, consumed or refused inside the pipeline.
extension Pipeline {
  /// Whether a packet from the host ends here.
  mutating func interceptOutbound(
    _ packet: PacketBytes,
    _ view: PacketView,
    into effects: inout PipelineEffects
  ) -> Bool {
    if view.isEchoRequest, isServiceAddress(view.destination) {
      guard let echo = ICMPEcho(packet, view) else { return true }
      effects.hostPackets.append(echo.reply.packet(from: view.destination, to: view.source))
      return true
    }
    // A message between nodes is for nodes to send, and our own discovery must not enter the tunnel
    // that it is to find a path for.
    guard view.kind == .tsmp || isOwnDiscovery(packet, view) else { return false }
    counters.drop(Counters.OutboundDrop.notForHost)
    return true
  }

  /// Whether a packet from a peer ends here.
  mutating func interceptInbound(
    _ packet: PacketBytes,
    _ view: PacketView,
    from peer: PeerID,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) -> Bool {
    switch view.kind {
    case .tsmp:
      receive(TSMPMessage(packet, view), view, from: peer, at: moment, into: &effects)
      return true
    case .icmp where view.isEchoReply && !pings.isEmpty:
      guard let echo = ICMPEcho(packet, view),
        let ping = pings.answered(echo, by: peer, at: moment.now)
      else { return false }
      effects.events.append(.pong(withPath(ping, peer, at: moment)))
      return true
    default: return false
    }
  }

  /// Tells the sender of a refused TCP connection, as far as the original does: over IPv4 only.
  mutating func refuse(
    _ view: PacketView,
    _ reason: Verdict.Reason,
    _ rules: Filter,
    to peer: PeerID,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    guard view.isSYN, view.source.isV4, reason == .rules || reason == .notLocal else { return }
    let reject = TSMPReject(of: view, reason: rules.isShieldsUp ? .shieldsUp : .accessRules)
    inject(reject.packet, to: peer, at: moment, into: &effects)
  }

  /// Tells a peer our discovery key over the session that just came up, ahead of all else.
  mutating func greet(_ peer: PeerID, at moment: Moment, into effects: inout PipelineEffects) {
    effects.events.append(.sessionEstablished(peer))
    guard let facts = peers[peer], !facts.isWireGuardOnly,
      let (here, there) = addressPair(facts)
    else { return }
    var message = TSMPMessage.discoAdvertisement(key: discoKey.bytes).packet(from: here, to: there)
    // It also shows the peer that we copy congestion bits out, and hence bring them in.
    message.withPacketBytes { ECN.capable0.write(to: $0) }
    inject(message, to: peer, showingECN: true, at: moment, into: &effects)
  }

  /// Own and peer's first addresses of one family, IPv4 first.
  func addressPair(_ facts: PeerFacts) -> (here: IPAddress, there: IPAddress)? {
    for family in IPAddress.Family.allCases {
      if let here = addresses.first(where: { $0.family == family }),
        let there = facts.addresses.first(where: { $0.family == family })
      {
        return (here, there)
      }
    }
    return nil
  }

  private mutating func receive(
    _ message: TSMPMessage?,
    _ view: PacketView,
    from peer: PeerID,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    switch message {
    case .ping(let data):
      guard addresses.contains(view.destination) else {
        return counters.drop(Counters.InboundDrop.accessRules)
      }
      let pong = TSMPMessage.pong(data: data, peerAPIPort: peerAPIPort)
      let reply = pong.packet(from: view.destination, to: view.source)
      inject(reply, to: peer, at: moment, into: &effects)
    case .pong(let data, let port):
      guard let ping = pings.answered(data, by: peer, port: port, at: moment.now) else { return }
      effects.events.append(.pong(withPath(ping, peer, at: moment)))
    case .discoAdvertisement(let bytes):
      guard let key = DiscoKey(bytes: bytes), !key.isZero else {
        return counters.drop(Counters.InboundDrop.unreadableMessage)
      }
      peers[peer]?.discoKey = key
      paths.learnDiscoKey(key, of: peer, at: moment.now, into: &pathEffects)
      if !shard.isOnly { effects.events.append(.discoKeyLearned(peer, key)) }
    case .reject(let reject): effects.events.append(.rejected(reject, by: peer))
    case nil: counters.drop(Counters.InboundDrop.unreadableMessage)
    }
  }

  private func isServiceAddress(_ address: IPAddress) -> Bool {
    address == TailnetRanges.serviceV4 || address == TailnetRanges.serviceV6
  }

  private func isOwnDiscovery(_ packet: PacketBytes, _ view: PacketView) -> Bool {
    let start = view.transportOffset + 8
    guard view.kind == .udp, view.length >= start + 38,
      packet.uint32(at: start) == 0x5453_F09F, packet.uint16(at: start + 4) == 0x92AC
    else { return false }
    return packet.slice(start + 6..<start + 38).array == discoKey.bytes
  }
}
