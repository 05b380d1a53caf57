// SPDX-License-Identifier: Apache-2.0

import Addressing
import PacketFilter
import Testing

@Suite("Address sets")
struct AddressSetTests {
  private func set(_ texts: [String]) -> AddressSet {
    AddressSet(texts.compactMap { IPPrefix($0) })
  }

  @Test("Overlapping and neighbouring prefixes become one span")
  func merging() {
    let joined = set(["10.0.0.128/25", "10.0.0.0/25", "10.0.0.7/32", "fd00::/8"])
    #expect(joined.prefixes.map(\.description) == ["10.0.0.0/24", "fd00::/8"])
    #expect(joined == set(["fd00::/8", "10.0.0.9/24"]))
  }

  @Test("The ends of the address spaces are in everything and nothing overflows")
  func ends() throws {
    let all = AddressSet.everything
    for text in ["0.0.0.0", "255.255.255.255", "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] {
      let address = try #require(IPAddress(text))
      #expect(all.contains(address))
      #expect(!AddressSet().contains(address))
    }
    #expect(all.prefixes.map(\.description) == ["0.0.0.0/0", "::/0"])
    var union = all
    union.formUnion(set(["255.255.255.255/32"]))
    #expect(union == all)
    #expect(all.hasAll(of: .v4) && all.hasAll(of: .v6))
    #expect(!set(["0.0.0.0/1"]).hasAll(of: .v4))
  }

  @Test("A range is the fewest prefixes, its ends included")
  func ranges() throws {
    let range = AddressSet(from: IPAddress(100, 64, 0, 1), through: IPAddress(100, 64, 0, 9))
    #expect(
      range.prefixes.map(\.description) == [
        "100.64.0.1/32", "100.64.0.2/31", "100.64.0.4/30", "100.64.0.8/31",
      ]
    )
    #expect(range.contains(IPAddress(100, 64, 0, 1)) && range.contains(IPAddress(100, 64, 0, 9)))
    #expect(!range.contains(IPAddress(100, 64, 0, 0)) && !range.contains(IPAddress(100, 64, 0, 10)))
    let mixed = try AddressSet(from: IPAddress(1, 1, 1, 1), through: #require(IPAddress("::1")))
    #expect(mixed.isEmpty)
  }

  @Test("Membership agrees with the prefixes a set was made of")
  func membership() throws {
    let texts = ["10.0.0.0/8", "100.64.0.0/10", "192.168.1.0/24", "1.2.3.4/32", "2001:db8::/32"]
    let prefixes = texts.compactMap { IPPrefix($0) }
    let made = AddressSet(prefixes)
    var state: UInt64 = 7
    for _ in 0..<2000 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let prefix = prefixes[Int(state >> 60) % prefixes.count]
      let address =
        prefix.address.isV4
        ? IPAddress(v4: prefix.address.v4Bits ^ UInt32(state >> 32) >> UInt32(state & 31))
        : IPAddress(high: prefix.address.high ^ state >> (state & 63), low: state)
      #expect(made.contains(address) == prefixes.contains { $0.contains(address) }, "\(address)")
    }
  }
}
