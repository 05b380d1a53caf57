// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import Testing
import Timing

@testable import Simulation

@Suite("The simulated internet")
struct InternetTests {
  static let outside = Endpoint(IPAddress(192, 0, 2, 9), port: 9)

  private static func home(
    _ behaviour: NATBehaviour
  ) -> (internet: Internet, inside: HostID, outside: HostID, realm: RealmID) {
    var internet = Internet(random: Entropy(seed: 1))
    let realm = internet.addRealm(behind: behaviour, at: IPAddress(198, 51, 1, 1), in: .internet)
    let inside = internet.addHost([IPAddress(192, 168, 1, 5)], in: realm)
    let host = internet.addHost([outside.address], in: .internet)
    return (internet, inside, host, realm)
  }

  @Test("A port-restricted cone keeps one endpoint and lets in whom it wrote to")
  func easy() throws {
    var (internet, inside, outside, _) = Self.home(.easy)
    let own = Endpoint(IPAddress(192, 168, 1, 5), port: 41_641)
    let out = internet.send(100, by: inside, from: own, to: Self.outside, at: .origin)
    let seen = try #require(out.first?.source)
    #expect(out.map(\.host) == [outside] && seen.address == IPAddress(198, 51, 1, 1))
    let answer = internet.send(10, by: outside, from: Self.outside, to: seen, at: .origin)
    #expect(answer.map(\.host) == [inside] && answer.first?.destination == own)
    let other = Endpoint(Self.outside.address, port: 10)
    #expect(internet.send(10, by: outside, from: other, to: seen, at: .origin).isEmpty)
    let later = Instant.origin + .seconds(121)
    #expect(internet.send(10, by: outside, from: Self.outside, to: seen, at: later).isEmpty)
  }

  @Test("A symmetric NAT shows another port to every other end")
  func hard() throws {
    var (internet, inside, _, _) = Self.home(.hard)
    let own = Endpoint(IPAddress(192, 168, 1, 5), port: 41_641)
    let ports = (1...8).map { port in
      internet.send(
        10,
        by: inside,
        from: own,
        to: Endpoint(Self.outside.address, port: UInt16(port)),
        at: .origin
      ).first?.source.port
    }
    #expect(Set(ports).count == 8)
  }

  @Test("What is too large, lost or cut never arrives, and what is doubled arrives twice")
  func conditions() {
    var (internet, inside, outside, realm) = Self.home(.easy)
    let own = Endpoint(IPAddress(192, 168, 1, 5), port: 1)
    func send(_ size: Int) -> Int {
      internet.send(size, by: inside, from: own, to: Self.outside, at: .origin).count
    }
    #expect(send(1472) == 1 && send(1473) == 0)
    internet.change(realm) { $0.uplink.duplicatesPerMille = 1000 }
    #expect(send(10) == 2)
    internet.change(realm) { $0.uplink.lossPerMille = 1000 }
    #expect(send(10) == 0)
    internet.change(realm) { $0.uplink = LinkConditions() }
    internet.cuts = [[inside, outside]]
    #expect(send(10) == 0)
    internet.cuts = []
    internet.change(realm) { $0.blocksUDP = true }
    #expect(send(10) == 0)
  }

  @Test("Two hosts behind one router reach each other by their outer endpoints only if it hairpins")
  func hairpin() throws {
    for hairpins in [false, true] {
      var behaviour = NATBehaviour.open
      behaviour.hairpins = hairpins
      var (internet, one, _, realm) = Self.home(behaviour)
      let other = internet.addHost([IPAddress(192, 168, 1, 6)], in: realm)
      let (here, there) = (
        Endpoint(IPAddress(192, 168, 1, 5), port: 1), Endpoint(IPAddress(192, 168, 1, 6), port: 2)
      )
      let seen = internet.send(9, by: other, from: there, to: Self.outside, at: .origin)
      let outer = try #require(seen.first?.source)
      let found = internet.send(9, by: one, from: here, to: outer, at: .origin)
      #expect(found.map(\.host) == (hairpins ? [other] : []))
    }
  }

  @Test("A router behind a router translates twice, and both must let the answer in")
  func doubleNAT() throws {
    var (internet, _, outside, realm) = Self.home(.easy)
    let inner = internet.addRealm(behind: .easy, at: IPAddress(192, 168, 1, 77), in: realm)
    let host = internet.addHost([IPAddress(10, 0, 0, 2)], in: inner)
    let own = Endpoint(IPAddress(10, 0, 0, 2), port: 5)
    let out = internet.send(9, by: host, from: own, to: Self.outside, at: .origin)
    let seen = try #require(out.first?.source)
    #expect(seen.address == IPAddress(198, 51, 1, 1))
    let answer = internet.send(9, by: outside, from: Self.outside, to: seen, at: .origin)
    #expect(answer.first?.host == host && answer.first?.destination == own)
    internet.restartRouter(of: inner, at: .origin)
    #expect(internet.send(9, by: outside, from: Self.outside, to: seen, at: .origin).isEmpty)
  }
}
