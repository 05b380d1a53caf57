// SPDX-License-Identifier: Apache-2.0

/// Owners that want to be called at a time, earliest first.
///
/// Putting a deadline off costs nothing: the owner is called at the earlier time, finds nothing due and
/// says anew what it waits for. Memory is bounded by the number of owners.
public struct DeadlineQueue<Owner: Hashable & Sendable>: Sendable {
  private struct Entry: Sendable {
    var deadline: Instant
    var owner: Owner
  }

  /// A binary heap; an entry that is not its owner's in `pending` is void.
  private var heap: [Entry] = []
  private var pending: [Owner: Instant] = [:]

  /// An empty queue.
  public init() {}

  /// When the next owner wants to be called, or a little before.
  public var first: Instant? { heap.first?.deadline }

  /// Makes sure that `owner` is called at `deadline` or before.
  public mutating func call(_ owner: Owner, at deadline: Instant) {
    if let known = pending[owner], known <= deadline { return }
    pending[owner] = deadline
    heap.append(Entry(deadline: deadline, owner: owner))
    rise(heap.count - 1)
    dropVoidEntries()
  }

  /// The next owner whose time has come; it waits for nothing afterwards.
  public mutating func next(at now: Instant) -> Owner? {
    while let top = heap.first, top.deadline <= now {
      heap.swapAt(0, heap.count - 1)
      heap.removeLast()
      sink(0)
      guard pending[top.owner] == top.deadline else { continue }
      pending[top.owner] = nil
      return top.owner
    }
    return nil
  }

  /// Forgets an owner.
  public mutating func remove(_ owner: Owner) {
    pending[owner] = nil
    dropVoidEntries()
  }

  private mutating func dropVoidEntries() {
    guard heap.count > 2 * pending.count + 32 else { return }
    heap.removeAll { pending[$0.owner] != $0.deadline }
    heap.sort { $0.deadline < $1.deadline }
  }

  private mutating func rise(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].deadline < heap[parent].deadline else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  private mutating func sink(_ start: Int) {
    var parent = start
    while true {
      let children = 2 * parent + 1..<min(2 * parent + 3, max(heap.count, 2 * parent + 1))
      guard let least = children.min(by: { heap[$0].deadline < heap[$1].deadline }),
        heap[least].deadline < heap[parent].deadline
      else { return }
      heap.swapAt(least, parent)
      parent = least
    }
  }
}
