// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import Keys
import Magicsock
import Testing
import Timing

@Suite("Peers that speak plain WireGuard")
struct PlainPeerTests {
  private let peer = PeerID(1)
  private let first = Endpoint(IPAddress(192, 0, 2, 1), port: 51_820)
  private let second = Endpoint(IPAddress(192, 0, 2, 2), port: 51_820)
  private let start = Instant(nanoseconds: 1_000_000_000)

  private func socket(_ endpoints: [Endpoint]) -> MagicSocket {
    var entropy = Entropy(seed: 4)
    let own = NodePrivateKey.generate(using: &entropy).publicKey
    let key = NodePrivateKey.generate(using: &entropy).publicKey
    var socket = MagicSocket(
      nodeKey: own,
      discoKey: .generate(using: &entropy),
      entropy: entropy
    )
    let path = PeerPathConfiguration(
      nodeKey: key,
      discoKey: .zero,
      endpoints: endpoints,
      homeRegion: RegionID(1),
      isWireGuardOnly: true
    )
    var effects = Effects()
    socket.apply(.init(nodeKey: own, peers: [peer: path]), at: start, into: &effects)
    return socket
  }

  @Test("It is sent to directly only, and never pinged")
  func direct() {
    var socket = socket([first])
    var effects = Effects()
    let paths = socket.paths(to: peer, at: start, into: &effects)
    #expect(paths == SendPaths(direct: first))
    #expect(effects.sends.isEmpty)
    let status = socket.status(of: peer, at: start)
    #expect(status?.relay == nil && status?.latency == nil)
  }

  @Test("Its endpoints are tried in turn until it answers")
  func turns() {
    var socket = socket([first, second])
    var effects = Effects()
    var tried: Set<Endpoint> = []
    for index in 0..<4 {
      let paths = socket.controlPaths(
        to: peer,
        .handshake,
        at: start + .seconds(5 * index),
        into: &effects
      )
      if let direct = paths.direct { tried.insert(direct) }
    }
    #expect(tried == [first, second])
    socket.noteAuthenticated(peer, from: .direct(second), at: start + .seconds(21), into: &effects)
    for seconds in [22, 27, 33, 45] {
      let paths = socket.paths(to: peer, at: start + .seconds(seconds), into: &effects)
      #expect(paths.direct == second)
    }
  }

  @Test("It roams: an authentic packet moves its path, and only its")
  func roaming() {
    var socket = socket([first])
    var effects = Effects()
    let elsewhere = Endpoint(IPAddress(198, 51, 100, 9), port: 1234)
    socket.noteAuthenticated(peer, from: .direct(elsewhere), at: start, into: &effects)
    #expect(socket.paths(to: peer, at: start, into: &effects).direct == elsewhere)
    #expect(socket.peer(at: elsewhere) == peer)
    #expect(
      effects.traces.contains(
        .pathChanged(peer, from: nil, to: .direct(elsewhere), because: .roamed)
      )
    )

    let network = VirtualNetwork.pair(nil, nil)
    network.start()
    network.talk(0, 1, for: .seconds(2))
    let before = network.direct(0, 1)
    let other = network.hosts[1].id
    network.step(0) { $0.noteAuthenticated(other, from: .direct(elsewhere), at: $1, into: &$2) }
    #expect(network.direct(0, 1) == before && before != nil)
    #expect(network.hosts[0].socket.peer(at: elsewhere) == other)
  }

  @Test("Without endpoints there is no way until it calls")
  func nowhere() {
    var socket = socket([])
    var effects = Effects()
    #expect(socket.paths(to: peer, at: start, into: &effects).isEmpty)
    socket.noteAuthenticated(peer, from: .direct(first), at: start, into: &effects)
    #expect(socket.paths(to: peer, at: start, into: &effects).direct == first)
  }
}
