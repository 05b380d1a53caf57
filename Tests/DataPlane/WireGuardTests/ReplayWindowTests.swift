// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Testing

@testable import WireGuard

@Suite("The replay window")
struct ReplayWindowTests {
  @Test("It agrees with a set of all counters ever seen, within 8,128", arguments: 1...20)
  func model(seed: Int) {
    var chance = Entropy(seed: UInt64(seed))
    var window = ReplayWindow()
    var seen: Set<UInt64> = []
    var greatest: UInt64 = seed.isMultiple(of: 2) ? 0 : 1 << 40
    window.insert(greatest)
    seen.insert(greatest)
    for _ in 0..<5000 {
      let counter: UInt64 =
        switch chance.next() % 10 {
        case 0: greatest &+ chance.next() % 20_000
        case 1...4: greatest &+ chance.next() % 4
        default: greatest &- min(greatest, chance.next() % 9000)
        }
      let isInside = counter > greatest || greatest - counter <= 8128
      let expected = isInside && !seen.contains(counter)
      #expect(window.isFresh(counter) == expected, "seed \(seed), \(counter) after \(greatest)")
      guard window.isFresh(counter) else { continue }
      window.insert(counter)
      seen.insert(counter)
      greatest = max(greatest, counter)
    }
  }

  @Test("A leap over the whole ring leaves no old bit behind")
  func leap() {
    var window = ReplayWindow()
    for counter in UInt64(0)..<8192 { window.insert(counter) }
    window.insert(1 << 50)
    for distance in UInt64(1)...8128 { #expect(window.isFresh(1 << 50 - distance)) }
    #expect(!window.isFresh(1 << 50))
    #expect(!window.isFresh(1 << 50 - 8129))
  }
}
