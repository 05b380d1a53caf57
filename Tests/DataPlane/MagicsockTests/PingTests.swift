// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Keys
import Magicsock
import Testing
import Timing

@Suite("Pings on demand")
struct PingTests {
  private func ping(_ network: VirtualNetwork, id: UInt64, size: Int = 0) {
    let peer = network.hosts[1].id
    network.step(0) { $0.ping(peer, id: id, size: size, at: $1, into: &$2) }
  }

  @Test("The first ping comes back through the relay, and soon one comes back directly")
  func untilDirect() throws {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.start()
    for id in 1...5 as ClosedRange<UInt64> {
      ping(network, id: id)
      network.run(for: .seconds(1))
    }
    let results = network.hosts[0].pingResults
    #expect(results.map(\.id) == [1, 2, 3, 4, 5])
    #expect(
      results[0].outcome
        == .pong(
          over: .relay(VirtualNetwork.region, network.hosts[1].nodeKey),
          latency: .milliseconds(80)
        )
    )
    guard case .pong(over: .direct(let endpoint), let latency) = results[4].outcome else {
      Issue.record("the last ping should be direct")
      return
    }
    #expect(latency == .milliseconds(20))
    #expect(endpoint.address == network.nats[1].address)
  }

  @Test("A ping has the size that was asked for", arguments: [0, 124, 300, 1252, 65_507])
  func size(_ size: Int) {
    let network = VirtualNetwork.pair(nil, nil)
    network.start()
    network.talk(0, 1, for: .seconds(2))
    var sizes: [Int] = []
    network.onDelivery = { host, bytes, _ in
      if host == 1, DatagramKind.classify(bytes) == .disco { sizes.append(bytes.count) }
    }
    ping(network, id: 1, size: size)
    network.run(for: .milliseconds(30))
    #expect(sizes.contains(max(124, size)))
    #expect(network.hosts[0].pingResults.last?.size == max(124, size))
  }

  @Test("A ping that nobody answers times out once, after five seconds")
  func timeout() {
    let network = VirtualNetwork.pair(nil, nil)
    network.start()
    network.relayLatency = .seconds(60)
    network.cut = [[0, 1]]
    ping(network, id: 1)
    network.run(for: .milliseconds(4900))
    #expect(network.hosts[0].pingResults.isEmpty)
    network.run(for: .seconds(5))
    #expect(network.hosts[0].pingResults.map(\.outcome) == [.timedOut])
  }

  @Test("A ping that cannot be sent says why")
  func refusals() {
    let network = VirtualNetwork.pair(nil, nil)
    network.start()
    ping(network, id: 1, size: 70_000)
    network.step(0) { $0.ping(PeerID(99), id: 2, at: $1, into: &$2) }
    var configuration = network.configuration(of: 0)
    let peer = network.hosts[1].id
    configuration.peers[peer]?.isExpired = true
    network.step(0) { $0.apply(configuration, at: $1, into: &$2) }
    ping(network, id: 3)
    configuration.peers[peer]?.isExpired = false
    configuration.peers[peer]?.isWireGuardOnly = true
    network.step(0) { $0.apply(configuration, at: $1, into: &$2) }
    ping(network, id: 4)
    configuration.peers[peer]?.isWireGuardOnly = false
    configuration.peers[peer]?.endpoints = []
    configuration.peers[peer]?.homeRegion = nil
    network.step(0) { $0.apply(configuration, at: $1, into: &$2) }
    ping(network, id: 5)
    #expect(
      network.hosts[0].pingResults.map(\.outcome)
        == [.tooLarge, .unknownPeer, .expired, .wireGuardOnly, .noPath]
    )
  }
}
