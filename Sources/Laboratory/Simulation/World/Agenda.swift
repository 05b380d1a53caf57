// SPDX-License-Identifier: Apache-2.0

import Timing

/// What is going to happen, in the order of time; of two things at one moment, what was noted first.
struct Agenda<Event> {
  private struct Entry {
    var at: Instant
    var order: UInt64
    var event: Event

    func precedes(_ other: Entry) -> Bool {
      at == other.at ? order < other.order : at < other.at
    }
  }

  private var heap: [Entry] = []
  private var order: UInt64 = 0

  /// When the next thing happens; nil when nothing will.
  var next: Instant? { heap.first?.at }

  /// Notes something.
  mutating func note(_ event: Event, at instant: Instant) {
    heap.append(Entry(at: instant, order: order, event: event))
    order += 1
    var child = heap.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      guard heap[child].precedes(heap[parent]) else { return }
      heap.swapAt(child, parent)
      child = parent
    }
  }

  /// Takes out what happens next.
  mutating func take() -> (at: Instant, event: Event)? {
    guard let first = heap.first else { return nil }
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink()
    }
    return (first.at, first.event)
  }

  private mutating func sink() {
    var parent = 0
    while true {
      var least = parent
      for child in [2 * parent + 1, 2 * parent + 2]
      where child < heap.count && heap[child].precedes(heap[least]) { least = child }
      guard least != parent else { return }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
