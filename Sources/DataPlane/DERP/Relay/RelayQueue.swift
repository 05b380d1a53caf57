// SPDX-License-Identifier: Apache-2.0

import Keys
import Timing

/// Packets that wait for one connection, at most `maximumPackets` with at most `maximumBytes`.
///
/// A full queue makes room at the cost of whoever has most in it, dropping the oldest of theirs: a
/// sender that floods pushes out its own packets and nobody else's. With one sender this is
/// drop-oldest, which keeps what runs inside the tunnel fresh.
struct RelayQueue: Sendable {
  static let maximumPackets = 32
  /// Room for that many of the size that tunnels send, with much to spare; a single packet may
  /// always wait.
  static let maximumBytes = 256 * 1024

  struct Entry: Sendable {
    let source: NodeKey
    /// For whom it is; only another relay needs to be told.
    let destination: NodeKey
    fileprivate(set) var packet: [UInt8]
    /// When it came.
    let arrival: Instant

    /// What it takes of the queue: a place, or its bytes where those are more.
    fileprivate var weight: Int {
      max(RelayQueue.maximumBytes / RelayQueue.maximumPackets, packet.count)
    }
  }

  /// How many packets fell off or were lost, and their bytes.
  typealias Loss = (packets: Int, bytes: Int)

  private let maximumPackets: Int
  private let maximumBytes: Int
  private var entries: [Entry] = []
  private var first = 0
  private var bytes = 0

  init(maximumPackets: Int = Self.maximumPackets, maximumBytes: Int = Self.maximumBytes) {
    (self.maximumPackets, self.maximumBytes) = (maximumPackets, maximumBytes)
  }

  var count: Int { entries.count - first }
  var isEmpty: Bool { first == entries.count }

  /// Appends a packet; returns what fell off for it.
  mutating func append(_ entry: Entry) -> Loss {
    var dropped: Loss = (0, 0)
    while !isEmpty, !hasRoom(for: entry) {
      dropped.bytes += makeRoom(for: entry)
      dropped.packets += 1
    }
    entries.append(entry)
    bytes += entry.packet.count
    return dropped
  }

  private func hasRoom(for entry: Entry) -> Bool {
    count < maximumPackets && bytes + entry.packet.count <= maximumBytes
  }

  mutating func popFirst() -> Entry? {
    guard !isEmpty else { return nil }
    defer {
      first += 1
      if first == entries.count {
        entries.removeAll(keepingCapacity: true)
        first = 0
      } else if first >= maximumPackets {
        entries.removeFirst(first)
        first = 0
      }
    }
    bytes -= entries[first].packet.count
    let entry = entries[first]
    entries[first].packet = []
    return entry
  }

  /// Empties the queue; returns what was lost.
  mutating func removeAll() -> Loss {
    let rest = entries[first...]
    defer { (entries, first, bytes) = ([], 0, 0) }
    return (rest.count, bytes)
  }

  /// Drops one packet; returns its bytes.
  private mutating func makeRoom(for entry: Entry) -> Int {
    var senders: [(key: NodeKey, weight: Int, oldest: Int)] = []
    for index in entries.indices[first...] {
      let key = entries[index].source
      if let known = senders.firstIndex(where: { $0.key == key }) {
        senders[known].weight += entries[index].weight
      } else {
        senders.append((key, entries[index].weight, index))
      }
    }
    if let known = senders.firstIndex(where: { $0.key == entry.source }) {
      senders[known].weight += entry.weight
    }
    guard let greediest = senders.max(by: { $0.weight < $1.weight }) else {
      preconditionFailure("a full relay queue holds nothing")
    }
    let lost = entries.remove(at: greediest.oldest).packet.count
    bytes -= lost
    return lost
  }
}
