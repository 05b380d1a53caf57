// SPDX-License-Identifier: Apache-2.0

import Addressing
import Bytes
import TestSupport
import Testing

@Suite("IP addresses")
struct IPAddressTests {
  @Test(
    "Text is read and written as RFC 5952 says",
    arguments: [
      ("1.2.3.4", "1.2.3.4"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
      ("::", "::"), ("::1", "::1"), ("2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
      ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"), ("fe80::", "fe80::"),
      ("::ffff:1.2.3.4", "::ffff:1.2.3.4"), ("1::2:3", "1::2:3"),
      ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"), ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
    ]
  )
  func text(given: String, canonical: String) throws {
    let address = try #require(IPAddress(given))
    #expect(address.description == canonical)
    #expect(IPAddress(canonical) == address)
    #expect(IPAddress(bytes: address.bytes) == address)
  }

  @Test(
    "What is not an address is refused",
    arguments: [
      "", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "+1.2.3.4", ":::", "1:2",
      "::1::",
      "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "12345::", "fe80::1%eth0", "[::1]", "::1.2.3",
      "1.2.3.4::",
      "g::", "::-1", "::+1", "0x1.2.3.4",
    ]
  )
  func refused(text: String) { #expect(IPAddress(text) == nil) }

  @Test("Mapped and plain IPv4 are told apart and turned into each other")
  func mapping() throws {
    let mapped = try #require(IPAddress("::ffff:10.0.0.1"))
    #expect(mapped != IPAddress(10, 0, 0, 1))
    #expect(mapped.unmapped == IPAddress(10, 0, 0, 1))
    #expect(IPAddress(10, 0, 0, 1).mapped == mapped)
  }

  @Test("Kinds of addresses")
  func kinds() throws {
    #expect(IPAddress(127, 9, 9, 9).isLoopback && IPAddress(169, 254, 1, 1).isLinkLocal)
    #expect(try #require(IPAddress("fe80::1")).isLinkLocal)
    #expect(try #require(IPAddress("febf::1")).isLinkLocal)
    #expect(try !#require(IPAddress("fec0::1")).isLinkLocal)
    #expect(try #require(IPAddress("fd00::1")).isPrivate)
    #expect(IPAddress(172, 31, 0, 1).isPrivate && !IPAddress(172, 32, 0, 1).isPrivate)
    #expect(IPAddress(239, 0, 0, 1).isMulticast)
  }

  @Test("Endpoints round-trip through text and the discovery form")
  func endpoints() throws {
    for text in ["1.2.3.4:0", "1.2.3.4:65535", "[2001:db8::1]:41641"] {
      let endpoint = try #require(Endpoint(text))
      #expect(endpoint.description == text)
      var reader = ByteReader(endpoint.discoveryBytes)
      let again = try Endpoint(reading: &reader)
      #expect(again == endpoint)
    }
    for text in [
      "1.2.3.4", "1.2.3.4:65536", "[1.2.3.4]:1", "::1:1", "1.2.3.4:", "1.2.3.4:+1", ":1",
    ] {
      #expect(Endpoint(text) == nil, "\(text)")
    }
  }
}

@Suite("Prefixes")
struct IPPrefixTests {
  @Test("Text, masking and containment")
  func basics() throws {
    let prefix = try #require(IPPrefix("100.64.1.2/10"))
    #expect(prefix.masked.description == "100.64.0.0/10")
    #expect(
      prefix.contains(IPAddress(100, 127, 255, 255)) && !prefix.contains(IPAddress(100, 128, 0, 0))
    )
    #expect(prefix.lastAddress == IPAddress(100, 127, 255, 255))
    #expect(
      try #require(IPPrefix("fd7a:115c:a1e0::/48")).lastAddress.description
        == "fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff"
    )
    #expect(!IPPrefix.everything(.v4).contains(IPAddress(high: 0, low: 1)))
    for text in [
      "1.2.3.4", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/+8", "1.2.3.4/08", "::/129", "/8", "::/",
    ] {
      #expect(IPPrefix(text) == nil, "\(text)")
    }
  }

  @Test("The longest prefix wins, and agrees with a linear search")
  func table() throws {
    var generator = SplitMix(state: 7)
    var table = PrefixTable<Int>()
    var list: [IPPrefix: Int] = [:]
    for index in 0..<400 {
      let v4 = Bool.random(using: &generator)
      let address =
        v4
        ? IPAddress(v4: UInt32.random(in: 0...0xFFFF, using: &generator) << 16)
        : IPAddress(high: UInt64.random(in: 0...0xFFF, using: &generator) << 52, low: 0)
      let prefix = try #require(
        IPPrefix(address, length: Int.random(in: 0...(v4 ? 32 : 128), using: &generator))
      )
      if index % 5 == 4 {
        let removed = table.remove(prefix)
        #expect(removed == list.removeValue(forKey: prefix.masked))
      } else {
        table.insert(index, for: prefix)
        list[prefix.masked] = index
      }
    }
    #expect(table.count == list.count)
    for _ in 0..<2000 {
      let address =
        Bool.random(using: &generator)
        ? IPAddress(v4: .random(in: 0...UInt32.max, using: &generator))
        : IPAddress(high: .random(in: 0...UInt64.max, using: &generator), low: 5)
      let expected = list.filter { $0.key.contains(address) }.max { $0.key.length < $1.key.length }?
        .value
      #expect(table[address] == expected)
    }
  }
}
