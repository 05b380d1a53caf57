// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import Disco
import Keys
import Magicsock
import Packets
import PeerRelay
import STUN
import Timing

extension FuzzTarget {
  static let discovery = [
    FuzzTarget("STUN") { bytes in
      let source = Endpoint(IPAddress(192, 0, 2, 1), port: 9)
      if let answer = BindingResponse.answering(bytes, from: source) {
        claim(
          (try? BindingResponse(parsing: answer))?.endpoint == source,
          "an answer that cannot be read"
        )
      }
      _ = try BindingResponse(parsing: bytes)
    },
    FuzzTarget("Disco") { bytes in
      let message = try Message(parsing: bytes)
      claim((try? Message(parsing: message.bytes)) == message, "a message that reads otherwise")
    },
    FuzzTarget("Geneve") { bytes in
      _ = DatagramKind.classify(bytes)
      _ = GeneveHeader(parsing: bytes)
    },
    // What arrives at a peer relay: as it is, and as the plaintext of one of its clients.
    FuzzTarget("PeerRelay") { bytes in
      var world = RelayWorld()
      world.receive(bytes)
    },
    // Orders: 0 a datagram, 1 a message sealed by the peer, 2 the same by the relay, 3 time passes.
    FuzzTarget("Magicsock") { bytes in
      var world = PathWorld()
      for (order, body) in Script(bytes).prefix(64) { world.perform(order, body) }
    },
  ]
}

/// A peer relay with one network.
private struct RelayWorld {
  private let here = Endpoint(IPAddress(192, 0, 2, 1), port: 1)
  private let now = Instant(nanoseconds: 1_000_000_000)
  private var entropy = Entropy(seed: 8)
  private var relay: PeerRelayServer
  private let client: DiscoPrivateKey

  init() {
    client = .generate(using: &entropy)
    relay = PeerRelayServer(entropy: entropy, at: now)
    relay.attach(local: [here], explicit: [], servers: [], at: now)
    let other = DiscoPrivateKey.generate(using: &entropy).publicKey
    _ = relay.allocate(.init(client.publicKey, other), at: now)
  }

  mutating func receive(_ bytes: [UInt8]) {
    var copy = bytes
    _ = copy.withPacketBytes { RelayedKind(of: $0) }
    let raw = relay.receive(bytes, from: here, at: now)
    claim((raw?.count ?? 0) <= bytes.count, "an answer that is larger than the question")
    relay.receiveSTUN(bytes, at: now)
    let box = NaClBox(privateKey: client.bytes, publicKey: relay.key.publicKey.bytes)
    let header = GeneveHeader(isControl: true, content: .disco, virtualNetwork: 1)
    let sealed = box.seal(bytes, nonce: entropy.bytes(24))
    let datagram = header.bytes + Envelope.magic + client.publicKey.bytes + sealed
    let answer = relay.receive(datagram, from: here, at: now)
    claim((answer?.count ?? 0) <= datagram.count, "an answer that is larger than the question")
  }
}

/// One path finder with one peer, whose messages are sealed as they should be.
private struct PathWorld {
  private let home = RegionID(1)
  private let endpoint = Endpoint(IPAddress(192, 0, 2, 2), port: 41_641)
  private let peerKey: NodePrivateKey
  private let peerDisco: DiscoPrivateKey
  private let box: NaClBox
  private var entropy = Entropy(seed: 5)
  private var socket: MagicSocket
  private var now = Instant(nanoseconds: 1_000_000_000)
  private var effects = Magicsock.Effects()

  init() {
    let own = NodePrivateKey.generate(using: &entropy)
    let disco = DiscoPrivateKey.generate(using: &entropy)
    peerKey = .generate(using: &entropy)
    peerDisco = .generate(using: &entropy)
    box = NaClBox(privateKey: peerDisco.bytes, publicKey: disco.publicKey.bytes)
    socket = MagicSocket(nodeKey: own.publicKey, discoKey: disco, entropy: Entropy(seed: 6))
    let peer = PeerPathConfiguration(
      nodeKey: peerKey.publicKey,
      discoKey: peerDisco.publicKey,
      endpoints: [endpoint],
      homeRegion: home,
      capabilityVersion: 130,
      mayAllocate: true
    )
    let relay = PeerRelayCandidate(
      nodeKey: peerKey.publicKey,
      discoKey: peerDisco.publicKey,
      homeRegion: home
    )
    socket.apply(
      MagicSocket.Configuration(
        nodeKey: own.publicKey,
        peers: [PeerID(1): peer],
        peerRelays: [relay],
        servesPeerRelay: true
      ),
      at: now,
      into: &effects
    )
    socket.networkChanged(
      to: LocalNetwork(addresses: [IPAddress(192, 0, 2, 1)], portV4: 41_641, portV6: nil),
      isMajor: true,
      at: now,
      into: &effects
    )
    socket.relayConnected(home, at: now)
  }

  mutating func perform(_ order: Int, _ body: [UInt8]) {
    let relayed = PacketSource.relay(home, peerKey.publicKey)
    switch order & 3 {
    case 0: socket.receive(body, from: .direct(endpoint), at: now, into: &effects)
    case 1: receive(body, from: .direct(endpoint))
    case 2: receive(body, from: relayed)
    default:
      now = now + .milliseconds(Int64(body.first ?? 0) * 100)
      _ = socket.paths(to: PeerID(1), at: now, into: &effects)
      socket.handleTimeouts(at: now, into: &effects)
    }
    if let next = socket.nextTimeout { claim(next.nanoseconds >= 0, "a timer before time began") }
    effects = Magicsock.Effects()
  }

  private mutating func receive(_ body: [UInt8], from source: PacketSource) {
    let sealed = box.seal(body, nonce: entropy.bytes(24))
    let datagram = Envelope.magic + peerDisco.publicKey.bytes + sealed
    socket.receive(datagram, from: source, at: now, into: &effects)
  }
}
