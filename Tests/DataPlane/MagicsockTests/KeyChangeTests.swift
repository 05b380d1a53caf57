// SPDX-License-Identifier: Apache-2.0

import Cryptography
import Keys
import Magicsock
import Testing
import Timing

@Suite("A discovery key that changes while the node runs")
struct KeyChangeTests {
  private func change(_ network: VirtualNetwork, seed: UInt64 = 99) -> DiscoKey {
    var entropy = Entropy(seed: seed)
    let fresh = DiscoPrivateKey.generate(using: &entropy)
    network.hosts[1].socket.use(fresh)
    return fresh.publicKey
  }

  @Test("Peers that have not heard of it keep their path, and find another when that one dies")
  func unheard() {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.start()
    network.talk(0, 1, for: .seconds(10))
    _ = change(network)
    // What the peer does not know is pinged in vain until it pings itself.
    network.talk(0, 1, for: .seconds(10))
    let before = (network.hosts[0].sentByRelay, network.hosts[1].sentByRelay)
    network.talk(0, 1, for: .seconds(60))
    #expect(network.direct(0, 1) != nil && network.direct(1, 0) != nil)
    #expect((network.hosts[0].sentByRelay, network.hosts[1].sentByRelay) == before)
    network.nats[0].forget()
    network.talk(0, 1, for: .seconds(30))
    #expect(network.direct(0, 1) != nil && network.direct(1, 0) != nil)
  }

  @Test("Whoever hears of it speaks to it from then on, and the old one is of no use any more")
  func heard() {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.start()
    network.talk(0, 1, for: .seconds(10))
    let fresh = change(network)
    network.talk(0, 1, for: .seconds(20))
    let peer = network.hosts[1].id
    network.step(0) { $0.learnDiscoKey(fresh, of: peer, at: $1, into: &$2) }
    network.talk(0, 1, for: .seconds(30))
    #expect(network.direct(0, 1) != nil && network.direct(1, 0) != nil)
    let before = network.hosts[0].socket.counters.unknownSender
    network.talk(0, 1, for: .seconds(30))
    #expect(network.hosts[0].socket.counters.unknownSender == before)
    // The one before the last is forgotten.
    _ = change(network, seed: 100)
    _ = change(network, seed: 101)
    network.talk(0, 1, for: .seconds(30))
    #expect(network.direct(0, 1) == nil)
  }
}
