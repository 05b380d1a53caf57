// SPDX-License-Identifier: Apache-2.0

import Addressing
import TestSupport
import Testing

@Suite("Prefix tables")
struct PrefixTableTests {
  /// The obvious table: every prefix is looked at, the longest that holds the address counts.
  struct ObviousTable {
    var values: [IPPrefix: Int] = [:]

    subscript(_ address: IPAddress) -> Int? {
      values.filter { $0.key.contains(address) }.max { $0.key.length < $1.key.length }?.value
    }
  }

  @Test("Random changes and look-ups agree with the obvious table", arguments: 0..<30)
  func agreesWithTheObvious(_ seed: Int) throws {
    var random = SeededGenerator(state: UInt64(seed))
    var (table, obvious) = (PrefixTable<Int>(), ObviousTable())
    for step in 0..<600 {
      let prefix = try prefix(&random)
      if random.once(in: 3) {
        let removed = table.remove(prefix)
        let expected = obvious.values.removeValue(forKey: prefix.masked)
        #expect(removed == expected)
      } else {
        let previous = table.insert(step, for: prefix)
        let expected = obvious.values.updateValue(step, forKey: prefix.masked)
        #expect(previous == expected)
      }
      #expect(table.count == obvious.values.count)
      let address = try self.prefix(&random).address
      #expect(table[address] == obvious[address], "seed \(seed), step \(step): \(address)")
      #expect(table.value(exactly: prefix) == obvious.values[prefix.masked])
    }
    for prefix in obvious.values.keys { table.remove(prefix) }
    #expect(table.count == 0)
    let address = try self.prefix(&random).address
    #expect(table[address] == nil)
  }

  /// Prefixes of few addresses and all lengths, so that they nest, meet and repeat.
  private func prefix(_ random: inout SeededGenerator) throws -> IPPrefix {
    let isV4 = Bool.random(using: &random)
    let low = UInt64.random(in: 0...63, using: &random)
    let address =
      isV4
      ? IPAddress(v4: 0x6440_0000 | UInt32(low) << (random.once(in: 2) ? 0 : 20))
      : IPAddress(high: 0xFD7A_115C_A1E0_0B1A, low: low << (random.once(in: 2) ? 0 : 32))
    let width = address.family.bitWidth
    let length = random.once(in: 3) ? width : Int.random(in: 0...width, using: &random)
    return try #require(IPPrefix(address, length: length))
  }

  @Test("Hosts, subnets, sites of IPv4 via IPv6 and an exit lie side by side")
  func tailnet() throws {
    var table = PrefixTable<Int>()
    let texts = [
      "100.64.0.7/32", "10.0.0.0/8", "10.1.0.0/16", "0.0.0.0/0", "fd7a:115c:a1e0::7/128",
      "fd7a:115c:a1e0:b1a:0:7:0a01:0000/112", "fd7a:115c:a1e0:b1a:0:8:0a01:0000/112", "::/0",
    ]
    for (number, text) in texts.enumerated() {
      table.insert(number, for: try #require(IPPrefix(text)))
    }
    for (text, number) in [
      ("100.64.0.7", 0), ("100.64.0.8", 3), ("10.2.3.4", 1), ("10.1.3.4", 2), ("8.8.8.8", 3),
      ("fd7a:115c:a1e0::7", 4), ("fd7a:115c:a1e0::8", 7),
      ("fd7a:115c:a1e0:b1a:0:7:0a01:0203", 5), ("fd7a:115c:a1e0:b1a:0:8:0a01:0203", 6),
      ("fd7a:115c:a1e0:b1a:0:9:0a01:0203", 7),
    ] {
      #expect(table[try #require(IPAddress(text))] == number, "\(text)")
    }
    // The mapped form of an IPv4 address is another address.
    #expect(table[try #require(IPAddress("::ffff:100.64.0.7"))] == 7)
  }
}
