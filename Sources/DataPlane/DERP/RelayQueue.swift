// SPDX-License-Identifier: Apache-2.0

import Keys

/// Packets that wait for one client, at most `maximumPackets` with at most `maximumBytes`.
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
    fileprivate(set) var packet: [UInt8]

    init(source: NodeKey, packet: [UInt8]) { (self.source, self.packet) = (source, packet) }

    /// What it takes of the queue: a place, or its bytes where those are more.
    fileprivate var weight: Int {
      max(RelayQueue.maximumBytes / RelayQueue.maximumPackets, packet.count)
    }
  }

  private var entries: [Entry] = []
  private var first = 0
  private var bytes = 0

  var count: Int { entries.count - first }
  var isEmpty: Bool { first == entries.count }

  /// Appends a packet; returns how many fell off for it.
  mutating func append(_ entry: Entry) -> Int {
    var dropped = 0
    while !isEmpty, !hasRoom(for: entry) {
      makeRoom(for: entry)
      dropped += 1
    }
    entries.append(entry)
    bytes += entry.packet.count
    return dropped
  }

  private func hasRoom(for entry: Entry) -> Bool {
    count < Self.maximumPackets && bytes + entry.packet.count <= Self.maximumBytes
  }

  mutating func popFirst() -> Entry? {
    guard !isEmpty else { return nil }
    defer {
      first += 1
      if first == entries.count {
        entries.removeAll(keepingCapacity: true)
        first = 0
      } else if first >= Self.maximumPackets {
        entries.removeFirst(first)
        first = 0
      }
    }
    bytes -= entries[first].packet.count
    let entry = entries[first]
    entries[first].packet = []
    return entry
  }

  /// Empties the queue; returns how many there were, and their bytes.
  mutating func removeAll() -> (packets: Int, bytes: Int) {
    let rest = entries[first...]
    defer { (entries, first, bytes) = ([], 0, 0) }
    return (rest.count, bytes)
  }

  private mutating func makeRoom(for entry: Entry) {
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
    bytes -= entries.remove(at: greediest.oldest).packet.count
  }
}
