// SPDX-License-Identifier: Apache-2.0

import Tables
import TestSupport
import Testing

@Suite("Tables")
struct TablesTests {
  @Test("An index of slots finds what is in it through growth, moves and shrinking")
  func slotIndex() {
    var random = SeededGenerator(state: 4)
    var (index, known) = (SlotIndex(), [Int: UInt32]())
    // Few tags, so that they collide and wrap around.
    func tag(_ random: inout SeededGenerator) -> UInt32 {
      random.once(in: 2) ? UInt32(random.next() % 4) : UInt32.max - UInt32(random.next() % 4)
    }
    for slot in 0..<4000 {
      let new = random.once(in: 4) ? tag(&random) : UInt32(truncatingIfNeeded: random.next())
      index.insert(slot, tag: new)
      known[slot] = new
      if let gone = known.keys.randomElement(using: &random), random.once(in: 2) {
        index.remove(gone, tag: known[gone] ?? 0)
        known[gone] = nil
      }
    }
    #expect(index.count == known.count)
    for (slot, tag) in known {
      let found = index.slot(of: tag) { $0 == slot }
      #expect(found == slot)
    }
    for (slot, tag) in known {
      index.move(slot, to: slot + 10_000, tag: tag)
      let found = index.slot(of: tag) { $0 == slot + 10_000 }
      #expect(found == slot + 10_000)
      index.remove(slot + 10_000, tag: tag)
      let gone = index.slot(of: tag) { $0 == slot + 10_000 }
      #expect(gone == nil)
    }
    #expect(index.count == 0)
  }

  @Test("A boxed value is there once it was put in, and copies do not share it")
  func boxes() {
    var box = Boxed<[Int]>()
    #expect(box.isEmpty)
    box.fill([1])
    let copy = box
    box.value.append(2)
    #expect(box.value == [1, 2])
    #expect(copy.value == [1])
    box.clear()
    #expect(box.isEmpty)
    #expect(!copy.isEmpty)
  }
}
