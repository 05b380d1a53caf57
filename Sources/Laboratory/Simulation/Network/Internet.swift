// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Timing

/// A host on the internet: a node, a relay or the coordination server.
struct HostID: Hashable, Sendable { let index: Int }

/// A network that hosts are attached to: the internet itself, or one behind a router.
struct RealmID: Hashable, Sendable {
  let index: Int
  static let internet = RealmID(index: 0)
}

/// Who is connected to what, and what happens to a datagram on its way.
///
/// A tree of realms: a router stands between each and the one above it. The router translates IPv4 and
/// guards IPv6. Datagrams climb from the sender's realm until their destination is known there, and
/// then go down again.
struct Internet {
  /// What a router does.
  struct Router {
    var nat: VirtualNAT
    /// What grants ports; nil where nothing does.
    var gateway: VirtualGateway?
    var firewall = StatefulFirewall()
    /// The prefix of IPv6 behind it; nil where there is none.
    var v6: IPPrefix?
    var uplink = LinkConditions()
    var isUp = true
    var blocksUDP = false
    /// Counts restarts and new addresses: connections that went through it before are dead.
    var generation = 0
  }

  struct Realm {
    var parent: RealmID?
    var router: Router?
    var hosts: [IPAddress: HostID] = [:]
    /// The realms behind the outer addresses of routers that are attached here.
    var behind: [IPAddress: RealmID] = [:]
  }

  struct Host {
    var realm: RealmID
    var addresses: [IPAddress]
    var access: LinkConditions
    var isUp = true
    /// Counts moves: connections that were made before are dead.
    var generation = 0
  }

  /// One copy of a datagram that arrives.
  struct Arrival {
    var host: HostID
    var source: Endpoint
    var destination: Endpoint
    var delay: Duration
  }

  private(set) var realms: [Realm] = [Realm()]
  private(set) var hosts: [Host] = []
  /// Pairs of hosts between which no datagram passes.
  var cuts: Set<Set<HostID>> = []
  var random: Entropy

  init(random: Entropy) { self.random = random }

  // MARK: Building

  /// A network behind a router that is attached to `parent` at `address`.
  mutating func addRealm(
    behind behaviour: NATBehaviour,
    at address: IPAddress,
    in parent: RealmID,
    v6: IPPrefix? = nil,
    uplink: LinkConditions = LinkConditions()
  ) -> RealmID {
    let id = RealmID(index: realms.count)
    var router = Router(nat: VirtualNAT(behaviour, address: address), v6: v6, uplink: uplink)
    router.gateway = behaviour.portMapping.map { VirtualGateway(behaviour: $0, startedAt: .origin) }
    realms.append(Realm(parent: parent, router: router))
    realms[parent.index].behind[address] = id
    return id
  }

  mutating func addHost(
    _ addresses: [IPAddress],
    in realm: RealmID,
    access: LinkConditions = LinkConditions(latency: .milliseconds(1))
  ) -> HostID {
    let id = HostID(index: hosts.count)
    hosts.append(Host(realm: realm, addresses: addresses, access: access))
    for address in addresses { realms[realm.index].hosts[address] = id }
    return id
  }

  // MARK: Changing

  /// Attaches a host somewhere else.
  mutating func move(_ host: HostID, to realm: RealmID, addresses: [IPAddress]) {
    let old = hosts[host.index]
    for address in old.addresses { realms[old.realm.index].hosts[address] = nil }
    hosts[host.index].realm = realm
    hosts[host.index].addresses = addresses
    hosts[host.index].generation += 1
    for address in addresses { realms[realm.index].hosts[address] = host }
  }

  mutating func setUp(_ isUp: Bool, _ host: HostID) { hosts[host.index].isUp = isUp }

  mutating func setAccess(_ conditions: LinkConditions, of host: HostID) {
    hosts[host.index].access = conditions
  }

  mutating func change(_ realm: RealmID, _ body: (inout Router) -> Void) {
    guard var router = realms[realm.index].router else { return }
    let before = router.nat.address
    body(&router)
    realms[realm.index].router = router
    guard router.nat.address != before, let parent = realms[realm.index].parent else { return }
    realms[parent.index].behind[before] = nil
    realms[parent.index].behind[router.nat.address] = realm
  }

  /// Makes the router of a realm forget all it knows.
  mutating func restartRouter(of realm: RealmID, at now: Instant) {
    change(realm) {
      $0.gateway?.startedAt = now
      $0.nat.restart()
      $0.firewall.restart()
      $0.generation += 1
    }
  }

  // MARK: Datagrams

  /// What becomes of a datagram that a host sends.
  mutating func send(
    _ size: Int,
    by host: HostID,
    from source: Endpoint,
    to destination: Endpoint,
    at now: Instant
  ) -> [Arrival] {
    let sender = hosts[host.index]
    guard sender.isUp, sender.addresses.contains(source.address) else { return [] }
    let length = size + (source.address.isV4 ? 28 : 48)
    var way = Way(source: source, destination: destination, realm: sender.realm)
    way.pass(sender.access, length, using: &random)
    guard let receiver = route(&way, length, at: now), receiver != host,
      hosts[receiver.index].isUp, !cuts.contains([host, receiver])
    else { return [] }
    way.pass(hosts[receiver.index].access, length, using: &random)
    return way.delays.map {
      Arrival(host: receiver, source: way.source, destination: way.destination, delay: $0)
    }
  }

  /// A datagram under way.
  private struct Way {
    var source: Endpoint
    var destination: Endpoint
    var realm: RealmID
    /// How late each copy is.
    var delays: [Duration] = [.zero]

    mutating func pass(_ link: LinkConditions, _ length: Int, using random: inout Entropy) {
      delays = delays.flatMap { delay in
        link.passages(of: length, using: &random).map { delay + $0 }
      }
    }
  }

  /// Leads a datagram to its host; nil when there is none, or a router keeps it.
  private mutating func route(_ way: inout Way, _ length: Int, at now: Instant) -> HostID? {
    for _ in 0..<16 {
      let realm = realms[way.realm.index]
      if let host = realm.hosts[way.destination.address] { return host }
      if let inner = inner(of: way.realm, for: way.destination.address) {
        guard enter(inner, &way, length, at: now) else { return nil }
      } else if let parent = realm.parent {
        guard leave(way.realm, to: parent, &way, length, at: now) else { return nil }
      } else {
        return nil
      }
    }
    return nil
  }

  /// The realm below in which an address lies.
  private func inner(of realm: RealmID, for address: IPAddress) -> RealmID? {
    if let behind = realms[realm.index].behind[address] { return behind }
    guard !address.isV4 else { return nil }
    return realms[realm.index].behind.values.first {
      realms[$0.index].router?.v6?.contains(address) == true
    }
  }

  private mutating func leave(
    _ realm: RealmID,
    to parent: RealmID,
    _ way: inout Way,
    _ length: Int,
    at now: Instant
  ) -> Bool {
    guard var router = realms[realm.index].router, router.isUp, !router.blocksUDP else {
      return false
    }
    let isHairpin = way.destination.address == router.nat.address
    if way.source.address.isV4 {
      guard !isHairpin || router.nat.behaviour.hairpins else { return false }
      way.source = router.nat.outbound(
        from: way.source,
        to: way.destination,
        at: now,
        using: &random
      )
    } else {
      guard router.v6 != nil else { return false }
      router.firewall.outbound(from: way.source, to: way.destination, at: now)
    }
    realms[realm.index].router = router
    way.pass(router.uplink, length, using: &random)
    way.realm = parent
    return true
  }

  private mutating func enter(
    _ realm: RealmID,
    _ way: inout Way,
    _ length: Int,
    at now: Instant
  ) -> Bool {
    guard var router = realms[realm.index].router, router.isUp, !router.blocksUDP else {
      return false
    }
    if way.destination.address.isV4 {
      let inside = router.nat.inbound(to: way.destination.port, from: way.source, at: now)
      guard let inside else { return false }
      way.destination = inside
    } else if !router.firewall.letsIn(to: way.destination, from: way.source, at: now) {
      return false
    }
    realms[realm.index].router = router
    way.pass(router.uplink, length, using: &random)
    way.realm = realm
    return true
  }

  // MARK: The router itself

  /// What the router before a host answers to it, and how late each copy comes.
  mutating func askRouter(
    of host: HostID,
    _ request: [UInt8],
    at now: Instant
  ) -> (answer: [UInt8], delays: [Duration])? {
    let asker = hosts[host.index]
    guard asker.isUp, let own = asker.addresses.first(where: \.isV4),
      var router = realms[asker.realm.index].router, var gateway = router.gateway
    else { return nil }
    let there = asker.access.passages(of: request.count + 28, using: &random)
    guard let first = there.first,
      let answer = gateway.answer(request, from: own, &router.nat, at: now, using: &random)
    else { return nil }
    router.gateway = gateway
    realms[asker.realm.index].router = router
    let back = asker.access.passages(of: answer.count + 28, using: &random)
    return (answer, back.map { first + $0 })
  }

  // MARK: Connections

  /// What a connection between two hosts depends on: while it stays the same, the connection lives.
  struct Route: Hashable {
    var generations: [Int]
    /// How long bytes take one way.
    var latency: Duration
  }

  /// The way of a TCP connection from a host to one on the internet; nil when there is none now.
  func route(from host: HostID, to server: HostID) -> Route? {
    let (near, far) = (hosts[host.index], hosts[server.index])
    guard near.isUp, far.isUp, !cuts.contains([host, server]) else { return nil }
    var route = Route(
      generations: [near.generation, far.generation],
      latency: near.access.latency + far.access.latency
    )
    var realm = near.realm
    while let parent = realms[realm.index].parent, let router = realms[realm.index].router {
      guard router.isUp else { return nil }
      route.generations.append(router.generation)
      route.latency = route.latency + router.uplink.latency
      realm = parent
    }
    return route
  }
}
