// SPDX-License-Identifier: Apache-2.0

import Disco
package import Keys
package import Magicsock
package import Packets
package import WireGuard

/// What a shard does for the others: tells whose a datagram is, and takes what they screened.
extension Pipeline {
  /// Who is to handle a datagram from the network.
  package enum Place: Hashable, Sendable {
    /// The shard that gave out the receiver index in it.
    case shard(Int)
    /// Whoever owns the peers with this discovery key.
    case discovery(DiscoKey)
    /// Whoever owns the peer that it names; the first shard finds out with `screen`.
    case initiation
    /// The first shard: it answers what nobody else does.
    case first
    /// All of them: only who asked a peer relay knows what it answers.
    case everyone
  }

  /// Who is to handle `datagram`, where there are several shards.
  ///
  /// For data that is two loads and two compares.
  package func place(of datagram: PacketBytes) -> Place {
    guard datagram.count >= 8 else { return .first }
    switch datagram.uint32(at: 0) {
    case 0x0400_0000, 0x0300_0000: return .shard(owner(at: 4, of: datagram))
    case 0x0200_0000 where datagram.count >= 12: return .shard(owner(at: 8, of: datagram))
    case 0x0100_0000: return .initiation
    default: break
    }
    // SAFETY: the window covers `count` bytes, and the call keeps nothing.
    let kind = unsafe DatagramKind.classify(
      UnsafeRawBufferPointer(start: datagram.pointer, count: datagram.count)
    )
    if kind == .geneve { return relayedPlace(of: datagram) }
    guard kind == .disco, let sender = Envelope.sender(of: datagram.array) else {
      return .first
    }
    return .discovery(sender)
  }

  /// Who is to handle a datagram behind the header of a peer relay.
  private func relayedPlace(of datagram: PacketBytes) -> Place {
    let inner = datagram.slice(GeneveHeader.byteCount..<datagram.count)
    guard let header = GeneveHeader(parsing: datagram.array), header.content == .disco else {
      return GeneveTrain(datagram, datagram.count) == nil ? .first : place(of: inner)
    }
    guard !header.isControl else { return .everyone }
    return Envelope.sender(of: inner.array).map { .discovery($0) } ?? .first
  }

  /// The shard in the low bits of the little-endian receiver index at `offset`.
  private func owner(at offset: Int, of datagram: PacketBytes) -> Int {
    shard.owner(ofReceiver: UInt32(datagram[offset]))
  }

  /// The initiation in a datagram, and the way it came, if that is through a peer relay.
  package static func unwrapped(
    _ datagram: PacketBytes,
    from source: PacketSource
  ) -> (datagram: PacketBytes, source: PacketSource) {
    guard case .direct(let relay) = source, let train = GeneveTrain(datagram, datagram.count)
    else { return (datagram, source) }
    return (train.unwrapped(), .peerRelay(relay, train.network))
  }

  /// Finds out whom an initiation is from; nil when it is dropped or answered with a cookie.
  package mutating func screen(
    _ datagram: PacketBytes,
    from source: PacketSource,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) -> ScreenedInitiation? {
    let screening = tunnel.screen(
      datagram.array,
      from: Self.cookieSource(source),
      at: moment.now,
      into: &tunnelEffects
    )
    for reply in tunnelEffects.replies { effects.post(reply.bytes, to: source) }
    tunnelEffects.replies.removeAll()
    switch screening {
    case .initiation(let initiation): return initiation
    case .dropped:
      counters.drop(Counters.InboundDrop.notAuthentic)
      return nil
    }
  }

  /// Takes an initiation that was screened, here or elsewhere.
  package mutating func receive(
    _ initiation: ScreenedInitiation,
    from source: PacketSource,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    let received = tunnel.receive(
      initiation,
      at: moment.now,
      timestamp: moment.wall,
      into: &tunnelEffects
    )
    if case .handshake(let peer?) = received {
      paths.noteAuthenticated(peer, from: source, at: moment.now, into: &pathEffects)
    } else {
      counters.drop(Counters.InboundDrop.notAuthentic)
    }
    settle(at: moment, into: &effects)
  }

  /// Takes the routes of all shards.
  package mutating func setRoutes(_ routes: AllowedIPs) { tunnel.setRoutes(routes) }
}
