// SPDX-License-Identifier: Apache-2.0

import Keys
import Packets

/// The super-packets that are being built out of received packets, one a flow.
///
/// Packets of several flows come interleaved in one train; each joins the one before it of its own
/// flow. Within a flow nothing is ever reordered: a packet that cannot be joined completes what its
/// flow has before it is delivered itself. Allocates once, when it is made.
struct Joiner: ~Copyable {
  /// The most flows at a time; a further one completes the oldest.
  static let maximumFlows = 8

  private struct Slot {
    var coalescer: Coalescer
    var peer: PeerID
    /// When it was begun; zero while nothing is in it.
    var number: UInt64
    var pieces: [PacketBytes]
  }

  private var slots: [Slot] = []
  private var used = 0
  private var begun: UInt64 = 0
  /// The slot that took the last packet.
  private var latest = 0
  /// How many deliveries it made.
  private(set) var deliveries: UInt64 = 0

  /// Whether nothing waits for delivery.
  var isEmpty: Bool { used == 0 }

  /// Where the flow of a packet from `peer` is being joined; its verdict holds for this one, too.
  mutating func slot(of view: PacketView, from peer: PeerID) -> Int? {
    guard used > 0 else { return nil }
    if holds(latest, view, peer) { return latest }
    guard used > 1 else { return nil }
    for index in slots.indices where index != latest && holds(index, view, peer) {
      latest = index
      return index
    }
    return nil
  }

  private func holds(_ index: Int, _ view: PacketView, _ peer: PeerID) -> Bool {
    slots[index].number != 0 && slots[index].peer == peer
      && slots[index].coalescer.isSameFlow(as: view)
  }

  /// Adds a packet whose flow is being joined at `slot`.
  mutating func add(
    _ packet: PacketBytes,
    _ view: PacketView,
    at slot: Int,
    joining: Joining,
    into effects: inout PipelineEffects
  ) {
    if let skipped = slots[slot].coalescer.append(packet, view) {
      slots[slot].pieces.append(packet.slice(skipped..<view.length))
      return
    }
    deliver(slot, into: &effects)
    fill(slot, packet, view, from: slots[slot].peer, joining)
  }

  /// Adds the first packet of a flow.
  mutating func begin(
    _ packet: PacketBytes,
    _ view: PacketView,
    from peer: PeerID,
    joining: Joining,
    into effects: inout PipelineEffects
  ) {
    guard view.kind == .tcp || view.kind == .udp, !view.isFirstFragment else {
      // Fragments have no ports to know their flow by.
      if view.kind == .fragment || view.isFirstFragment { finish(into: &effects) }
      effects.deliver(packet.slice(0..<view.length))
      deliveries &+= 1
      return
    }
    let slot = free(into: &effects)
    latest = slot
    fill(slot, packet, view, from: peer, joining)
  }

  /// Delivers everything, in the order in which it was begun.
  mutating func finish(into effects: inout PipelineEffects) {
    while used > 0 { deliver(oldest, into: &effects) }
  }

  private mutating func fill(
    _ slot: Int,
    _ packet: PacketBytes,
    _ view: PacketView,
    from peer: PeerID,
    _ joining: Joining
  ) {
    begun &+= 1
    used += 1
    let coalescer = Coalescer(packet, view, joining: joining)
    let piece = packet.slice(0..<view.length)
    guard slot < slots.count else {
      var pieces: [PacketBytes] = []
      pieces.reserveCapacity(Coalescer.maximumSegments)
      pieces.append(piece)
      slots.append(Slot(coalescer: coalescer, peer: peer, number: begun, pieces: pieces))
      return
    }
    slots[slot].coalescer = coalescer
    (slots[slot].peer, slots[slot].number) = (peer, begun)
    slots[slot].pieces.append(piece)
  }

  /// A slot with nothing in it, if need be the one that was begun first.
  private mutating func free(into effects: inout PipelineEffects) -> Int {
    if used < slots.count, let empty = slots.firstIndex(where: { $0.number == 0 }) { return empty }
    if slots.count < Self.maximumFlows { return slots.count }
    let slot = oldest
    deliver(slot, into: &effects)
    return slot
  }

  private var oldest: Int {
    var found = -1
    for index in slots.indices where slots[index].number != 0 {
      if found < 0 || slots[index].number < slots[found].number { found = index }
    }
    precondition(found >= 0, "there is a slot in use")
    return found
  }

  private mutating func deliver(_ slot: Int, into effects: inout PipelineEffects) {
    let header = slots[slot].coalescer.finish()
    effects.deliver(header, slots[slot].pieces)
    slots[slot].pieces.removeAll(keepingCapacity: true)
    slots[slot].number = 0
    used -= 1
    deliveries &+= 1
  }
}
