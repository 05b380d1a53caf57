// SPDX-License-Identifier: Apache-2.0

import Keys
import Packets

/// The super-packets that are being built out of received packets, one a flow.
///
/// Packets of several flows come interleaved in one train; each joins the one before it of its own
/// flow. Within a flow nothing is ever reordered: a packet that cannot be joined completes what its
/// flow has before it is delivered itself. Allocates once, when it is made; what nobody has used yet is
/// no memory to the kernel.
@safe
struct Joiner: ~Copyable {
  /// The most flows at a time; a further one completes the oldest.
  static let maximumFlows = 8

  private struct Slot {
    var coalescer: Coalescer
    var peer: PeerID
    /// When it was begun; zero while nothing is in it.
    var number: UInt64
    /// How many pieces it has.
    var count: Int
  }

  // SAFETY: both belong to this value alone and are freed once, in `deinit`; the first `opened` slots
  // are initialised, and of the room of each the first `count` pieces. None of them needs destruction.
  private let slots: UnsafeMutablePointer<Slot>
  private let pieces: UnsafeMutablePointer<PacketBytes>
  /// How many slots were ever used.
  private var opened = 0
  private var used = 0
  private var begun: UInt64 = 0
  /// The slot that took the last packet.
  private var latest = 0
  /// How many deliveries it made.
  private(set) var deliveries: UInt64 = 0

  init() {
    unsafe slots = .allocate(capacity: Self.maximumFlows)
    unsafe pieces = .allocate(capacity: Self.maximumFlows * Coalescer.maximumSegments)
  }

  deinit {
    unsafe slots.deallocate()
    unsafe pieces.deallocate()
  }

  /// Whether nothing waits for delivery.
  var isEmpty: Bool { used == 0 }

  /// Where the flow of a packet from `peer` is being joined; its verdict holds for this one, too.
  mutating func slot(of view: PacketView, from peer: PeerID) -> Int? {
    guard used > 0 else { return nil }
    if holds(latest, view, peer) { return latest }
    guard used > 1 else { return nil }
    for index in 0..<opened where index != latest && holds(index, view, peer) {
      latest = index
      return index
    }
    return nil
  }

  private func holds(_ index: Int, _ view: PacketView, _ peer: PeerID) -> Bool {
    unsafe slots[index].number != 0 && slots[index].peer == peer
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
    if let skipped = unsafe slots[slot].coalescer.append(packet, view) {
      return put(packet.slice(skipped..<view.length), at: slot)
    }
    deliver(slot, into: &effects)
    fill(slot, packet, view, from: unsafe slots[slot].peer, joining)
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
    // SAFETY: `free` gives out the numbers of slots that are initialised, and the next one.
    unsafe (slots + slot).initialize(
      to: Slot(
        coalescer: Coalescer(packet, view, joining: joining),
        peer: peer,
        number: begun,
        count: 0
      )
    )
    opened = max(opened, slot + 1)
    put(packet.slice(0..<view.length), at: slot)
  }

  /// Adds a piece; the coalescer takes no more than there is room for.
  private func put(_ piece: PacketBytes, at slot: Int) {
    let count = unsafe slots[slot].count
    precondition(
      count < Coalescer.maximumSegments,
      "a super-packet has no more pieces than segments"
    )
    unsafe (pieces + slot * Coalescer.maximumSegments + count).initialize(to: piece)
    unsafe slots[slot].count = count + 1
  }

  /// A slot with nothing in it, if need be the one that was begun first.
  private mutating func free(into effects: inout PipelineEffects) -> Int {
    if used < opened, let empty = (0..<opened).first(where: { unsafe slots[$0].number == 0 }) {
      return empty
    }
    if opened < Self.maximumFlows { return opened }
    let slot = oldest
    deliver(slot, into: &effects)
    return slot
  }

  private var oldest: Int {
    var found = -1
    for index in 0..<opened where unsafe slots[index].number != 0 {
      if unsafe found < 0 || slots[index].number < slots[found].number { found = index }
    }
    precondition(found >= 0, "there is a slot in use")
    return found
  }

  private mutating func deliver(_ slot: Int, into effects: inout PipelineEffects) {
    let header = unsafe slots[slot].coalescer.finish()
    let start = unsafe pieces + slot * Coalescer.maximumSegments
    unsafe effects.deliver(
      header,
      UnsafeBufferPointer(start: start, count: slots[slot].count)
    )
    unsafe slots[slot].number = 0
    used -= 1
    deliveries &+= 1
  }
}
