// SPDX-License-Identifier: Apache-2.0

package import Addressing
import Bytes
package import Cryptography
package import Disco
package import Keys
import STUN
package import Timing

/// Carries packets between pairs of nodes that cannot reach each other directly.
///
/// A pair is given a virtual network; each of the two proves, by answering a challenge, where it
/// receives; from then on what one sends from there goes to where the other one is, as it is. Nothing is
/// kept of any packet, nothing goes to an address that was not proven, and no answer is larger than what
/// it answers. Whoever may ask for a network at all is decided elsewhere (`Magicsock`).
///
/// - Source: `Documentation/Protocols/disco.md`, peer relays.
package struct PeerRelayServer: Sendable {
  /// A datagram to send.
  package struct Send: Hashable, Sendable {
    /// The datagram.
    package var bytes: [UInt8]
    /// Where to.
    package var destination: Endpoint
  }

  /// The key of this relay, new at every start.
  package let key: DiscoPrivateKey
  /// What was carried and what fell off.
  package var counters = PeerRelayCounters()
  var entropy: Entropy
  var sessions: [UInt32: RelaySession] = [:]
  var pairs: [RelayAllocation.ClientKeys: UInt32] = [:]
  var sessionsOf: [DiscoKey: Int] = [:]
  var nextNetwork: UInt32 = 1
  var lamportID: UInt64 = 0
  var secret: [UInt8]
  var formerSecret: [UInt8]
  var secretUntil: Instant
  var sweepAt: Instant
  var addresses: OwnRelayAddresses
  /// Datagrams to send; the driver empties it.
  package var sends: [Send] = []

  /// A relay that is told later where it is reached, and gives nothing out before.
  package init(entropy: Entropy, at now: Instant) {
    var entropy = entropy
    key = DiscoPrivateKey.generate(using: &entropy)
    (secret, formerSecret) = (entropy.bytes(32), entropy.bytes(32))
    (secretUntil, sweepAt) = (now + RelayTiming.secret, now + RelayTiming.sweep)
    addresses = OwnRelayAddresses(askAt: now)
    self.entropy = entropy
  }

  // MARK: Where it is reached

  /// Takes how this host is attached to the network now.
  ///
  /// - Parameters:
  ///   - local: Addresses of interfaces, with the port of the relay's socket.
  ///   - explicit: Addresses that the administrator gave.
  ///   - servers: STUN servers that tell how the relay looks from outside.
  ///   - now: Now.
  package mutating func attach(
    local: [Endpoint],
    explicit: [Endpoint],
    servers: [Endpoint],
    at now: Instant
  ) {
    addresses.attach(local: local, explicit: explicit, servers: servers, at: now)
  }

  /// Where it is reached, as far as is known.
  package func endpoints(at now: Instant) -> [Endpoint] { addresses.all(at: now) }

  // MARK: Allocation

  /// A network for two clients, new or the one that they have; nil when there is none to be had.
  package mutating func allocate(
    _ clients: RelayAllocation.ClientKeys,
    at now: Instant
  ) -> RelayAllocation? {
    let pair = clients.sorted
    let reachable = addresses.all(at: now)
    guard pair.first != pair.second, !pair.first.isZero, !reachable.isEmpty else {
      counters.allocationsRefused &+= 1
      return nil
    }
    if let network = pairs[pair], sessions[network]?.isOver(at: now) == true { end(network) }
    guard let network = pairs[pair] ?? begin(pair, at: now), let session = sessions[network] else {
      counters.allocationsRefused &+= 1
      return nil
    }
    return RelayAllocation(
      serverKey: key.publicKey,
      clientKeys: pair,
      lamportID: session.lamportID,
      virtualNetwork: network,
      bindNanoseconds: UInt64(RelayTiming.bind.wholeNanoseconds),
      steadyNanoseconds: UInt64(RelayTiming.steadyState.wholeNanoseconds),
      endpoints: reachable
    )
  }

  private mutating func begin(_ pair: RelayAllocation.ClientKeys, at now: Instant) -> UInt32? {
    let most = RelayLimits.sessionsPerClient
    if sessions.count >= RelayLimits.sessions { sweep(at: now) }
    guard sessions.count < RelayLimits.sessions, sessionsOf[pair.first, default: 0] < most,
      sessionsOf[pair.second, default: 0] < most
    else { return nil }
    // There are far more numbers than sessions.
    while sessions[nextNetwork] != nil { stepNetwork() }
    let network = nextNetwork
    stepNetwork()
    lamportID &+= 1
    sessions[network] = RelaySession(
      network: network,
      lamportID: lamportID,
      allocatedAt: now,
      first: client(pair.first),
      second: client(pair.second)
    )
    pairs[pair] = network
    sessionsOf[pair.first, default: 0] += 1
    sessionsOf[pair.second, default: 0] += 1
    return network
  }

  private mutating func stepNetwork() {
    nextNetwork = nextNetwork < 0xFF_FFFF ? nextNetwork + 1 : 1
  }

  private func client(_ key: DiscoKey) -> RelaySession.Client {
    RelaySession.Client(
      key: key,
      box: NaClBox(privateKey: self.key.bytes, publicKey: key.bytes)
    )
  }

  private mutating func end(_ network: UInt32) {
    guard let session = sessions.removeValue(forKey: network) else { return }
    pairs[RelayAllocation.ClientKeys(session.first.key, session.second.key)] = nil
    for key in [session.first.key, session.second.key] {
      let left = sessionsOf[key, default: 1] - 1
      sessionsOf[key] = left > 0 ? left : nil
    }
  }

  private mutating func sweep(at now: Instant) {
    for network in sessions.filter({ $0.value.isOver(at: now) }).keys { end(network) }
  }

  // MARK: Time

  /// When `handleTimeouts` wants to be called.
  package var nextTimeout: Instant {
    min(addresses.askAt, sessions.isEmpty ? addresses.askAt : sweepAt)
  }

  /// Does what has become due.
  package mutating func handleTimeouts(at now: Instant) {
    if sweepAt <= now {
      sweepAt = now + RelayTiming.sweep
      sweep(at: now)
    }
    for request in addresses.requests(at: now, using: &entropy) { sends.append(request) }
  }

  /// Whether a challenge's secret is old enough for another.
  mutating func renewSecret(at now: Instant) {
    guard secretUntil <= now else { return }
    // After a long pause both are of another time.
    let isStale = now - secretUntil >= RelayTiming.secret
    formerSecret = isStale ? entropy.bytes(32) : secret
    secret = entropy.bytes(32)
    secretUntil = now + RelayTiming.secret
  }

  // MARK: For people

  /// What goes on between two clients.
  package struct Session: Hashable, Sendable {
    /// One of the clients.
    package struct Client: Hashable, Sendable {
      /// Where it is; nil until it proved it.
      package var endpoint: Endpoint?
      /// Its discovery key.
      package var key: DiscoKey
      /// How many of its packets were carried on.
      package var packets: UInt64
      /// How many of its bytes were carried on.
      package var bytes: UInt64
    }

    /// The number of the network.
    package var network: UInt32
    /// One client.
    package var first: Client
    /// The other.
    package var second: Client
    /// Whether both proved where they are.
    package var isOpen: Bool { first.endpoint != nil && second.endpoint != nil }
  }

  /// The sessions, by number.
  package func report(at now: Instant) -> [Session] {
    sessions.values.filter { !$0.isOver(at: now) }.sorted { $0.network < $1.network }.map {
      Session(network: $0.network, first: .init($0.first), second: .init($0.second))
    }
  }
}

extension PeerRelayServer.Session.Client {
  fileprivate init(_ client: RelaySession.Client) {
    (endpoint, key) = (client.endpoint, client.key)
    (packets, bytes) = (client.packets, client.bytes)
  }
}
