// SPDX-License-Identifier: Apache-2.0

import TestSupport
import Testing

@testable import Netmap

@Suite("Who claims what")
struct ClaimIndexTests {
  @Test("The lowest number holds a claim, in whatever order claims come and go")
  func model() {
    var generator = SplitMix(state: 3)
    var index = ClaimIndex<Int>()
    var model: [Int: Set<Int64>] = [:]
    for _ in 0..<5000 {
      let claim = Int.random(in: 0..<5, using: &generator)
      let id = Int64.random(in: 1...6, using: &generator)
      let holders = model[claim, default: []]
      if Bool.random(using: &generator) {
        let other = index.add(claim, of: id)
        #expect((other == nil) == holders.subtracting([id]).isEmpty || holders.contains(id))
        #expect(other.map { holders.contains($0) && $0 != id } ?? true)
        model[claim] = holders.union([id])
      } else {
        index.remove(claim, of: id)
        model[claim] = holders.subtracting([id])
      }
      #expect(index.holder(of: claim) == model[claim]?.min())
    }
  }

  @Test("An index that was emptied is like one that was never filled")
  func emptied() {
    var index = ClaimIndex<String>()
    for id in Int64(1)...4 { _ = index.add("a", of: id) }
    for id in Int64(1)...4 { index.remove("a", of: id) }
    #expect(index == ClaimIndex())
  }
}
