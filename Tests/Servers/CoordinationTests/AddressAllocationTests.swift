// SPDX-License-Identifier: Apache-2.0

import Addressing
import Coordination
import Cryptography
import Testing
import Timing

@Suite("Address allocation")
struct AddressAllocationTests {
  static let start = Timestamp(seconds: 1_790_000_000)

  @Test("No two nodes ever have the same address", arguments: 1...20 as ClosedRange<UInt64>)
  func unique(seed: UInt64) throws {
    var entropy = Entropy(seed: seed)
    let length = Int.random(in: 22...29, using: &entropy)
    let prefix = try #require(IPPrefix(IPAddress(100, 100, 96, 0), length: length))
    var allocation = AddressAllocation(prefix: prefix, rest: .seconds(60))
    var held: Set<IPAddress> = []
    var released: [IPAddress: Timestamp] = [:]
    var now = Self.start
    for _ in 0..<4000 {
      now = now + .seconds(Int64.random(in: 0...3, using: &entropy))
      if Bool.random(using: &entropy), let address = held.randomElement(using: &entropy) {
        held.remove(address)
        allocation.release(address, at: now)
        released[address] = now
      } else if let address = allocation.allocate(at: now) {
        #expect(held.insert(address).inserted, "seed \(seed)")
        #expect(prefix.contains(address))
        #expect(address != prefix.masked.address && address != prefix.lastAddress)
        if let since = released[address] { #expect(now - since >= .seconds(60), "seed \(seed)") }
      } else {
        let resting = released.filter { now - $0.value < .seconds(60) && !held.contains($0.key) }
        #expect(held.count + resting.count >= (1 << (32 - length)) - 2, "seed \(seed)")
      }
      if Int.random(in: 0..<50, using: &entropy) == 0 { _ = allocation.endRests(at: now) }
    }
  }

  @Test("Every usable address of a prefix is given, and then no more")
  func exhaustion() throws {
    let prefix = try #require(IPPrefix("100.64.0.0/29"))
    var allocation = AddressAllocation(prefix: prefix)
    var given: [String] = []
    while let address = allocation.allocate(at: Self.start) { given.append(address.description) }
    #expect(given == (1...6).map { "100.64.0.\($0)" })
    #expect(allocation.allocate(at: Self.start) == nil)
  }

  @Test(
    "The addresses of services and of ChromeOS are leapt over",
    arguments: [
      ("100.100.100.0/23", "100.100.101.0"), ("100.115.92.0/22", "100.115.94.0"),
      ("fd7a:115c:a1e0::50/125", "fd7a:115c:a1e0::51"),
    ]
  )
  func reserved(prefix: String, first: String) throws {
    let prefix = try #require(IPPrefix(prefix))
    var allocation = AddressAllocation(prefix: prefix.masked)
    var given: [IPAddress] = []
    while given.count < 600, let address = allocation.allocate(at: Self.start) {
      given.append(address)
    }
    #expect(!given.isEmpty)
    for address in given {
      #expect(address != TailnetRanges.serviceV4 && address != TailnetRanges.serviceV6)
      #expect(!TailnetRanges.chromeOSReserved.contains(address))
      #expect(address.v4Bits >> 8 != IPAddress(100, 100, 100, 0).v4Bits >> 8 || !address.isV4)
    }
    if prefix.address.isV4 { #expect(given.contains(try #require(IPAddress(first)))) }
  }

  @Test(
    "A prefix from which nothing can be given is refused",
    arguments: [
      "0.0.0.0/0", "100.64.0.0/31", "100.64.0.1/32", "127.0.0.0/8", "224.0.0.0/8", "169.254.0.0/16",
      "::/16", "fe80::/64", "fd7a::/127",
    ]
  )
  func degenerate(text: String) throws {
    let prefix = try #require(IPPrefix(text))
    #expect(throws: Refusal.self) {
      try AddressAllocation.validated(prefix, family: prefix.address.family)
    }
  }

  @Test("The prefixes of the other family are refused")
  func family() throws {
    #expect(throws: Refusal.self) {
      try AddressAllocation.validated(TailnetRanges.v6, family: .v4)
    }
    #expect(try AddressAllocation.validated(TailnetRanges.v4, family: .v4) == TailnetRanges.v4)
  }
}
