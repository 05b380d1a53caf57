// SPDX-License-Identifier: Apache-2.0

import Addressing
import HostIO
import HostSettings
import TestSupport
import Testing

@testable import HostConfiguration

@Suite(
  "Changes of the host's networks",
  .enabled(if: OwnNetwork.isAvailable, OwnNetwork.reason),
  .timeLimit(.minutes(10))
)
struct LinkMonitorTests {
  /// A network with a link that is up, and a monitor of it.
  static func begin() throws -> (network: Int32, monitor: LinkMonitor) {
    try OwnNetwork.run {
      try OwnNetwork.shell(
        """
        set -e; ip link add eth0 type veth peer name far; ip link set eth0 addrgenmode none up; \
        ip link set far addrgenmode none up; ip addr add 192.0.2.1/24 dev eth0; \
        ip route add default via 192.0.2.254
        """
      )
      return (try OwnNetwork.current(), try LinkMonitor())
    }
  }

  /// The first change that `isWanted`; others may come before it, as bursts end when they do.
  static func next(
    _ changes: inout AsyncStream<LinkChange>.Iterator,
    where isWanted: (LinkChange) -> Bool
  ) async throws -> LinkChange {
    while let change = await changes.next(isolation: #isolation) {
      if isWanted(change) { return change }
    }
    throw OwnNetwork.Failure(what: "the monitor ended")
  }

  @Test("The host's interfaces, addresses and default routes are told as they are")
  func facts() throws {
    let (_, monitor) = try Self.begin()
    let facts = monitor.facts
    let eth0 = try #require(facts.interface(named: "eth0"))
    #expect(eth0.isUp)
    #expect(eth0.kind == "veth")
    #expect(eth0.mtu == 1500)
    #expect(eth0.addresses.map(\.prefix.description) == ["192.0.2.1/24"])
    #expect(facts.interface(named: "lo")?.isLoopback == true)
    #expect(facts.defaultRoute(.v4)?.interfaceIndex == eth0.index)
    #expect(facts.defaultRoute(.v4)?.gateway?.description == "192.0.2.254")
    #expect(facts.defaultRoute(.v6) == nil)
    #expect(facts.reachableAddresses().map(\.description) == ["192.0.2.1"])
    monitor.stop()
  }

  @Test("An address that comes and a link that goes are told, each with what is true then")
  func changes() async throws {
    let (network, monitor) = try Self.begin()
    var changes = monitor.changes.makeAsyncIterator()
    try OwnNetwork.enter(network) {
      try OwnNetwork.shell("ip addr add 2001:db8::1/64 dev eth0 nodad")
    }
    let added = try await Self.next(&changes) {
      $0.facts.reachableAddresses().count == 2
    }
    #expect(added.networkChanged)
    #expect(!added.groundDisturbed)
    try OwnNetwork.enter(network) { try OwnNetwork.shell("ip link set far down") }
    let down = try await Self.next(&changes) { $0.facts.interface(named: "eth0")?.isUp == false }
    #expect(down.networkChanged)
    #expect(down.facts.reachableAddresses().isEmpty)
    try OwnNetwork.enter(network) { try OwnNetwork.shell("ip link set far up") }
    _ = try await Self.next(&changes) { $0.facts.interface(named: "eth0")?.isUp == true }
    try OwnNetwork.enter(network) {
      try OwnNetwork.shell("ip route replace default via 192.0.2.253")
    }
    let moved = try await Self.next(&changes) {
      $0.facts.defaultRoute(.v4)?.gateway?.description == "192.0.2.253"
    }
    #expect(moved.networkChanged)
    #expect(monitor.facts == moved.facts)
    monitor.stop()
    let last = await changes.next(isolation: #isolation)
    #expect(last == nil)
    monitor.stop()
  }

  @Test("A burst that nobody reads becomes one change that tells all of it")
  func merged() async throws {
    let (network, monitor) = try Self.begin()
    try OwnNetwork.enter(network) {
      try OwnNetwork.shell(
        "for i in $(seq 2 40); do ip addr add 192.0.2.$i/24 dev eth0; done"
      )
    }
    var changes = monitor.changes.makeAsyncIterator()
    let change = try await Self.next(&changes) { $0.facts.reachableAddresses().count == 40 }
    #expect(change.networkChanged)
    monitor.stop()
  }

  @Test("What we change ourselves disturbs nobody; what others take from us is told")
  func disturbed() async throws {
    let (network, monitor) = try Self.begin()
    var changes = monitor.changes.makeAsyncIterator()
    let tun = try OwnNetwork.enter(network) { try TUNDevice.open(name: "martlet0") }
    var router = try OwnNetwork.enter(network) { try HostRouter() }
    let settings = try RouterWorld.settings()
    try OwnNetwork.enter(network) {
      _ = try router.apply(settings)
      _ = try router.withdraw(settings)
      _ = try router.apply(settings)
      try OwnNetwork.shell("ip addr add 192.0.2.77/24 dev eth0")
    }
    let quiet = try await Self.next(&changes) {
      $0.facts.reachableAddresses().contains(
        IPAddress(192, 0, 2, 77)
      )
    }
    // The interface coming up is told, as routes are lost when it goes down; nothing else is.
    let reached = quiet.facts.reachableAddresses(excluding: ["martlet0"])
    #expect(reached.map(\.description) == ["192.0.2.1", "192.0.2.77"])
    let losses = [
      "ip rule del priority 5310": 1, "ip -6 rule del priority 5370": 1,
      "ip route del 100.64.0.2 table 53": 1,
      // With the last address of IPv4 the kernel removes the routes that need one.
      "ip addr del 100.64.0.1/32 dev martlet0": 2,
    ]
    for (command, count) in losses {
      try OwnNetwork.enter(network) { try OwnNetwork.shell(command) }
      let change = try await Self.next(&changes) { $0.groundDisturbed }
      #expect(!change.networkChanged)
      let report = try router.apply(settings)
      #expect(report.changes == count, "\(command)")
    }
    try OwnNetwork.enter(network) { try OwnNetwork.shell("ip link del martlet0") }
    let gone = try await Self.next(&changes) {
      $0.groundDisturbed && $0.facts.interface(named: "martlet0") == nil
    }
    #expect(!gone.networkChanged)
    _ = consume tun
    monitor.stop()
  }

  @Test("Routes and rules of others disturb nobody")
  func foreign() async throws {
    let (network, monitor) = try Self.begin()
    var changes = monitor.changes.makeAsyncIterator()
    try OwnNetwork.enter(network) {
      try OwnNetwork.shell(
        """
        ip rule add priority 5210 lookup main; ip rule del priority 5210; \
        ip route add 198.51.100.0/24 dev eth0 table 52; ip route del 198.51.100.0/24 table 52; \
        ip link add other type veth peer name otherfar; ip addr add 192.0.2.99/24 dev eth0
        """
      )
    }
    let change = try await Self.next(&changes) { $0.facts.reachableAddresses().count == 2 }
    #expect(!change.groundDisturbed)
    monitor.stop()
  }
}
