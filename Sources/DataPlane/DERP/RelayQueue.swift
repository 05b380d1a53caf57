// SPDX-License-Identifier: Apache-2.0

import Keys

/// Packets that wait for one client, at most `maximumPackets`.
///
/// A full queue makes room at the cost of whoever has most in it, dropping the oldest of theirs: a
/// sender that floods pushes out its own packets and nobody else's. With one sender this is
/// drop-oldest, which keeps what runs inside the tunnel fresh.
struct RelayQueue: Sendable {
  static let maximumPackets = 32

  struct Entry: Sendable {
    let source: NodeKey
    let packet: [UInt8]
  }

  private var entries: [Entry] = []
  private var first = 0

  var count: Int { entries.count - first }
  var isEmpty: Bool { first == entries.count }

  /// Appends a packet; returns the one that fell off for it.
  mutating func append(_ entry: Entry) -> Entry? {
    let dropped = count < Self.maximumPackets ? nil : makeRoom(for: entry)
    entries.append(entry)
    return dropped
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
    return entries[first]
  }

  /// Empties the queue; returns how many there were, and their bytes.
  mutating func removeAll() -> (packets: Int, bytes: Int) {
    let rest = entries[first...]
    defer { (entries, first) = ([], 0) }
    return (rest.count, rest.reduce(0) { $0 + $1.packet.count })
  }

  private mutating func makeRoom(for entry: Entry) -> Entry {
    var senders: [(key: NodeKey, count: Int, oldest: Int)] = []
    for index in entries.indices[first...] {
      let key = entries[index].source
      if let known = senders.firstIndex(where: { $0.key == key }) {
        senders[known].count += 1
      } else {
        senders.append((key, 1, index))
      }
    }
    if let known = senders.firstIndex(where: { $0.key == entry.source }) {
      senders[known].count += 1
    }
    guard let greediest = senders.max(by: { $0.count < $1.count }) else {
      preconditionFailure("a full relay queue holds nothing")
    }
    return entries.remove(at: greediest.oldest)
  }
}
