// SPDX-License-Identifier: Apache-2.0

import Addressing
import Magicsock
import PacketPipeline
import Packets
import WireGuard

/// What a shard does with trains that are not its own, and with those that others give it.
///
/// Nothing here is on the way of a packet where there is one shard.
extension DataPlaneThread {
  /// Copies a train to its owner.
  mutating func handOver(
    _ bytes: PacketBytes,
    _ kind: HandoverRing.Kind,
    to owner: Int,
    segmentSize: Int = 0,
    source: Endpoint = Endpoint(.unspecified(.v4), port: 0)
  ) {
    guard let crew, owner != shard.index else {
      preconditionFailure("a train is handed over to another shard")
    }
    let ring = crew.ring(from: shard.index, to: owner)
    guard ring.put(kind, bytes, segmentSize: segmentSize, source: source) else {
      counters.handoverDropped &+= 1
      return
    }
    counters.handedOver &+= 1
    crew.ringBell(of: owner)
  }

  /// Handles the trains that others left here, some of each in turn.
  mutating func readRings(of crew: Crew, at moment: Pipeline.Moment) {
    var isMore = false
    for sender in 0..<crew.count where sender != shard.index {
      let ring = crew.ring(from: sender, to: shard.index)
      var left = Self.turn
      while left > 0, let entry = ring.next() {
        take(entry, from: crew, at: moment)
        ring.release()
        left -= 1
      }
      if left == 0 { isMore = true }
    }
    perform(at: moment)
    // The descriptors get their turn before the rest.
    if isMore { crew.ringBell(of: shard.index) }
  }

  private mutating func take(
    _ entry: HandoverRing.Entry,
    from crew: Crew,
    at moment: Pipeline.Moment
  ) {
    switch entry.kind {
    case .outbound:
      guard let offload = OffloadHeader(entry.bytes.slice(0..<OffloadHeader.size)) else {
        preconditionFailure("a train is handed over behind a header that was read")
      }
      let packet = entry.bytes.slice(OffloadHeader.size..<entry.bytes.count)
      // A route that changed on the way may name another owner: the packet is late, and is lost.
      pipeline.outbound(packet, offload: offload, at: moment, into: &effects)
      if effects.foreignOwner.take() != nil { counters.handoverDropped &+= 1 }
      if !effects.hasRoom { perform(at: moment) }
    case .owned:
      inbound(
        entry.bytes,
        segmentSize: entry.segmentSize,
        from: .direct(entry.source),
        at: moment
      )
    case .unsorted:
      sort(
        entry.bytes,
        segmentSize: entry.segmentSize,
        from: entry.source,
        for: crew,
        at: moment
      )
    }
  }

  /// Gives each datagram of a train to its owner, those of one owner together.
  mutating func sort(
    _ train: PacketBytes,
    segmentSize: Int,
    from source: Endpoint,
    for crew: Crew,
    at moment: Pipeline.Moment
  ) {
    var start = 0
    var place = pipeline.place(of: train.slice(0..<min(segmentSize, train.count)))
    var end = min(segmentSize, train.count)
    while start < train.count {
      var next = place
      while end < train.count {
        let after = min(end + segmentSize, train.count)
        next = pipeline.place(of: train.slice(end..<after))
        guard next == place, next != .initiation else { break }
        end = after
      }
      let run = train.slice(start..<end)
      give(run, segmentSize, from: source, to: place, for: crew, at: moment)
      (start, place) = (end, next)
      end = min(end + segmentSize, train.count)
    }
  }

  private mutating func give(
    _ run: PacketBytes,
    _ segmentSize: Int,
    from source: Endpoint,
    to place: Pipeline.Place,
    for crew: Crew,
    at moment: Pipeline.Moment
  ) {
    switch place {
    case .shard(let owner): give(run, segmentSize, from: source, to: owner, at: moment)
    case .discovery(let key):
      let owners = crew.directory.owners(of: key)
      // Nobody's are counted here.
      if owners.isEmpty { give(run, segmentSize, from: source, to: shard.index, at: moment) }
      for owner in owners { give(run, segmentSize, from: source, to: owner, at: moment) }
    case .everyone:
      for owner in 0..<crew.count { give(run, segmentSize, from: source, to: owner, at: moment) }
    case .initiation where shard.index == 0:
      let (datagram, source) = Pipeline.unwrapped(run, from: .direct(source))
      screen(datagram, from: source, for: crew, at: moment)
    case .first where shard.index == 0:
      give(run, segmentSize, from: source, to: 0, at: moment)
    case .initiation, .first:
      handOver(run, .unsorted, to: 0, segmentSize: segmentSize, source: source)
    }
  }

  private mutating func give(
    _ run: PacketBytes,
    _ segmentSize: Int,
    from source: Endpoint,
    to owner: Int,
    at moment: Pipeline.Moment
  ) {
    guard owner != shard.index else {
      let way = PacketSource.direct(source)
      return inbound(run, segmentSize: segmentSize, from: way, ecn: outerECN, at: moment)
    }
    handOver(run, .owned, to: owner, segmentSize: segmentSize, source: source)
  }

  /// Finds out whom an initiation is from, and gives it to whoever owns that peer.
  private mutating func screen(
    _ datagram: PacketBytes,
    from source: PacketSource,
    for crew: Crew,
    at moment: Pipeline.Moment
  ) {
    let screened = pipeline.screen(datagram, from: source, at: moment, into: &effects)
    guard let screened else { return }
    // A stranger's is refused here.
    let owner = crew.directory.owner(of: screened.peer) ?? shard.index
    guard owner != shard.index else {
      return pipeline.receive(screened, from: source, at: moment, into: &effects)
    }
    counters.handedOver &+= 1
    ways.post.post(.initiation(screened, from: source), to: owner)
  }
}
