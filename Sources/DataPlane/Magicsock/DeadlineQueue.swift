// SPDX-License-Identifier: Apache-2.0

import Timing

/// Who wants to be called when, earliest first.
///
/// An entry may be out of date: its owner is asked what it really waits for when the entry comes up.
struct DeadlineQueue<Owner: Hashable & Sendable>: Sendable {
  private struct Entry: Sendable {
    var deadline: Instant
    var owner: Owner
  }

  private var heap: [Entry] = []
  private var earliest: [Owner: Instant] = [:]

  /// The first deadline.
  var first: Instant? { heap.first?.deadline }

  /// Makes sure that `owner` comes up no later than `deadline`.
  mutating func add(_ owner: Owner, at deadline: Instant) {
    if let known = earliest[owner], known <= deadline { return }
    earliest[owner] = deadline
    heap.append(Entry(deadline: deadline, owner: owner))
    siftUp(from: heap.count - 1)
    if heap.count > 2 * earliest.count + 64 { rebuild() }
  }

  /// Takes out an owner whose deadline has come.
  mutating func popDue(at now: Instant) -> Owner? {
    while let top = heap.first, top.deadline <= now {
      removeFirst()
      guard earliest[top.owner] == top.deadline else { continue }
      earliest[top.owner] = nil
      return top.owner
    }
    return nil
  }

  /// Forgets an owner.
  mutating func remove(_ owner: Owner) { earliest[owner] = nil }

  /// Drops the entries that earlier ones of the same owner made void.
  private mutating func rebuild() {
    heap.removeAll { earliest[$0.owner] != $0.deadline }
    heap.sort { $0.deadline < $1.deadline }
  }

  private mutating func removeFirst() {
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].deadline < heap[least].deadline { least = child }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }

  private mutating func siftUp(from start: Int) {
    var child = start
    while child > 0, heap[child].deadline < heap[(child - 1) / 2].deadline {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }
}
