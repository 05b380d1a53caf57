// SPDX-License-Identifier: Apache-2.0

import Addressing
import Disco
import Keys
package import Magicsock
import PacketFilter
package import Packets
import WireGuard

/// The journey of a received datagram: classify, open, learn the path, check source, filter, join,
/// deliver.
///
/// The unit is what the kernel received in one go: datagrams of one size from one sender, opened where
/// they lie. What repeats within it (path, source check, verdict of a flow) is looked up once.
extension Pipeline {
  /// What is remembered from one datagram of a run to the next.
  private struct Run {
    var source: PacketSource
    var cookieSource: [UInt8] = []
    var ecn: ECN
    var authenticated: PeerID?
  }

  /// Takes datagrams that arrived together.
  ///
  /// - Parameters:
  ///   - buffer: The datagrams, one behind the other; opened in place.
  ///   - segmentSize: The size of each but the last.
  ///   - source: Where they came from.
  ///   - ecn: What their outer headers say of congestion.
  ///   - moment: Now.
  ///   - effects: Receives deliveries that point into `buffer`.
  package mutating func inbound(
    _ buffer: PacketBytes,
    segmentSize: Int,
    from source: PacketSource,
    ecn: ECN = .notCapable,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    recalled = nil
    var run = Run(source: source, ecn: ecn)
    var (buffer, size) = (buffer, segmentSize > 0 ? segmentSize : buffer.count)
    if case .direct(let relay) = source, let train = GeneveTrain(buffer, size) {
      (buffer, size) = (train.unwrapped(), size - GeneveHeader.byteCount)
      run.source = .peerRelay(relay, train.network)
    }
    var offset = 0
    while offset < buffer.count {
      let rest = buffer.slice(offset..<buffer.count)
      let taken = openTrain(rest, size, &run, at: moment, into: &effects)
      if taken > 0 {
        offset = min(offset + taken * size, buffer.count)
        continue
      }
      let end = min(offset + size, buffer.count)
      receive(buffer.slice(offset..<end), &run, at: moment, into: &effects)
      offset = end
    }
    joiner.finish(into: &effects)
    counters.deliveries = joiner.deliveries
    settle(at: moment, into: &effects)
  }

  private typealias InboundDrop = Counters.InboundDrop

  private mutating func receive(
    _ datagram: PacketBytes,
    _ run: inout Run,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    switch classify(datagram) {
    case .stun, .disco:
      paths.receive(datagram.array, from: run.source, at: moment.now, into: &pathEffects)
    case .geneve:
      guard case .direct(let relay) = run.source,
        let train = GeneveTrain(datagram, datagram.count)
      else {
        return paths.receive(datagram.array, from: run.source, at: moment.now, into: &pathEffects)
      }
      // One of several networks at one relay.
      var alone = Run(source: .peerRelay(relay, train.network), ecn: run.ecn)
      open(train.unwrapped(), &alone, at: moment, into: &effects)
    case .wireguard: open(datagram, &run, at: moment, into: &effects)
    case .noise: counters.drop(InboundDrop.noise)
    }
  }

  private func classify(_ datagram: PacketBytes) -> DatagramKind {
    // SAFETY: the window covers `count` bytes, and the call keeps nothing.
    unsafe DatagramKind.classify(
      UnsafeRawBufferPointer(start: datagram.pointer, count: datagram.count)
    )
  }

  /// Whether what comes from there is worth a look: a relay also carries strangers' packets.
  private func isKnown(_ source: PacketSource) -> Bool {
    if case .relay(_, let key) = source { paths.peer(with: key) != nil } else { true }
  }

  /// Opens the transport messages at the front of `datagrams` together.
  ///
  /// - Returns: How many there were; the rest is for `receive`.
  private mutating func openTrain(
    _ datagrams: PacketBytes,
    _ size: Int,
    _ run: inout Run,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) -> Int {
    guard isKnown(run.source) else { return 0 }
    opened.removeAll(keepingCapacity: true)
    // SAFETY: the window covers `count` bytes, and the call keeps nothing.
    let taken = unsafe tunnel.receive(
      train: UnsafeMutableRawBufferPointer(start: datagrams.pointer, count: datagrams.count),
      segmentSize: size,
      at: moment.now,
      timestamp: moment.wall,
      into: &tunnelEffects,
      results: &opened
    )
    for index in 0..<taken {
      let start = index * size
      let datagram = datagrams.slice(start..<min(start + size, datagrams.count))
      conclude(opened[index], of: datagram, &run, at: moment, into: &effects)
    }
    return taken
  }

  private mutating func open(
    _ datagram: PacketBytes,
    _ run: inout Run,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    guard isKnown(run.source) else { return counters.drop(InboundDrop.unknownPeer) }
    let isTransport = datagram[0] == 4
    if !isTransport, run.cookieSource.isEmpty { run.cookieSource = Self.cookieSource(run.source) }
    // SAFETY: the window covers `count` bytes, and the call keeps nothing.
    let received = unsafe tunnel.receive(
      UnsafeMutableRawBufferPointer(start: datagram.pointer, count: datagram.count),
      from: run.cookieSource,
      at: moment.now,
      timestamp: moment.wall,
      into: &tunnelEffects
    )
    for reply in tunnelEffects.replies { effects.post(reply.bytes, to: run.source) }
    tunnelEffects.replies.removeAll()
    conclude(received, of: datagram, &run, at: moment, into: &effects)
  }

  /// Goes on with what became of a datagram.
  private mutating func conclude(
    _ received: Received,
    of datagram: PacketBytes,
    _ run: inout Run,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    switch received {
    case .packet(let peer, let offset, let count):
      noteAuthenticated(peer, &run, at: moment)
      counters.inbound.add(packets: 1, bytes: count, over: run.source)
      accept(datagram.slice(offset..<offset + count), from: peer, &run, at: moment, into: &effects)
    case .keepalive(let peer): noteAuthenticated(peer, &run, at: moment)
    case .handshake(let peer):
      if let peer { noteAuthenticated(peer, &run, at: moment) }
      settle(at: moment, into: &effects)
    case .dropped: counters.drop(InboundDrop.notAuthentic)
    }
  }

  /// Tells path finding that the peer was heard, once in a run.
  private mutating func noteAuthenticated(_ peer: PeerID, _ run: inout Run, at moment: Moment) {
    guard run.authenticated != peer else { return }
    run.authenticated = peer
    if run.ecn != .notCapable, peers[peer]?.carriesECN == false { peers[peer]?.carriesECN = true }
    paths.noteAuthenticated(peer, from: run.source, at: moment.now, into: &pathEffects)
  }

  /// Judges an opened packet and hands it on.
  private mutating func accept(
    _ packet: PacketBytes,
    from peer: PeerID,
    _ run: inout Run,
    at moment: Moment,
    into effects: inout PipelineEffects
  ) {
    let view = PacketView(packet)
    if !view.isSYN, let slot = joiner.slot(of: view, from: peer) {
      guard mark(packet, with: run.ecn) else { return }
      return joiner.add(packet, view, at: slot, joining: joining, into: &effects)
    }
    guard view.kind != .malformed else { return counters.drop(InboundDrop.malformed) }
    guard tunnel.peer(peer, owns: view.source) else {
      return counters.drop(InboundDrop.foreignSource)
    }
    if interceptInbound(packet, view, from: peer, at: moment, into: &effects) { return }
    let rules = peers[peer]?.isJailed == false ? filter : jailedFilter
    switch rules.inbound(view, flows: &flows) {
    case .accept:
      guard mark(packet, with: run.ecn) else { return }
      if view.isOpening { lowerSegmentSize(packet, view, peer) }
      if view.isSYN, let slot = joiner.slot(of: view, from: peer) {
        return joiner.add(packet, view, at: slot, joining: joining, into: &effects)
      }
      joiner.begin(packet, view, from: peer, joining: joining, into: &effects)
    case .drop(let reason):
      counters.dropInbound(reason)
      refuse(view, reason, rules, to: peer, at: moment, into: &effects)
    }
  }

  /// Brings what the network said of congestion into the packet; false when it must be dropped.
  private mutating func mark(_ packet: PacketBytes, with outer: ECN) -> Bool {
    guard outer != .notCapable else { return true }
    let inner = ECN(of: packet)
    guard let merged = inner.merged(withOuter: outer) else {
      counters.drop(InboundDrop.congested)
      return false
    }
    if merged != inner { merged.write(to: packet) }
    return true
  }

  /// What names the sender in the cookies of the handshake: address and port, or key.
  static func cookieSource(_ source: PacketSource) -> [UInt8] {
    switch source {
    case .direct(let endpoint), .peerRelay(let endpoint, _): endpoint.discoveryBytes
    case .relay(_, let key): key.bytes
    }
  }
}
