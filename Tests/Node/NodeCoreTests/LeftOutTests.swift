// SPDX-License-Identifier: Apache-2.0

import Testing

@testable import NodeCore

@Suite("A network map that is larger than a node takes")
struct LeftOutTests {
  @Test("Nothing is said of a map that fits, up to the bound")
  func fits() {
    #expect(LeftOut(peers: 0, of: 10, rules: 0).text == nil)
    #expect(LeftOut(peers: 10, of: 10, rules: 0).text == nil)
  }

  @Test("Peers and rules that are left out are told by their number")
  func leftOut() throws {
    let peers = try #require(LeftOut(peers: 13, of: 10, rules: 0).text)
    #expect(peers.contains("3 peers") && !peers.contains("rules of"))
    let both = try #require(LeftOut(peers: 13, of: 10, rules: 2).text)
    #expect(both.contains("3 peers") && both.contains("2 rules"))
  }
}
