// SPDX-License-Identifier: Apache-2.0

import Testing
import Timing

@Suite("Deadlines")
struct DeadlineQueueTests {
  private func at(_ milliseconds: Int) -> Instant { Instant.origin + .milliseconds(milliseconds) }

  @Test("Owners come up in the order of their deadlines, each once")
  func order() {
    var queue = DeadlineQueue<Int>()
    for owner in [5, 3, 8, 1, 9, 2] { queue.call(owner, at: at(owner)) }
    queue.call(9, at: at(4))
    queue.call(1, at: at(7))
    queue.remove(8)
    var order: [Int] = []
    while let owner = queue.next(at: at(100)) { order.append(owner) }
    #expect(order == [1, 2, 3, 9, 5])
    #expect(queue.first == nil)
  }

  @Test("Nobody comes up before the deadline")
  func early() {
    var queue = DeadlineQueue<Int>()
    queue.call(1, at: at(10))
    let early = queue.next(at: at(9))
    let due = queue.next(at: at(10))
    #expect(early == nil && due == 1)
  }

  @Test("It agrees with a table of earliest deadlines")
  func model() {
    var generator = Sequence(state: 6)
    var queue = DeadlineQueue<Int>()
    var model: [Int: Instant] = [:]
    for _ in 0..<20_000 {
      let owner = Int.random(in: 0..<50, using: &generator)
      let deadline = at(Int.random(in: 0..<1000, using: &generator))
      queue.call(owner, at: deadline)
      model[owner] = min(model[owner] ?? deadline, deadline)
      guard Int.random(in: 0..<3, using: &generator) == 0 else { continue }
      let now = at(Int.random(in: 0..<200, using: &generator))
      while let due = queue.next(at: now) {
        #expect(model[due].map { $0 <= now } == true)
        model[due] = nil
      }
      #expect(model.values.allSatisfy { $0 > now })
    }
  }
}

/// Numbers that a seed determines (the generator of Knuth's MMIX).
private struct Sequence: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state.byteSwapped
  }
}
