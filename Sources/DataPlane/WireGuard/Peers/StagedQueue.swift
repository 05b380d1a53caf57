// SPDX-License-Identifier: Apache-2.0

/// Packets that wait for a session, oldest first.
struct StagedQueue: Sendable {
  private var packets: [[UInt8]] = []

  var isEmpty: Bool { packets.isEmpty }
  var count: Int { packets.count }

  /// Adds a packet; true when the oldest one had to make room.
  mutating func append(_ packet: [UInt8]) -> Bool {
    let isFull = packets.count >= ProtocolConstants.stagedMaximum
    if isFull { packets.removeFirst() }
    packets.append(packet)
    return isFull
  }

  /// Takes everything out.
  mutating func takeAll() -> [[UInt8]] {
    defer { packets = [] }
    return packets
  }
}
