// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import PortMapping
import Testing
import Timing

@Suite("Port mapper")
struct PortMapperTests {
  @Test("A port is mapped by whatever the gateway offers", arguments: MappingService.allCases)
  func each(service: MappingService) throws {
    var home = Household([service])
    try home.begin()
    home.pass(.seconds(3))
    let mapping = try #require(home.mapper.mapping)
    #expect(mapping.service == service && mapping.internalPort == Household.port)
    #expect(mapping.external.address == home.external && mapping.external.port != 0)
    #expect(home.table == [mapping.external.port: Household.port])
    #expect(home.changes == [mapping])
    var expected = MappingServices()
    for one in MappingService.allCases { expected[one] = one == service }
    #expect(home.findings == [expected])
  }

  @Test("Where all are offered PCP is used, whose answers cannot be guessed")
  func preference() throws {
    var home = Household(Set(MappingService.allCases))
    try home.begin()
    home.pass(.seconds(1))
    #expect(home.mapper.mapping?.service == .pcp)
    #expect(home.requests.isEmpty)
  }

  @Test("A service that is switched off is not asked", arguments: MappingService.allCases)
  func switchedOff(service: MappingService) throws {
    var home = Household([service], allowed: Set(MappingService.allCases).subtracting([service]))
    try home.begin()
    home.pass(.seconds(5))
    #expect(home.mapper.mapping == nil && home.findings.first?[service] == nil)
  }

  @Test(
    "A mapping is renewed at half its life with the same port",
    arguments: MappingService.allCases
  )
  func renewal(service: MappingService) throws {
    var home = Household([service])
    try home.begin()
    home.pass(.seconds(3))
    let first = try #require(home.mapper.mapping)
    home.pass(.seconds(8000))
    #expect(home.mapper.mapping == first && home.changes == [first])
    let times = home.notes.filter { if case .mapped = $0 { true } else { false } }.count
    #expect((3...4).contains(times))
  }

  @Test(
    "A mapping that cannot be renewed is told until its time is over",
    arguments: MappingService.allCases
  )
  func runsOut(service: MappingService) throws {
    var home = Household([service])
    try home.begin()
    home.pass(.seconds(3))
    let mapping = try #require(home.mapper.mapping)
    home.isDeaf = true
    home.pass(.seconds(7100))
    #expect(home.mapper.mapping == mapping)
    home.pass(.seconds(200))
    #expect(home.mapper.mapping == nil && home.changes == [mapping, nil])
    home.isDeaf = false
    home.pass(.seconds(1300))
    #expect(home.mapper.mapping != nil)
  }

  @Test(
    "A mapping that is not wanted any more is ended at the gateway",
    arguments: MappingService.allCases
  )
  func release(service: MappingService) throws {
    var home = Household([service])
    try home.begin()
    home.pass(.seconds(3))
    #expect(home.table.count == 1)
    home.act { $0.want(false, at: $1, into: &$2) }
    #expect(home.table.isEmpty && home.mapper.mapping == nil && home.mapper.isAtRest)
    #expect(home.changes.last == .some(nil))
  }

  @Test(
    "The end does not wait for long for a gateway that is gone",
    arguments: MappingService.allCases
  )
  func releaseUnanswered(service: MappingService) throws {
    var home = Household([service])
    try home.begin()
    home.pass(.seconds(3))
    home.isDeaf = true
    home.act { $0.release(at: $1, into: &$2) }
    #expect(!home.mapper.isAtRest || service == .upnp)
    home.pass(.seconds(1))
    #expect(home.mapper.isAtRest && home.mapper.nextTimeout == nil)
  }

  @Test("Another network ends the mapping at the old gateway and finds the new one")
  func roaming() throws {
    var home = Household([.pmp])
    try home.begin()
    home.pass(.seconds(2))
    #expect(home.mapper.mapping != nil)
    let elsewhere = try #require(
      GatewayAttachment(gateway: IPAddress(10, 0, 0, 1), own: IPAddress(10, 0, 0, 9))
    )
    home.act { $0.attach(to: elsewhere, port: Household.port, at: $1, into: &$2) }
    #expect(home.table.isEmpty && home.mapper.mapping == nil)
    #expect(home.sends.last?.destination.address != Household.gateway)
    home.act { $0.attach(to: nil, port: Household.port, at: $1, into: &$2) }
    home.pass(.seconds(3600))
    #expect(home.mapper.nextTimeout == nil)
  }

  @Test(
    "A gateway that lost its table is noticed and asked again",
    arguments: MappingService.allCases
  )
  func restart(service: MappingService) throws {
    var home = Household([service])
    try home.begin()
    home.pass(.seconds(100))
    home.restart()
    home.act { $0.takeInterest(at: $1, into: &$2) }
    home.pass(.seconds(2))
    #expect(home.table.values.contains(Household.port), "it was asked about")
    home.pass(.seconds(100))
    home.restart()
    home.pass(.seconds(310))
    #expect(home.table.values.contains(Household.port), "it was noticed in time")
  }

  @Test("An announced restart is believed, now and then, and from the gateway only")
  func announcement() throws {
    var home = Household([.pmp])
    try home.begin()
    home.pass(.seconds(100))
    home.restart()
    let announcement: [UInt8] = [0, 0x80, 0, 0, 0, 0, 0, 0, 203, 1, 1, 5]
    let stranger = Endpoint(IPAddress(192, 168, 1, 66), port: 5351)
    home.act { $0.receiveAnnouncement(announcement, from: stranger, at: $1, into: &$2) }
    #expect(home.table.isEmpty && home.mapper.counters.foreign == 1)
    let gateway = Endpoint(Household.gateway, port: 5351)
    home.act { $0.receiveAnnouncement(announcement, from: gateway, at: $1, into: &$2) }
    #expect(home.table.count == 1)
    let before = home.sends.count
    for _ in 0..<1000 {
      home.act { $0.receiveAnnouncement(announcement, from: gateway, at: $1, into: &$2) }
    }
    #expect(home.sends.count == before && home.mapper.counters.excessAnnouncements == 1000)
  }

  @Test("A port that another host has is exchanged for a free one")
  func conflict() throws {
    var home = Household([.pmp])
    home.taken = [Household.port]
    try home.begin()
    home.pass(.seconds(1))
    #expect(home.mapper.mapping?.external.port == Household.port + 1)
    var two = Household([.upnp])
    (two.isIGD2, two.taken) = (true, [Household.port])
    try two.begin()
    two.pass(.seconds(2))
    #expect(two.mapper.mapping?.external.port == Household.port + 1)
    #expect(two.requests == ["GET", "GetExternalIPAddress", "AddAnyPortMapping"])
  }

  @Test("A gateway that knows permanent mappings only is asked for one, and it is ended")
  func permanent() throws {
    var home = Household([.upnp])
    home.faults = ["AddPortMapping": 725]
    try home.begin()
    home.pass(.seconds(3))
    let asked = home.requests.filter { $0 == "AddPortMapping" }.count
    #expect(asked == 2, "with a lease, then without")
  }

  @Test("A gateway that refuses by one service is asked by the next")
  func refusal() throws {
    var home = Household([.pcp, .upnp])
    home.lie = { answer in
      var answer = answer
      if answer.count == 60 { answer[3] = 2 }
      return answer
    }
    try home.begin()
    home.pass(.seconds(10))
    #expect(home.mapper.counters.refused > 0)
    #expect(home.mapper.mapping == nil || home.mapper.mapping?.service == .upnp)
    home.pass(.seconds(20))
    #expect(home.mapper.mapping?.service == .upnp)
  }

  // MARK: Bad input

  @Test("Nobody but the gateway is heard")
  func strangers() throws {
    var home = Household([])
    try home.begin()
    let answer: [UInt8] = [0, 0x80, 0, 0, 0, 0, 0, 9, 203, 1, 1, 5]
    home.receive(answer, from: IPAddress(192, 168, 1, 2))
    home.receive(Array("HTTP/1.1 200 OK\r\n".utf8), from: IPAddress(192, 168, 1, 2), port: 1900)
    home.pass(.seconds(2))
    #expect(home.mapper.counters.foreign == 2)
    #expect(home.findings.last?.pmp == false && home.findings.last?.upnp == false)
  }

  @Test("What nobody asked for is dropped: no answer maps a port by itself")
  func unsolicited() throws {
    var home = Household([.pcp])
    try home.begin()
    home.pass(.seconds(5))
    let mapping = home.mapper.mapping
    var forged: [UInt8] =
      [2, 0x81, 0, 0, 0, 0, 0x1C, 0x20, 0, 0, 0, 0] + Array(repeating: 7, count: 48)
    (forged[36], forged[37], forged[38], forged[39]) = (17, 0, 0, 0)
    home.receive(forged)
    #expect(home.mapper.mapping == mapping && home.mapper.counters.unsolicited == 1)
    // While a question is open, the nonce still tells the gateway's answer from a guess.
    home.isDeaf = true
    home.act { $0.takeInterest(at: $1, into: &$2) }
    home.pass(.seconds(30))
    home.act { $0.takeInterest(at: $1, into: &$2) }
    home.receive(forged)
    #expect(home.mapper.mapping == mapping && home.mapper.counters.unsolicited == 2)
  }

  @Test("Port 0 and addresses that nobody can have are refused", arguments: MappingService.allCases)
  func absurd(service: MappingService) throws {
    for address in ["0.0.0.0", "127.0.0.1", "224.0.0.1", "169.254.1.1", "255.255.255.255"] {
      var home = Household([service])
      home.external = try #require(IPAddress(address))
      try home.begin()
      home.pass(.seconds(30))
      #expect(home.mapper.mapping == nil, "\(address)")
    }
    var home = Household([service])
    home.isIGD2 = true
    home.taken = Set(1...UInt16.max - 1)
    home.faults = ["AddAnyPortMapping": 0]
    home.lie = { answer in
      var answer = answer
      if answer.count == 16 { (answer[10], answer[11]) = (0, 0) }
      if answer.count == 60 { (answer[42], answer[43]) = (0, 0) }
      return answer
    }
    home.taken = []
    try home.begin()
    home.pass(.seconds(30))
    #expect(home.mapper.mapping == nil)
    for send in home.sends where send.bytes.count == 12 || send.bytes.count == 60 {
      let at = send.bytes.count == 12 ? 4 : 40
      let isEnd = send.bytes[8..<12].allSatisfy { $0 == 0 } && send.bytes.count == 12
      #expect(isEnd || send.bytes[(at + 2)..<(at + 4)] != [0, 0], "port 0 is asked for")
    }
  }

  @Test("The private address of a gateway behind another NAT is told as such")
  func doubleNAT() throws {
    var home = Household([.pcp])
    home.external = IPAddress(10, 1, 2, 3)
    try home.begin()
    home.pass(.seconds(1))
    #expect(home.mapper.mapping?.isBehindAnotherNAT == true)
    home.external = IPAddress(100, 64, 1, 1)
    home.act { $0.attach(to: nil, port: 0, at: $1, into: &$2) }
    try home.begin()
    home.act { $0.want(false, at: $1, into: &$2) }
    home.act { $0.want(true, at: $1, into: &$2) }
    home.pass(.seconds(2))
    #expect(home.mapper.mapping?.isBehindAnotherNAT == true)
  }

  @Test("A gateway that grants a second is not asked every second, nor is one that refuses")
  func economy() throws {
    var home = Household([.pmp])
    home.lifetime = 1
    try home.begin()
    home.pass(.seconds(600))
    #expect(home.sends.count < 120)
    var empty = Household([])
    try empty.begin()
    empty.pass(.seconds(3600))
    // A look is three rounds of five questions; there are nine looks in that hour.
    #expect(empty.sends.count < 150)
  }

  @Test("A host with a public address, or without a gateway, asks nobody")
  func attachments() {
    let router = IPAddress(192, 168, 1, 1)
    #expect(GatewayAttachment(gateway: router, own: IPAddress(198, 51, 100, 7)) == nil)
    #expect(GatewayAttachment(gateway: router, own: router) == nil)
    #expect(GatewayAttachment(gateway: .unspecified(.v6), own: IPAddress(192, 168, 1, 2)) == nil)
    #expect(GatewayAttachment(gateway: router, own: IPAddress(192, 168, 1, 2)) != nil)
  }

  @Test("However a gateway answers, the mapper keeps to its bounds")
  func mutations() throws {
    for seed in 0..<64 {
      var home = Household(Set(MappingService.allCases))
      let salt = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15
      home.lie = { answer in
        var answer = answer
        let random = Entropy(seed: salt ^ UInt64(answer.count))
        var draw = random
        for _ in 0..<(seed % 5) where !answer.isEmpty {
          answer[Int(draw.next() % UInt64(answer.count))] = UInt8(truncatingIfNeeded: draw.next())
        }
        return answer
      }
      try home.begin()
      home.pass(.seconds(4000))
      #expect(home.mapper.mapping?.external.port != 0)
      #expect(home.sends.count < 5000, "seed \(seed)")
    }
  }
}
