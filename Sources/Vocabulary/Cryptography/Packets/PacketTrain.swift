// SPDX-License-Identifier: Apache-2.0

import CMultiBuffer

/// Packets of one key that are sealed or opened together, each where it lies.
///
/// Made once and filled again and again; holds no packet's bytes. With a `PacketEngine` of its own any
/// thread may work on one, as long as nobody else touches the bytes meanwhile.
@safe
public struct PacketTrain: ~Copyable, @unchecked Sendable {
  /// The most packets of a train.
  public static let capacity = Int(CMB_TRAIN)

  // SAFETY: owned by this value alone; slots below `count` are initialised.
  let packets: UnsafeMutablePointer<cmb_packet>
  /// How many packets there are.
  public private(set) var count = 0

  /// An empty train.
  public init() { unsafe packets = .allocate(capacity: Self.capacity) }

  deinit { unsafe packets.deallocate() }

  /// Whether another packet fits.
  public var hasRoom: Bool { count < Self.capacity }

  /// Adds a packet; the train must have room.
  ///
  /// - Parameters:
  ///   - bytes: Its first byte. The caller owns what lies there, to be sealed with 16 bytes of room for
  ///     the tag behind it, until the train was worked on.
  ///   - size: How many bytes it has; of one to be opened, the tag among them.
  ///   - counter: Its number under the key.
  public mutating func append(_ bytes: UnsafeMutableRawPointer, count size: Int, counter: UInt64) {
    precondition(count < Self.capacity && size >= 0, "a train has room for the packets it is given")
    unsafe (packets + count).initialize(
      to: cmb_packet(bytes: bytes, count: UInt64(size), counter: counter, authentic: 0)
    )
    count += 1
  }

  /// Forgets the packets; keeps the memory.
  public mutating func removeAll() { count = 0 }

  /// Whether the packet at `index` was authentic when the train was opened; if not, it is erased.
  public func isAuthentic(_ index: Int) -> Bool {
    precondition(index >= 0 && index < count, "a train is asked for packets that it has")
    return unsafe packets[index].authentic == 1
  }

  /// The counter of the packet at `index`.
  public func counter(_ index: Int) -> UInt64 {
    precondition(index >= 0 && index < count, "a train is asked for packets that it has")
    return unsafe packets[index].counter
  }

  /// The size of the packet at `index`, as it was added.
  public func size(_ index: Int) -> Int {
    precondition(index >= 0 && index < count, "a train is asked for packets that it has")
    return unsafe Int(packets[index].count)
  }
}
