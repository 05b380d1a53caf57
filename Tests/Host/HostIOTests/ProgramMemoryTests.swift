// SPDX-License-Identifier: Apache-2.0

import HostIO
import Testing

@Suite("Memory that is only the copy of a file")
struct ProgramMemoryTests {
  @Test("Pages of the program are given back, and it runs on")
  func givingBack() {
    let before = ProgramMemory.residentFileBytes
    #expect(before > 0)
    ProgramMemory.giveBack()
    // Other tests run meanwhile and bring some back; a program for tests is larger by far.
    #expect(ProgramMemory.residentFileBytes < before)
    #expect("42".utf8.reduce(0) { $0 * 10 + Int($1 - 48) } == 42)
  }

  @Test("They are given back once after the start, however little there is")
  func afterTheStart() {
    var rule = GiveBackRule()
    let isDue = rule.shouldGiveBack(resident: 1)
    #expect(isDue)
  }

  @Test("What came back at once is needed, and is left")
  func needed() {
    var rule = GiveBackRule()
    _ = rule.shouldGiveBack(resident: 20 << 20)
    let looks = [8, 8, 9, 9].map { rule.shouldGiveBack(resident: $0 << 20) }
    #expect(looks == [false, false, false, false])
  }

  @Test("What came on top of it is given back, and the measure is taken anew")
  func grown() {
    var rule = GiveBackRule()
    _ = rule.shouldGiveBack(resident: 20 << 20)
    let looks = [4, 7, 5, 6, 8].map { rule.shouldGiveBack(resident: $0 << 20) }
    #expect(looks == [false, true, false, false, true])
  }

  @Test("What was no longer needed is not counted as needed later")
  func shrunk() {
    var rule = GiveBackRule()
    _ = rule.shouldGiveBack(resident: 20 << 20)
    let looks = [8, 4, 7].map { rule.shouldGiveBack(resident: $0 << 20) }
    #expect(looks == [false, false, true])
  }
}
