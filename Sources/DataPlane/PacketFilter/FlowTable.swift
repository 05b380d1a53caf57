// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import Packets
import Tables

/// Two ends of a conversation, named from the side of the sender.
public struct Flow: Hashable, Sendable {
  /// The protocol.
  public var proto: IPProtocol
  /// The sender's port.
  public var sourcePort: UInt16
  /// The receiver's port.
  public var destinationPort: UInt16
  /// The sender.
  public var source: IPAddress
  /// The receiver.
  public var destination: IPAddress

  /// The flow of a packet.
  public init(_ view: PacketView) {
    (proto, sourcePort, destinationPort) = (view.proto, view.sourcePort, view.destinationPort)
    (source, destination) = (view.source, view.destination)
  }

  /// The flow of the answers.
  public var reversed: Flow {
    var other = self
    (other.source, other.destination) = (destination, source)
    (other.sourcePort, other.destinationPort) = (destinationPort, sourcePort)
    return other
  }
}

/// The flows that this node started lately, so that answers may come in.
///
/// Holds `capacity` flows and forgets the one that was used longest ago; there is no timeout. Cost of
/// every call: one probe, none when the flow is the one used last; nothing is allocated after the
/// table was made.
public struct FlowTable: Sendable {
  /// How many flows are remembered.
  public static let capacity = 512

  private struct Slot: Sendable {
    var flow: Flow
    var newer: Int
    var older: Int
  }

  private static let none = -1
  private var slots: [Slot] = []
  private var index = SlotIndex()
  private let hash = SlotHash()
  private var newest = none
  private var oldest = none
  /// How many flows were forgotten for want of room.
  public private(set) var forgotten: UInt64 = 0

  /// An empty table.
  public init() {
    slots.reserveCapacity(Self.capacity)
    index.reserve(Self.capacity)
  }

  /// How many flows it holds.
  public var count: Int { slots.count }

  /// Remembers `flow` as the one used last.
  public mutating func insert(_ flow: Flow) {
    guard !use(flow) else { return }
    let slot: Int
    if slots.count < Self.capacity {
      slot = slots.count
      slots.append(Slot(flow: flow, newer: Self.none, older: Self.none))
    } else {
      slot = oldest
      unlink(slot)
      index.remove(slot, tag: tag(slots[slot].flow))
      slots[slot].flow = flow
      forgotten &+= 1
    }
    index.insert(slot, tag: tag(flow))
    linkAsNewest(slot)
  }

  /// Whether `flow` is remembered; if so it becomes the one used last.
  public mutating func use(_ flow: Flow) -> Bool {
    if newest != Self.none, slots[newest].flow == flow { return true }
    guard let slot = index.slot(of: tag(flow), where: { slots[$0].flow == flow }) else {
      return false
    }
    unlink(slot)
    linkAsNewest(slot)
    return true
  }

  private func tag(_ flow: Flow) -> UInt32 {
    let ports = UInt64(flow.sourcePort) << 24 | UInt64(flow.destinationPort) << 8
    let source = hash.mixed(flow.source.high ^ ports ^ UInt64(flow.proto.rawValue), flow.source.low)
    return hash.tag(source ^ flow.destination.high, flow.destination.low)
  }

  private mutating func unlink(_ index: Int) {
    let slot = slots[index]
    if slot.newer == Self.none { newest = slot.older } else { slots[slot.newer].older = slot.older }
    if slot.older == Self.none { oldest = slot.newer } else { slots[slot.older].newer = slot.newer }
  }

  private mutating func linkAsNewest(_ index: Int) {
    slots[index].newer = Self.none
    slots[index].older = newest
    if newest != Self.none { slots[newest].newer = index }
    newest = index
    if oldest == Self.none { oldest = index }
  }
}
