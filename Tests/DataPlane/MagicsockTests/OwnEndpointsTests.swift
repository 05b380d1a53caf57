// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import Keys
import Testing
import Timing

@testable import Magicsock

@Suite("Own endpoints")
struct OwnEndpointsTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  private func network(_ addresses: [String], configuredPort: UInt16 = 0) throws -> LocalNetwork {
    LocalNetwork(
      addresses: try addresses.map { try #require(IPAddress($0)) },
      portV4: 4,
      portV6: 6,
      configuredPort: configuredPort
    )
  }

  private func local(_ addresses: [String]) throws -> [String] {
    OwnEndpoints.local(try network(addresses)).map(\.description)
  }

  @Test("Addresses of the tailnet, link-local IPv6 and multicast are not told")
  func unusable() throws {
    #expect(
      try local([
        "192.168.1.5", "100.64.0.1", "fd7a:115c:a1e0::1", "fe80::1", "224.0.0.1", "0.0.0.0",
        "127.0.0.1", "::1",
      ]) == ["192.168.1.5:4"]
    )
  }

  @Test("Loopback, link-local IPv4 and unique local IPv6 are told when there is nothing else")
  func lastResort() throws {
    #expect(try local(["127.0.0.1", "::1"]) == ["127.0.0.1:4", "[::1]:6"])
    #expect(try local(["127.0.0.1", "169.254.7.7"]) == ["169.254.7.7:4"])
    #expect(try local(["fd00::1", "127.0.0.1"]) == ["[fd00::1]:6"])
    #expect(try local(["fd00::1", "10.0.0.1", "169.254.7.7"]) == ["10.0.0.1:4"])
  }

  @Test("At most two IPv6 addresses of a subnet are told")
  func subnets() throws {
    let addresses = (1...5).map { "2001:db8::\($0)" } + ["2001:db8:0:1::1"]
    #expect(
      try local(addresses) == ["[2001:db8::1]:6", "[2001:db8::2]:6", "[2001:db8:0:1::1]:6"]
    )
  }

  private func report(_ endpoints: [String], varies: Bool? = nil) throws -> NetcheckReport {
    var report = NetcheckReport(id: 1, isFull: true)
    report.sightings = try endpoints.map {
      NetcheckReport.Sighting(endpoint: try #require(Endpoint($0)), count: 1)
    }
    report.globalV4 = report.sightings.first?.endpoint
    report.mappingVariesByDestination = varies
    return report
  }

  @Test("What servers see comes first, then what the administrator gave, then interfaces")
  func order() throws {
    var own = OwnEndpoints()
    let network = try network(["10.0.0.1"], configuredPort: 41_641)
    let explicit = [try #require(Endpoint("198.51.100.7:9")), try #require(Endpoint("10.0.0.1:4"))]
    let report = try report(["203.0.113.5:1000"], varies: true)
    let isChanged = own.refresh(network, report, explicit: explicit, at: start)
    #expect(isChanged)
    #expect(
      own.current.map { "\($0.endpoint) \($0.kind.rawValue)" } == [
        "203.0.113.5:1000 2", "203.0.113.5:41641 4", "198.51.100.7:9 5", "10.0.0.1:4 5",
      ]
    )
    let isChangedAgain = own.refresh(network, report, explicit: explicit, at: start)
    #expect(!isChangedAgain)
  }

  @Test("A mapped port is remembered for five minutes, and at most six of an address")
  func memory() throws {
    var own = OwnEndpoints()
    let network = try network(["10.0.0.1"])
    for index in 0..<10 {
      let now = start + .seconds(index)
      _ = own.refresh(network, try report(["203.0.113.5:\(1000 + index)"]), explicit: [], at: now)
    }
    #expect(own.current.count == 6 + 1)
    #expect(own.current.first?.endpoint.port == 1009)
    let later = start + .seconds(400)
    _ = own.refresh(network, try report(["203.0.113.5:2000"]), explicit: [], at: later)
    #expect(own.current.count == 2)
    #expect(own.isFresh(at: later + .seconds(27)) && !own.isFresh(at: later + .seconds(28)))
  }

  @Test("The list is told only when it changes, and again when the network does")
  func told() throws {
    var entropy = Entropy(seed: 2)
    let key = NodePrivateKey.generate(using: &entropy).publicKey
    var socket = MagicSocket(
      nodeKey: key,
      discoKey: .generate(using: &entropy),
      entropy: entropy
    )
    var effects = Effects()
    let first = try network(["10.0.0.1"])
    socket.networkChanged(to: first, isMajor: false, at: start, into: &effects)
    socket.networkChanged(to: first, isMajor: false, at: start, into: &effects)
    #expect(effects.endpointsChanged.count == 1)
    socket.networkChanged(
      to: try network(["10.0.0.2"]),
      isMajor: true,
      at: start,
      into: &effects
    )
    #expect(effects.endpointsChanged.count == 2)
    let explicit = try #require(Endpoint("198.51.100.7:9"))
    socket.apply(.init(nodeKey: key, staticEndpoints: [explicit]), at: start, into: &effects)
    #expect(effects.endpointsChanged.last?.contains(OwnEndpoint(explicit, .explicit)) == true)
  }

  @Test("Endpoints are looked at every 20 to 26 seconds while there is traffic")
  func periodic() {
    let network = VirtualNetwork.pair(.easy, .easy)
    network.start()
    network.talk(0, 1, for: .seconds(30))
    network.hosts[0].traces = []
    network.talk(0, 1, for: .seconds(230), every: .seconds(1))
    let periodic = network.hosts[0].traces.filter {
      if case .netcheckStarted(_, .periodic) = $0 { true } else { false }
    }
    #expect((8...12).contains(periodic.count))
  }

  @Test("Down links stop everything until one is up")
  func down() throws {
    let network = VirtualNetwork.pair(nil, nil)
    network.start()
    var attachment = LocalNetwork(addresses: [], portV4: 41_641, portV6: nil, isUp: false)
    network.step(0) { $0.networkChanged(to: attachment, isMajor: true, at: $1, into: &$2) }
    network.hosts[0].traces = []
    network.talk(0, 1, for: .seconds(60), every: .seconds(1))
    let started = network.hosts[0].traces.filter {
      if case .netcheckStarted = $0 { true } else { false }
    }
    #expect(started.isEmpty)
    attachment.isUp = true
    attachment.addresses = [network.hosts[0].address]
    network.step(0) { $0.networkChanged(to: attachment, isMajor: true, at: $1, into: &$2) }
    network.talk(0, 1, for: .seconds(3))
    #expect(network.direct(0, 1) != nil)
  }
}
