// SPDX-License-Identifier: Apache-2.0

import Addressing
import Disco
import Keys
import Magicsock
import PeerRelay
import Testing
import Timing

@Suite("Paths through peer relays")
struct PeerRelayPathTests {
  /// Two hosts behind symmetric NATs, and a third with a public address that carries packets for them.
  private func network(_ nat: NATBehaviour = .hard, seed: UInt64 = 1) -> VirtualNetwork {
    let network = VirtualNetwork.pair(nat, nat, seed: seed)
    network.addHost(behind: nil)
    network.relayUsers = [0, 1]
    network.startRelay(2)
    return network
  }

  private func isRelayed(_ network: VirtualNetwork, _ one: Int, _ other: Int) -> Bool {
    let status = network.hosts[one].socket.status(of: network.hosts[other].id, at: network.now)
    return status?.isTrusted == true && status?.network != nil
      && status?.direct == Endpoint(network.hosts[2].address, port: VirtualNetwork.relayPort)
  }

  @Test("Two nodes that cannot reach each other meet at a relay within two seconds, both ways")
  func meets() {
    let network = network()
    network.start()
    network.talk(0, 1, for: .seconds(2))
    #expect(isRelayed(network, 0, 1) && isRelayed(network, 1, 0))
    let before = (network.hosts[0].sentByRelay, network.hosts[1].sentByRelay)
    let relayed = network.hosts[0].sentByPeerRelay
    network.talk(0, 1, for: .seconds(60))
    #expect(network.hosts[0].sentByRelay == before.0 && network.hosts[1].sentByRelay == before.1)
    #expect(network.hosts[0].sentByPeerRelay - relayed == 600)
    #expect(network.hosts[0].socket.counters.relayPathsFound >= 1)
    #expect(network.hosts[2].relay?.report(at: network.now).filter(\.isOpen).count == 1)
  }

  @Test("A direct path is preferred, and a relay stays out of it", arguments: 1...5)
  func preference(seed: UInt64) {
    let network = network(.easy, seed: seed)
    network.start()
    network.talk(0, 1, for: .seconds(5))
    #expect(network.direct(0, 1)?.address == network.nats[1].address)
    #expect(!isRelayed(network, 0, 1))
    let before = network.hosts[0].sentByPeerRelay
    network.talk(0, 1, for: .seconds(60))
    #expect(network.hosts[0].sentByPeerRelay == before)
  }

  @Test("When the relay dies packets go over DERP, and through the relay once it is back")
  func relayDies() {
    let network = network()
    network.start()
    network.talk(0, 1, for: .seconds(3))
    #expect(isRelayed(network, 0, 1))
    network.hosts[2].isRelayDown = true
    network.talk(0, 1, for: .seconds(12))
    #expect(!isRelayed(network, 0, 1))
    let before = network.hosts[1].received.count
    network.talk(0, 1, for: .seconds(10))
    #expect(network.hosts[1].received.count - before >= 95)
    network.hosts[2].isRelayDown = false
    network.talk(0, 1, for: .seconds(45))
    #expect(isRelayed(network, 0, 1) && isRelayed(network, 1, 0))
  }

  @Test("Nothing is lost for longer than trust lasts while a relay dies")
  func gap() {
    let network = network()
    network.start()
    network.talk(0, 1, for: .seconds(3))
    network.hosts[1].received = []
    network.hosts[2].isRelayDown = true
    let start = network.now
    network.talk(0, 1, for: .seconds(30))
    let arrivals = network.hosts[1].received.map(\.at)
    let times = [start] + arrivals
    let gap = zip(times, times.dropFirst()).map { $1 - $0 }.max()
    #expect(gap ?? .seconds(60) <= .milliseconds(6700))
  }

  @Test(
    "Loss of a tenth of all packets delays the meeting and does not prevent it",
    arguments: 1...10
  )
  func loss(seed: UInt64) {
    let network = network(seed: seed)
    network.lossPercent = 10
    network.start()
    network.talk(0, 1, for: .seconds(40))
    #expect(isRelayed(network, 0, 1) || isRelayed(network, 1, 0))
  }

  @Test("A node without the right to ask gets nothing, and stays on DERP")
  func strangers() {
    let network = network()
    network.relayUsers = [0]
    network.start()
    // It believes that it may.
    var configuration = network.configuration(of: 1)
    configuration.peerRelays = [
      PeerRelayCandidate(
        nodeKey: network.hosts[2].nodeKey,
        discoKey: network.hosts[2].discoKey.publicKey,
        homeRegion: VirtualNetwork.region
      )
    ]
    configuration.peers[network.hosts[0].id]?.capabilityVersion = 130
    network.step(1) { $0.apply(configuration, at: $1, into: &$2) }
    for _ in 0..<100 {
      network.send(from: 1, to: 0)
      network.run(for: .milliseconds(100))
    }
    #expect(!isRelayed(network, 1, 0))
    #expect(network.hosts[1].socket.counters.relayRequestsSent == 2)
    #expect(network.hosts[2].socket.counters.relayRequestsRefused == 2)
    #expect(network.hosts[2].relay?.report(at: network.now).isEmpty == true)
  }

  @Test("A node that is itself a relay asks itself")
  func own() {
    let network = VirtualNetwork.pair(nil, .hard)
    network.cut = [[0, 1]]
    network.relayUsers = [0, 1]
    network.startRelay(0)
    network.start()
    network.talk(0, 1, for: .seconds(5))
    let requests = network.hosts[0].socket.counters.relayRequestsSent
    #expect(requests > 0)
    #expect(network.hosts[0].relay?.report(at: network.now).count == 1)
  }

  @Test("Nobody looks for relays for an idle peer")
  func idle() {
    let network = network()
    network.start()
    network.run(for: .seconds(600))
    #expect(network.hosts[0].socket.counters.relayRequestsSent == 0)
    network.talk(0, 1, for: .seconds(5))
    network.run(for: .seconds(120))
    let before = network.hosts.map { $0.socket.counters.relayRequestsSent }
    network.run(for: .seconds(600))
    #expect(network.hosts.map { $0.socket.counters.relayRequestsSent } == before)
  }

  @Test("While a relay works it is asked for no more than once a minute")
  func economy() {
    let network = network()
    network.start()
    network.talk(0, 1, for: .seconds(10))
    let before = network.hosts[0].socket.counters.relayRequestsSent
    network.talk(0, 1, for: .seconds(300))
    #expect(network.hosts[0].socket.counters.relayRequestsSent - before <= 5)
  }

  @Test("Calls to a relay that are not about us, or did not come through DERP, change nothing")
  func forgedCalls() {
    let network = network()
    network.start()
    let (here, there) = (network.hosts[0], network.hosts[1])
    var sealer = Speaker(there.discoKey, seed: 9)
    func call(_ first: DiscoKey, _ second: DiscoKey, network number: UInt32 = 7) -> [UInt8] {
      let allocation = RelayAllocation(
        serverKey: network.hosts[2].discoKey.publicKey,
        clientKeys: .init(first, second),
        lamportID: 1,
        virtualNetwork: number,
        bindNanoseconds: 30_000_000_000,
        steadyNanoseconds: 300_000_000_000,
        endpoints: [Endpoint(IPAddress(192, 0, 2, 66), port: 7)]
      )
      return sealer.seal(.callMeMaybeVia(allocation), to: here.discoKey.publicKey)
    }
    let relayed = PacketSource.relay(VirtualNetwork.region, there.nodeKey)
    let direct = PacketSource.direct(network.hosts[1].endpoint)
    let (mine, its) = (here.discoKey.publicKey, there.discoKey.publicKey)
    var effects = Effects()
    for (datagram, source) in [
      (call(mine, its), direct), (call(mine, mine), relayed), (call(its, its), relayed),
      (call(mine, network.hosts[2].discoKey.publicKey), relayed),
      (call(mine, its, network: 0), relayed),
    ] {
      network.hosts[0].socket.receive(datagram, from: source, at: network.now, into: &effects)
    }
    #expect(effects.sends.isEmpty)
    #expect(here.socket.counters.relayCallsReceived == 0)
    network.hosts[0].socket.receive(call(mine, its), from: relayed, at: network.now, into: &effects)
    #expect(effects.sends.count == 1)
    // Calls faster than a peer may make them are dropped, whatever they say.
    for number in 0..<100 as Range<UInt32> {
      let one = call(mine, its, network: number + 100)
      network.hosts[0].socket.receive(one, from: relayed, at: network.now, into: &effects)
    }
    #expect(effects.sends.count <= 10)
    #expect(network.hosts[0].socket.counters.excessCalls >= 90)
  }
}
