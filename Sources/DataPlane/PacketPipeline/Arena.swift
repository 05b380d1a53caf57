// SPDX-License-Identifier: Apache-2.0

package import Packets

/// Memory in which outgoing packets are cut, padded and sealed, one behind the other.
///
/// Allocated once. The kernel takes a whole run of sealed datagrams from here in one call, so they
/// must lie next to each other; between two runs nothing is kept.
@safe
package struct Arena: ~Copyable {
  /// The most packets that one super-packet is cut into.
  package static let maximumSegments = 128
  /// The most bytes that one super-packet can take once sealed.
  static let roomForOne = 65_536 + maximumSegments * 192
  private static let capacity = 2 * roomForOne

  private let memory: UnsafeMutableRawBufferPointer
  /// How many bytes are in use.
  package private(set) var used = 0

  /// An empty arena.
  package init() {
    unsafe memory = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Self.capacity,
      alignment: 64
    )
    unsafe memory.initializeMemory(as: UInt8.self, repeating: 0)
  }

  deinit { unsafe memory.deallocate() }

  /// All of it.
  package var bytes: PacketBytes {
    guard let base = unsafe memory.baseAddress else {
      preconditionFailure("the arena was allocated with a capacity")
    }
    // SAFETY: the memory lives as long as the arena, which outlives what its owner takes from it.
    return unsafe PacketBytes(base, count: Self.capacity)
  }

  /// Whether another super-packet is sure to fit.
  package var hasRoom: Bool { Self.capacity - used >= Self.roomForOne }

  /// Takes `count` bytes; nil when they do not fit.
  mutating func take(_ count: Int) -> Range<Int>? {
    guard count <= Self.capacity - used else { return nil }
    defer { used += count }
    return used..<used + count
  }

  mutating func reset() { used = 0 }
}
