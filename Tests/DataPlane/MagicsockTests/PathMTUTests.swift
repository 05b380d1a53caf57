// SPDX-License-Identifier: Apache-2.0

import Addressing
import Magicsock
import Testing
import Timing

@Suite("How much a path carries")
struct PathMTUTests {
  private static let largest = 1280 + 32

  private func network(_ mtu: Int, nat: NATBehaviour = .easy) -> VirtualNetwork {
    let network = VirtualNetwork.pair(nat, nat)
    network.pathMTU = mtu
    for index in network.hosts.indices {
      network.hosts[index].socket.probeSizes(upTo: Self.largest)
    }
    network.start()
    return network
  }

  private func limit(_ network: VirtualNetwork) -> Int? {
    network.hosts[0].socket.limit(to: network.hosts[1].id)
  }

  /// The longest time in which no packet arrived.
  private func gap(_ network: VirtualNetwork, since start: Instant) -> Duration {
    let times = [start] + network.hosts[1].received.map(\.at).filter { $0 > start } + [network.now]
    return zip(times, times.dropFirst()).map { $1 - $0 }.max() ?? .zero
  }

  @Test("A good path is asked once, and nothing is told of it")
  func good() {
    let network = network(1500)
    network.talk(0, 1, for: .seconds(30), size: Self.largest)
    #expect(network.direct(0, 1) != nil)
    #expect(limit(network) == nil)
    let before = network.hosts[0].sentByRelay
    network.talk(0, 1, for: .seconds(60), size: Self.largest)
    #expect(network.hosts[0].sentByRelay == before)
    #expect(network.hosts[0].socket.counters.tooLargeForPath == 0)
  }

  @Test(
    "A path that swallows what is larger than any size between 576 and 1,500 holds nothing up for long",
    arguments: Array(stride(from: 576, through: 1500, by: 44)) + [1280, 1339, 1340, 1341]
  )
  func blackHoles(mtu: Int) {
    let network = network(mtu)
    let start = network.now
    network.talk(0, 1, for: .seconds(60), size: Self.largest)
    #expect(network.direct(0, 1) != nil, "small packets pass")
    #expect(gap(network, since: start) <= .milliseconds(1400))
    let arrived = network.hosts[1].received.suffix(300)
    #expect(arrived.count == 300)
    if mtu >= Self.largest + 28 {
      #expect(limit(network) == nil)
    } else {
      let found = limit(network) ?? 0
      #expect(found <= mtu - 28 && found >= min(mtu - 28 - 192, 548))
      // What fits takes the path and nothing else.
      let before = network.hosts[0].sentByRelay
      network.talk(0, 1, for: .seconds(20), size: found)
      #expect(network.hosts[0].sentByRelay == before)
    }
  }

  @Test(
    "A path that begins to swallow large packets is noticed within seconds",
    arguments: [600, 1000, 1300]
  )
  func shrinks(mtu: Int) {
    let network = network(1500)
    network.talk(0, 1, for: .seconds(20), size: Self.largest)
    network.pathMTU = mtu
    let start = network.now
    network.talk(0, 1, for: .seconds(60), size: Self.largest)
    #expect(gap(network, since: start) <= .milliseconds(4500))
    #expect((limit(network) ?? .max) <= mtu - 28)
    #expect(network.direct(0, 1) != nil)
  }

  @Test("A path that carries more again is used for more within two minutes")
  func grows() {
    let network = network(1000)
    network.talk(0, 1, for: .seconds(20), size: Self.largest)
    #expect(limit(network) == 932)
    network.pathMTU = 1500
    network.talk(0, 1, for: .seconds(120), size: Self.largest)
    #expect(limit(network) == nil)
    let before = network.hosts[0].sentByRelay
    network.talk(0, 1, for: .seconds(10), size: Self.largest)
    #expect(network.hosts[0].sentByRelay == before)
  }

  @Test("A path on which nothing but small pings passes never makes flows send crumbs")
  func crumbs() {
    let network = network(1500)
    network.talk(0, 1, for: .seconds(20), size: Self.largest)
    network.pathMTU = 200
    let start = network.now
    for _ in 0..<60 {
      network.talk(0, 1, for: .seconds(1), size: Self.largest)
      #expect((limit(network) ?? .max) >= 548)
    }
    #expect(gap(network, since: start) <= .milliseconds(6500))
  }

  @Test("Loss is not taken for a narrow path", arguments: 1...10)
  func loss(seed: Int) {
    let network = VirtualNetwork.pair(.easy, .easy, seed: UInt64(seed))
    for index in network.hosts.indices {
      network.hosts[index].socket.probeSizes(upTo: Self.largest)
    }
    network.lossPercent = 10
    network.start()
    network.talk(0, 1, for: .seconds(200), size: Self.largest)
    var narrow = 0
    for _ in 0..<20 {
      network.talk(0, 1, for: .seconds(10), size: Self.largest)
      if limit(network) != nil { narrow += 1 }
    }
    #expect(narrow <= 2)
  }

  @Test("Nobody is asked while nobody talks")
  func idle() {
    let network = network(1000)
    network.talk(0, 1, for: .seconds(20), size: Self.largest)
    network.run(for: .seconds(60))
    let before = network.hosts[0].socket.counters.pingsSent
    network.run(for: .seconds(600))
    #expect(network.hosts[0].socket.counters.pingsSent == before)
  }
}
