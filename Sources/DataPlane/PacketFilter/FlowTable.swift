// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import Packets

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
/// every call: one hash look-up, none when the flow is the one used last; nothing is allocated once
/// the table has been full.
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
  private var indices: [Flow: Int] = [:]
  private var newest = none
  private var oldest = none
  /// How many flows were forgotten for want of room.
  public private(set) var forgotten: UInt64 = 0

  /// An empty table.
  public init() {
    slots.reserveCapacity(Self.capacity)
    indices.reserveCapacity(Self.capacity)
  }

  /// How many flows it holds.
  public var count: Int { slots.count }

  /// Remembers `flow` as the one used last.
  public mutating func insert(_ flow: Flow) {
    guard !use(flow) else { return }
    let index: Int
    if slots.count < Self.capacity {
      index = slots.count
      slots.append(Slot(flow: flow, newer: Self.none, older: Self.none))
    } else {
      index = oldest
      unlink(index)
      indices[slots[index].flow] = nil
      slots[index].flow = flow
      forgotten &+= 1
    }
    indices[flow] = index
    linkAsNewest(index)
  }

  /// Whether `flow` is remembered; if so it becomes the one used last.
  public mutating func use(_ flow: Flow) -> Bool {
    if newest != Self.none, slots[newest].flow == flow { return true }
    guard let index = indices[flow] else { return false }
    unlink(index)
    linkAsNewest(index)
    return true
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
