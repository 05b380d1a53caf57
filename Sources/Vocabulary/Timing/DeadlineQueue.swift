// SPDX-License-Identifier: Apache-2.0

/// Owners that want to be called at a time, earliest first.
///
/// Putting a deadline off costs nothing: the owner is called at the earlier time, finds nothing due and
/// says anew what it waits for. Memory is bounded by the number of owners. Inlinable, for the data path
/// looks at it around every packet: unspecialised it would allocate each time.
public struct DeadlineQueue<Owner: Hashable & Sendable>: Sendable {
  @usableFromInline
  struct Entry: Sendable {
    @usableFromInline var deadline: Instant
    @usableFromInline var owner: Owner

    @usableFromInline
    init(deadline: Instant, owner: Owner) { (self.deadline, self.owner) = (deadline, owner) }
  }

  /// A binary heap; an entry that is not its owner's in `pending` is void.
  @usableFromInline var heap: [Entry] = []
  @usableFromInline var pending: [Owner: Instant] = [:]

  /// An empty queue.
  @inlinable public init() {}

  /// When the next owner wants to be called, or a little before.
  @inlinable public var first: Instant? { heap.first?.deadline }

  /// Makes sure that `owner` is called at `deadline` or before.
  @inlinable
  public mutating func call(_ owner: Owner, at deadline: Instant) {
    if let known = pending[owner], known <= deadline { return }
    pending[owner] = deadline
    heap.append(Entry(deadline: deadline, owner: owner))
    rise(heap.count - 1)
    dropVoidEntries()
  }

  /// The next owner whose time has come; it waits for nothing afterwards.
  @inlinable
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
  @inlinable
  public mutating func remove(_ owner: Owner) {
    pending[owner] = nil
    dropVoidEntries()
  }

  @inlinable
  mutating func dropVoidEntries() {
    guard heap.count > 2 * pending.count + 32 else { return }
    heap.removeAll { pending[$0.owner] != $0.deadline }
    heap.sort { $0.deadline < $1.deadline }
  }

  @inlinable
  mutating func rise(_ start: Int) {
    var child = start
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].deadline < heap[parent].deadline else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  @inlinable
  mutating func sink(_ start: Int) {
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
