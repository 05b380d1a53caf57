// SPDX-License-Identifier: Apache-2.0

import Addressing
import Disco
import Keys
import Magicsock
import PacketFilter
package import Packets
import Timing
import WireGuard

/// The journey of an outgoing packet: intercept, route, [hand over,] filter, cut, seal, path.
///
/// The unit is what the host hands over: one packet, or a super-packet of one flow that is judged and
/// routed once and then cut and sealed in one pass over its bytes.
extension Pipeline {
  /// Takes a packet from the host.
  ///
  /// - Parameters:
  ///   - packet: The packet, without its offload header; only its segment size option is ever changed.
  ///   - offload: What the offload header said.
  ///   - moment: Now.
  ///   - effects: Receives sealed datagrams, or what the packet was answered with.
  package mutating func outbound(
    _ packet: PacketBytes,
    offload: OffloadHeader,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    let view = PacketView(packet)
    if interceptOutbound(packet, view, into: &effects) { return }
    if !view.isOpening, recalled?.covers(view, at: moment.now) == true, let hop = recalled?.hop {
      guard let segmenter = Segmenter(packet, view, offload) else {
        return counters.drop(OutboundDrop.badOffload)
      }
      send(packet, segmenter, hop, at: moment, into: &effects)
      return settle(at: moment, into: &effects)
    }
    guard let peer = tunnel.peer(for: view.destination) else {
      return counters.drop(OutboundDrop.noRoute)
    }
    if !shard.isOnly, shard.owner(of: peer) != shard.index {
      effects.foreignOwner = shard.owner(of: peer)
      return
    }
    if case .drop(let reason) = filter.outbound(view, flows: &flows) {
      return counters.dropOutbound(reason)
    }
    guard let segmenter = Segmenter(packet, view, offload) else {
      return counters.drop(OutboundDrop.badOffload)
    }
    let hop = hop(to: peer, at: moment)
    if view.isOpening {
      lowerSegmentSize(packet, view, peer, needsChecksum: offload.needsChecksum)
    }
    recalled = OutboundFlow(view: view, hop: hop, found: moment.now)
    send(packet, segmenter, hop, at: moment, into: &effects)
    settle(at: moment, into: &effects)
  }

  /// Where packets to a peer go now.
  private mutating func hop(to peer: PeerID, at moment: Moment) -> OutboundFlow.Hop {
    let way = paths.paths(to: peer, at: moment.now, into: &pathEffects)
    let carriesECN = peers[peer]?.carriesECN == true
    return OutboundFlow.Hop(peer: peer, way: way, carriesECN: carriesECN)
  }

  /// Sends a packet that this node made itself; the filter is not asked.
  ///
  /// - Parameters:
  ///   - packet: The packet.
  ///   - peer: Whom it is for.
  ///   - showsECN: Whether its outer header is to say what it says of congestion, come what may.
  ///   - moment: Now.
  ///   - effects: Receives it, sealed.
  mutating func inject(
    _ packet: [UInt8],
    to peer: PeerID,
    showingECN showsECN: Bool = false,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    var packet = packet
    packet.withPacketBytes { bytes in
      let view = PacketView(bytes)
      guard let segmenter = Segmenter(bytes, view, .none) else {
        preconditionFailure("a packet of our own making is whole")
      }
      var hop = hop(to: peer, at: moment)
      if showsECN { hop.carriesECN = true }
      send(bytes, segmenter, hop, at: moment, into: &effects)
    }
  }

  private typealias OutboundDrop = Counters.OutboundDrop

  private mutating func send(
    _ packet: PacketBytes,
    _ segmenter: Segmenter,
    _ hop: OutboundFlow.Hop,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    let count = min(segmenter.count, Arena.maximumSegments)
    if count < segmenter.count {
      counters.drop(OutboundDrop.tooManySegments, count: segmenter.count - count)
    }
    let size = sealedLength(segmenter.largest)
    guard size <= PipelineEffects.maximumTrainBytes else {
      return counters.drop(OutboundDrop.tooLarge, count: count)
    }
    guard size <= hop.way.limit else {
      return sendLarge(packet, segmenter, count, hop, at: moment, into: &effects)
    }
    transmit(packet, segmenter, count, hop, at: moment, into: &effects)
  }

  /// Sends what is larger than its path is sure to carry.
  @inline(never)
  private mutating func sendLarge(
    _ packet: PacketBytes,
    _ segmenter: Segmenter,
    _ count: Int,
    _ hop: OutboundFlow.Hop,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    var hop = hop
    hop.way = paths.largePaths(to: hop.peer, at: moment.now)
    tellTooBig(packet, to: hop.peer, at: moment.now, into: &effects)
    transmit(packet, segmenter, count, hop, at: moment, into: &effects)
  }

  @inline(__always)
  private mutating func transmit(
    _ packet: PacketBytes,
    _ segmenter: Segmenter,
    _ count: Int,
    _ hop: OutboundFlow.Hop,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    guard
      let run = tunnel.beginSealing(
        hop.peer,
        packets: count,
        at: moment.now,
        timestamp: moment.wall,
        into: &tunnelEffects
      )
    else { return stage(packet, segmenter, count, for: hop.peer) }
    // What has no way is dropped before it costs a cipher.
    guard !hop.way.isEmpty else { return counters.drop(OutboundDrop.noPath, count: count) }
    let start = effects.arena.used
    let length = tunnel.trainLength
    var next = 0
    while next < count {
      let wanted = next..<min(next + length, count)
      next += seal(wanted, of: packet, segmenter, run, &effects)
      guard next == wanted.upperBound else {
        counters.drop(OutboundDrop.tooLarge, count: count - next)
        break
      }
    }
    let sealed = start..<effects.arena.used
    guard !sealed.isEmpty else { return }
    tunnel.didSend(run, bytes: sealed.count, at: moment.now)
    let size = sealedLength(segmenter.largest)
    let ecn = hop.carriesECN ? ECN(of: packet) : .notCapable
    dispatch(sealed, segmentSize: size, hop, ecn, into: &effects)
  }

  /// Cuts segments at the end of the arena and seals them together.
  ///
  /// All but the last segment of a packet have one length.
  ///
  /// - Returns: How many fitted.
  private mutating func seal(
    _ segments: Range<Int>,
    of packet: PacketBytes,
    _ segmenter: Segmenter,
    _ run: SealingRun,
    _ effects: inout PipelineEffects
  ) -> Int {
    let start = effects.arena.used
    var (end, last) = (segments.lowerBound, 0)
    for index in segments {
      let length = segmenter.length(of: index)
      let padded = Padding.paddedLength(length, mtu: mtu)
      guard let range = effects.arena.take(padded + Self.overhead) else { break }
      let slot = effects.arena.bytes.slice(range)
      segmenter.write(index, of: packet, to: slot.slice(Self.headerRoom..<Self.headerRoom + length))
      slot.clear(Self.headerRoom + length..<Self.headerRoom + padded)
      (end, last) = (index + 1, padded)
    }
    guard end > segments.lowerBound else { return 0 }
    let first = segmenter.length(of: segments.lowerBound)
    // SAFETY: every slot has room for header, padded packet and tag, and they lie behind each other.
    unsafe tunnel.seal(
      run,
      segments.lowerBound..<end,
      at: effects.arena.bytes.slice(start..<effects.arena.used).pointer,
      plaintextCount: Padding.paddedLength(first, mtu: mtu),
      lastPlaintextCount: last
    )
    return end - segments.lowerBound
  }

  /// Copies packets that must wait for a session.
  private mutating func stage(
    _ packet: PacketBytes,
    _ segmenter: Segmenter,
    _ count: Int,
    for peer: PeerID
  ) {
    for index in 0..<count {
      var copy = [UInt8](repeating: 0, count: segmenter.length(of: index))
      copy.withPacketBytes { segmenter.write(index, of: packet, to: $0) }
      tunnel.stage(copy, for: peer)
    }
  }

  private mutating func dispatch(
    _ sealed: Range<Int>,
    segmentSize: Int,
    _ hop: OutboundFlow.Hop,
    _ ecn: ECN,
    into effects: inout PipelineEffects
  ) {
    let count = (sealed.count + segmentSize - 1) / segmentSize
    if let endpoint = hop.way.direct, hop.way.network == 0 {
      counters.outbound.add(packets: count, bytes: sealed.count, over: .direct(endpoint))
      effects.send(sealed, segmentSize: segmentSize, to: .direct(endpoint), ecn: ecn)
    }
    let isRelayed = hop.way.relay != nil
    if hop.way.network != 0, let relay = hop.way.hop,
      let wrapped = effects.wrap(
        sealed,
        segmentSize: segmentSize,
        for: hop.way.network,
        keepsOriginal: isRelayed
      )
    {
      counters.outbound.add(packets: count, bytes: sealed.count, over: relay)
      let size = segmentSize + GeneveHeader.byteCount
      // What routers mark between us and the relay would be lost there: nothing is asked of them.
      effects.send(wrapped, segmentSize: size, to: relay, ecn: .notCapable)
    }
    if let region = hop.way.relay, let key = peers[hop.peer]?.nodeKey {
      let relay = PacketSource.relay(region, key)
      counters.outbound.add(packets: count, bytes: sealed.count, over: relay)
      effects.send(sealed, segmentSize: segmentSize, to: relay, ecn: .notCapable)
    }
  }

  static let headerRoom = 16
  static let tagRoom = 16
  static let overhead = headerRoom + tagRoom

  private func sealedLength(_ length: Int) -> Int {
    Padding.paddedLength(length, mtu: mtu) + Self.overhead
  }
}

/// What is known of a flow of the host while its packets come one behind the other.
///
/// Look-ups, filter and path are asked once for all of them; whatever could change an answer, time
/// included, makes the pipeline forget it.
struct OutboundFlow {
  /// Whom its packets go to, and how.
  struct Hop {
    var peer: PeerID
    var way: SendPaths
    /// Whether the peer brings in what the outer header says of congestion.
    var carriesECN: Bool
  }

  var view: PacketView
  var hop: Hop
  var found: Instant

  /// Whether the answers hold for a packet, too.
  func covers(_ packet: PacketView, at now: Instant) -> Bool {
    found == now && (packet.kind == .udp || packet.kind == .tcp) && view.isSameFlow(as: packet)
      && view.isFirstFragment == packet.isFirstFragment
  }
}
