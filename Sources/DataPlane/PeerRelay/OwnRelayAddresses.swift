// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import STUN
import Timing

/// Where a peer relay is reached: interfaces, what the administrator says, and how it looks from outside.
struct OwnRelayAddresses: Sendable {
  private struct Sighting: Sendable {
    var endpoint: Endpoint
    var server: Endpoint
    var at: Instant
  }

  /// When STUN servers are asked next.
  private(set) var askAt: Instant
  private var local: [Endpoint] = []
  private var explicit: [Endpoint] = []
  private var servers: [Endpoint] = []
  private var asked: [TransactionID: Endpoint] = [:]
  private var sightings: [Sighting] = []

  init(askAt: Instant) { self.askAt = askAt }

  mutating func attach(
    local: [Endpoint],
    explicit: [Endpoint],
    servers: [Endpoint],
    at now: Instant
  ) {
    let isElsewhere = local != self.local
    if isElsewhere { sightings = [] }
    if isElsewhere || servers != self.servers { askAt = now }
    (self.local, self.explicit, self.servers) = (local, explicit, servers)
  }

  /// All of them, those first that are sure to lead here.
  func all(at now: Instant) -> [Endpoint] {
    let seen = sightings.filter { now - $0.at <= RelayTiming.sighting }.map(\.endpoint)
    var list = explicit + local + seen
    // Where the router gives every destination another port, perhaps ours is forwarded.
    let outside = Set(seen.filter(\.address.isV4))
    if outside.count > 1, let port = local.first(where: \.address.isV4)?.port {
      list += Set(outside.map(\.address)).sorted().map { Endpoint($0, port: port) }
    }
    var known: Set<Endpoint> = []
    return Array(list.filter { known.insert($0).inserted }.prefix(RelayLimits.endpoints))
  }

  mutating func requests(
    at now: Instant,
    using entropy: inout Entropy
  ) -> [PeerRelayServer.Send] {
    guard askAt <= now else { return [] }
    let wait = Int.random(
      in: RelayTiming.discovery.least...RelayTiming.discovery.most,
      using: &entropy
    )
    askAt = now + .milliseconds(wait)
    asked = [:]
    return servers.prefix(RelayLimits.servers).map { server in
      let request = BindingRequest(transaction: TransactionID(using: &entropy))
      asked[request.transaction] = server
      return PeerRelayServer.Send(bytes: request.bytes, destination: server)
    }
  }

  /// Takes an answer; false when nothing was asked.
  mutating func receive(_ response: BindingResponse, at now: Instant) -> Bool {
    guard let server = asked.removeValue(forKey: response.transaction) else { return false }
    sightings.removeAll { $0.server == server }
    sightings.append(Sighting(endpoint: response.endpoint, server: server, at: now))
    return true
  }
}
