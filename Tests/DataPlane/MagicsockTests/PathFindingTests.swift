// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Keys
import Magicsock
import Testing
import Timing

@Suite("Path finding")
struct PathFindingTests {
  typealias NAT = NATBehaviour

  @Test(
    "A direct path is found exactly when the NATs allow it",
    arguments: [
      (nil, nil, true), (nil, .hard, true), (.easy, .easy, true), (.easy, .open, true),
      (.open, .hard, true), (.easy, .hard, false), (.hard, .hard, false), (.hard, nil, true),
    ] as [(NAT?, NAT?, Bool)]
  )
  func matrix(one: NAT?, other: NAT?, isDirect: Bool) {
    for seed in 1...5 as ClosedRange<UInt64> {
      let network = VirtualNetwork.pair(one, other, seed: seed)
      network.start()
      network.talk(0, 1, for: .seconds(20))
      #expect((network.direct(0, 1) != nil) == isDirect, "seed \(seed)")
      #expect((network.direct(1, 0) != nil) == isDirect, "seed \(seed)")
      let last = network.hosts[1].received.last
      #expect(last?.isDirect == isDirect, "seed \(seed)")
    }
  }

  @Test("The first packets travel by relay, and the direct path follows within a second")
  func upgrade() {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.start()
    network.talk(0, 1, for: .seconds(1))
    let arrivals = network.hosts[1].received
    #expect(arrivals.first?.isDirect == false)
    #expect(arrivals.last?.isDirect == true)
    #expect(network.direct(0, 1) != nil && network.direct(1, 0) != nil)
  }

  @Test("Two hosts on one LAN use their own addresses")
  func local() throws {
    let network = VirtualNetwork(seed: 1)
    let nat = network.addNAT(.hard)
    network.addHost(behind: nat)
    network.addHost(behind: nat)
    network.start()
    network.talk(0, 1, for: .seconds(10))
    #expect(network.direct(0, 1) == network.hosts[1].endpoint)
    #expect(network.direct(1, 0) == network.hosts[0].endpoint)
  }

  @Test("A path is found although a third of the datagrams is lost")
  func loss() {
    for seed in 1...20 as ClosedRange<UInt64> {
      let network = VirtualNetwork.pair(.easy, .easy, seed: seed)
      network.lossPercent = 33
      network.start()
      var wasDirect = false
      for _ in 0..<60 where !wasDirect {
        network.talk(0, 1, for: .seconds(1))
        wasDirect = network.direct(0, 1) != nil
      }
      #expect(wasDirect, "seed \(seed)")
    }
  }

  @Test("A path that dies is doubled by the relay when trust ends, then given up")
  func death() throws {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.start()
    network.talk(0, 1, for: .seconds(10))
    #expect(network.direct(0, 1) != nil)
    network.cut = [[0, 1]]
    let cutAt = network.now
    network.hosts[1].received = []
    network.talk(0, 1, for: .seconds(15))
    let first = try #require(network.hosts[1].received.first { $0.from == network.hosts[0].id })
    let relayed = try #require(network.hosts[1].received.first { !$0.isDirect })
    #expect(first.at <= relayed.at)
    #expect(relayed.at - cutAt <= .milliseconds(6500 + 100 + 40))
    let status = network.hosts[0].socket.status(of: network.hosts[1].id, at: network.now)
    #expect(status?.direct == nil && status?.relay == VirtualNetwork.region)
    #expect(
      network.hosts[0].traces.contains {
        if case .pathChanged(_, _, nil, .pingsUnanswered) = $0 { true } else { false }
      }
    )
    network.cut = []
    network.talk(0, 1, for: .seconds(10))
    #expect(network.direct(0, 1) != nil)
  }

  @Test("A path that the host cannot send to is given up at once")
  func unreachable() throws {
    let network = VirtualNetwork.pair(nil, nil)
    network.start()
    network.talk(0, 1, for: .seconds(3))
    let endpoint = try #require(network.direct(0, 1))
    network.step(0) { $0.noteUnreachable(endpoint, at: $1, into: &$2) }
    #expect(network.direct(0, 1) == nil)
    let status = network.hosts[0].socket.status(of: network.hosts[1].id, at: network.now)
    #expect(status?.relay == VirtualNetwork.region)
    network.talk(0, 1, for: .seconds(6))
    #expect(network.direct(0, 1) != nil)
  }

  @Test("The relay is the one that both can use: home, else where the peer was heard")
  func relayChoice() {
    let network = VirtualNetwork.pair(nil, nil)
    network.start()
    let (peer, key) = (network.hosts[1].id, network.hosts[1].nodeKey)
    let other = RegionID(7)
    func relay() -> RegionID? {
      network.hosts[0].socket.status(of: peer, at: network.now)?.relay
    }
    #expect(relay() == VirtualNetwork.region)
    network.hosts[0].socket.relayConnected(other, at: network.now)
    network.step(0) { $0.noteAuthenticated(peer, from: .relay(other, key), at: $1, into: &$2) }
    #expect(relay() == VirtualNetwork.region)
    network.step(0) {
      $0.relayClosed(VirtualNetwork.region, failed: true, at: $1, into: &$2)
    }
    #expect(relay() == other)
    network.hosts[0].socket.peerGone(key, from: other)
    #expect(relay() == VirtualNetwork.region)
  }

  @Test("A NAT that forgets its mappings costs seconds, not the connection")
  func rebooted() {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.start()
    network.talk(0, 1, for: .seconds(10))
    network.nats[0].forget()
    network.talk(0, 1, for: .seconds(30))
    #expect(network.direct(0, 1) != nil && network.direct(1, 0) != nil)
  }

  @Test("An address change is answered with a new direct path within two seconds")
  func roaming() {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.start()
    network.talk(0, 1, for: .seconds(10))
    let before = network.direct(1, 0)
    network.hosts[0].nat = network.addNAT(.easy)
    network.hosts[0].address = IPAddress(172, 16, 0, 9)
    network.attach(0, isMajor: true)
    let moved = network.now
    network.hosts[1].received = []
    network.talk(0, 1, for: .seconds(2))
    #expect(network.direct(0, 1) != nil)
    #expect(network.hosts[1].received.contains { $0.at - moved < .milliseconds(300) })
    network.talk(0, 1, for: .seconds(10))
    #expect(network.direct(1, 0) != nil && network.direct(1, 0) != before)
    #expect(network.hosts[0].received.last?.isDirect == true)
  }

  @Test(
    "Who is told that its peer moved does not send to where it was until trust ends",
    arguments: [true, false]
  )
  func following(isBehindNAT: Bool) throws {
    let network = isBehindNAT ? VirtualNetwork.pair(.easy, .easy) : VirtualNetwork.pair(nil, nil)
    network.start()
    network.talk(0, 1, for: .seconds(10))
    let before = try #require(network.direct(1, 0))
    if isBehindNAT { network.hosts[0].nat = network.addNAT(.easy) }
    network.hosts[0].address = isBehindNAT ? IPAddress(172, 16, 0, 9) : IPAddress(203, 0, 113, 99)
    network.attach(0, isMajor: true)
    let moved = network.now
    network.hosts[0].received = []
    network.talk(0, 1, for: .seconds(2))
    let direct = try #require(network.direct(1, 0))
    #expect(direct != before)
    let first = try #require(network.hosts[0].received.first)
    #expect(first.at - moved < .seconds(1))
    // From then on nothing is lost: fifteen of the packets of two seconds at least.
    #expect(Set(network.hosts[0].received.map(\.sequence)).count >= 15)
  }

  @Test("Nobody pings a peer to which nothing goes")
  func silence() {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.start()
    network.talk(0, 1, for: .seconds(10))
    network.run(for: .seconds(60))
    for index in network.hosts.indices {
      network.hosts[index].discoSent = 0
      network.hosts[index].reports = []
    }
    network.run(for: .seconds(600))
    #expect(network.hosts.allSatisfy { $0.discoSent == 0 && $0.reports.isEmpty })
    #expect(network.hosts.allSatisfy { $0.socket.nextTimeout == nil })
    network.talk(0, 1, for: .seconds(3))
    #expect(network.direct(0, 1) != nil)
  }

  @Test("An active direct path costs one ping every three seconds")
  func economy() {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.directLatency = .milliseconds(1)
    network.start()
    network.talk(0, 1, for: .seconds(10))
    network.hosts[0].discoSent = 0
    network.hosts[0].sentByRelay = 0
    network.talk(0, 1, for: .seconds(300))
    // A ping and a pong every three seconds.
    #expect((195...205).contains(network.hosts[0].discoSent))
    #expect(network.hosts[0].sentByRelay == 0)
  }

  @Test("Datagrams that arrive twice do no harm, and pings are answered once")
  func duplicates() {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.copies = 2
    network.start()
    network.talk(0, 1, for: .seconds(20))
    #expect(network.direct(0, 1) != nil && network.direct(1, 0) != nil)
    let counters = network.hosts[0].socket.counters
    #expect(counters.duplicatePings > 0)
    #expect(counters.stalePongs > 0)
  }

  @Test("Without UDP the relay carries everything, found by HTTPS")
  func blocked() {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.hosts[0].isUDPBlocked = true
    network.start()
    network.talk(0, 1, for: .seconds(10))
    #expect(network.hosts[0].homeRegion == VirtualNetwork.region)
    #expect(network.hosts[0].reports.last?.udp == false)
    #expect(network.direct(0, 1) == nil)
    #expect(network.hosts[1].received.last?.isDirect == false)
  }

  @Test("A peer whose key has expired is not sent to")
  func expired() {
    let network = VirtualNetwork.pair(nil, nil)
    network.start()
    network.talk(0, 1, for: .seconds(3))
    var configuration = network.configuration(of: 0)
    configuration.peers[network.hosts[1].id]?.isExpired = true
    network.step(0) { $0.apply(configuration, at: $1, into: &$2) }
    var effects = Effects()
    let paths = network.hosts[0].socket.paths(
      to: network.hosts[1].id,
      at: network.now,
      into: &effects
    )
    #expect(paths.isEmpty)
    let unknown = network.hosts[0].socket.paths(to: PeerID(99), at: network.now, into: &effects)
    #expect(unknown.isEmpty)
    #expect(network.hosts[0].socket.counters.unroutable == 2)
  }

  @Test("Two runs of one seed are the same run")
  func determinism() {
    func run() -> [VirtualNetwork.Arrival] {
      let network = VirtualNetwork.pair(.easy, .hard, seed: 5)
      network.lossPercent = 10
      network.start()
      network.talk(0, 1, for: .seconds(20))
      return network.hosts[1].received
    }
    #expect(run() == run())
  }

  @Test("A removed peer is forgotten")
  func removal() {
    let network = VirtualNetwork.pair(nil, nil)
    network.start()
    network.talk(0, 1, for: .seconds(3))
    var configuration = network.configuration(of: 0)
    configuration.peers = [:]
    network.step(0) { $0.apply(configuration, at: $1, into: &$2) }
    let socket = network.hosts[0].socket
    #expect(socket.status(of: network.hosts[1].id, at: network.now) == nil)
    #expect(socket.peer(with: network.hosts[1].nodeKey) == nil)
    #expect(socket.peer(at: network.hosts[1].endpoint) == nil)
    network.hosts[0].discoSent = 0
    network.run(for: .seconds(120))
    #expect(network.hosts[0].discoSent == 0)
  }
}
