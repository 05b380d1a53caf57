// SPDX-License-Identifier: Apache-2.0

import Addressing
import PacketFilter
import Packets
import Testing

@Suite("Packet filter")
struct FilterTests {
  private let here = IPAddress(100, 64, 0, 1)
  private let there = IPAddress(100, 64, 0, 2)

  @Test("The vectors of the original are judged alike")
  func vectors() throws {
    let vectors = try FilterVectors.load()
    try check(
      FilterVectors.filter(vectors.rules, vectors.localNets, vectors.nodeCapsBySource),
      vectors.cases
    )
    let quirks = vectors.quirkSet
    try check(
      FilterVectors.filter(quirks.rules, quirks.localNets, quirks.nodeCapsBySource),
      quirks.cases
    )
  }

  private func check(_ filter: Filter, _ cases: [FilterVectors.Case]) throws {
    #expect(!cases.isEmpty)
    for one in cases {
      let packet = Sample.packet(
        one.proto,
        try #require(IPAddress(one.src)),
        try #require(IPAddress(one.dst)),
        port: one.dport ?? 0,
        syn: one.syn ?? true,
        icmp: one.icmp ?? "echo-request"
      )
      var flows = FlowTable()
      let verdict = filter.inbound(Sample.view(packet), flows: &flows)
      #expect((verdict == .accept) == one.accept, "\(one)")
    }
  }

  @Test("Source and destination texts are read as the original reads them")
  func texts() throws {
    for one in try FilterVectors.load().ipSetParse {
      let read = try? AddressText(one.input)  // An error is what some of the cases expect.
      if let capability = one.cap {
        #expect(read == .capability(capability))
      } else if let out = one.out {
        guard case .addresses(let addresses) = read else {
          Issue.record("not read: \(one.input)")
          continue
        }
        #expect(addresses.prefixes.map(\.description) == out)
      } else {
        #expect(read == nil, "\(one.input)")
      }
    }
  }

  @Test("Without a filter everything is refused")
  func failsClosed() {
    var flows = FlowTable()
    for proto: UInt8 in [1, 6, 17, 47, 99, 132] {
      let view = Sample.view(Sample.packet(proto, there, here, port: 80, syn: false))
      let verdict = Filter.none.inbound(view, flows: &flows)
      #expect(verdict == .drop(.notLocal))
    }
  }

  @Test("Answers to own UDP come in, and stop coming in when the flow is forgotten")
  func returnTraffic() {
    let filter = Filter(localNetworks: [IPPrefix(host: here)], rules: [])
    var flows = FlowTable()
    let answer = Sample.view(Sample.packet(17, there, here, port: 5000, sourcePort: 53))
    let before = filter.inbound(answer, flows: &flows)
    #expect(before == .drop(.rules))
    let question = Sample.view(Sample.packet(17, here, there, port: 53, sourcePort: 5000))
    let out = filter.outbound(question, flows: &flows)
    #expect(out == .accept)
    let after = filter.inbound(answer, flows: &flows)
    #expect(after == .accept)
    for port in 0..<UInt16(FlowTable.capacity) {
      let other = Sample.view(Sample.packet(17, here, there, port: 53, sourcePort: 10_000 + port))
      _ = filter.outbound(other, flows: &flows)
    }
    let later = filter.inbound(answer, flows: &flows)
    #expect(later == .drop(.rules))
    #expect(flows.count == FlowTable.capacity)
    #expect(flows.forgotten == 1)
  }

  @Test("A flow that is used is not the one forgotten")
  func leastRecentlyUsed() {
    var flows = FlowTable()
    func flow(_ port: UInt16) -> Flow {
      Flow(Sample.view(Sample.packet(17, here, there, port: port)))
    }
    for port in 0..<UInt16(FlowTable.capacity) { flows.insert(flow(port)) }
    let used = flows.use(flow(0))
    #expect(used)
    flows.insert(flow(60_000))
    let (first, second) = (flows.use(flow(0)), flows.use(flow(1)))
    #expect(first)
    #expect(!second)
  }

  @Test("With shields up only answers and messages between nodes come in")
  func shieldsUp() {
    let filter = Filter(
      localNetworks: [IPPrefix(host: here)],
      rules: [.allowAll],
      isShieldsUp: true
    )
    var flows = FlowTable()
    func verdict(_ packet: [UInt8]) -> Verdict {
      filter.inbound(Sample.view(packet), flows: &flows)
    }
    #expect(verdict(Sample.packet(6, there, here, port: 22)) == .drop(.rules))
    #expect(verdict(Sample.packet(1, there, here)) == .drop(.rules))
    #expect(verdict(Sample.packet(6, there, here, port: 22, syn: false)) == .accept)
    #expect(verdict(Sample.packet(1, there, here, icmp: "echo-reply")) == .accept)
    #expect(verdict(Sample.packet(99, there, here)) == .accept)
  }

  @Test("Allow-all still refuses what is not addressed to this node")
  func allowAll() {
    let filter = Filter(localNetworks: [IPPrefix(host: here)], rules: [.allowAll])
    var flows = FlowTable()
    func verdict(_ packet: [UInt8]) -> Verdict {
      filter.inbound(Sample.view(packet), flows: &flows)
    }
    #expect(verdict(Sample.packet(6, there, here, port: 22)) == .accept)
    #expect(verdict(Sample.packet(17, there, here, port: 22)) == .accept)
    #expect(verdict(Sample.packet(1, there, here)) == .accept)
    #expect(verdict(Sample.packet(47, there, here)) == .drop(.rules))
    #expect(verdict(Sample.packet(6, there, IPAddress(10, 0, 0, 1), port: 22)) == .drop(.notLocal))
    #expect(verdict(Sample.packet(17, there, IPAddress(224, 0, 0, 1))) == .drop(.multicast))
    #expect(verdict(Sample.packet(17, there, IPAddress(169, 254, 1, 1))) == .drop(.linkLocal))
    #expect(
      verdict(Sample.packet(17, there, IPAddress(169, 254, 169, 254))) == .drop(.notLocal)
    )
  }

  @Test("Short fragments, extension headers and 4-in-6 are refused even when a rule allows all")
  func evasion() throws {
    let v6 = try #require(IPAddress("fd7a:115c:a1e0::1"))
    let far6 = try #require(IPAddress("fd7a:115c:a1e0::2"))
    let filter = Filter(
      localNetworks: [IPPrefix(host: here), IPPrefix(host: v6), .everything(.v6)],
      rules: [.allowAll]
    )
    var flows = FlowTable()
    func verdict(_ packet: [UInt8]) -> Verdict {
      filter.inbound(Sample.view(packet), flows: &flows)
    }
    var overlapping = Sample.packet(6, there, here, port: 22, syn: false)
    overlapping[7] = 1
    #expect(verdict(overlapping) == .drop(.malformed))
    var late = overlapping
    late[7] = 10
    #expect(verdict(late) == .accept)
    var elsewhere = late
    elsewhere[19] = 77
    #expect(verdict(elsewhere) == .drop(.notLocal))
    var short = Sample.packet(6, there, here, port: 22, syn: false)
    short[6] = 0x20
    short[3] = 28
    #expect(verdict(short) == .drop(.malformed))
    for header: UInt8 in [0, 43, 51, 60, 4, 41] {
      var packet = Sample.packet(header, far6, v6)
      packet[41] = 0  // An extension header of 8 bytes.
      #expect(verdict(packet) == .drop(.rules), "\(header)")
      guard [0, 43, 60].contains(header) else { continue }
      packet[41] = 200  // It ends behind the packet.
      #expect(verdict(packet) == .drop(.malformed), "\(header)")
    }
    let mapped = try #require(IPAddress("::ffff:100.64.0.1"))
    #expect(verdict(Sample.packet(6, far6, mapped, port: 22)) == .drop(.malformed))
    #expect(verdict(Sample.packet(6, mapped, v6, port: 22)) == .drop(.malformed))
  }

  @Test("Grants of one name are put one after another, and only where they apply")
  func capabilities() throws {
    let all = AddressSet.everything
    let one = AddressSet([IPPrefix(host: there)])
    let capabilities = PeerCapabilities([
      .init(sources: one, destinations: all, name: "a", values: [[1], [2]]),
      .init(sources: all, destinations: AddressSet(), name: "b"),
      .init(sources: all, destinations: all, name: "a", values: [[3]]),
      .init(sources: all, destinations: one, name: "c"),
    ])
    #expect(capabilities.capabilities(from: there, to: here) == ["a": [[1], [2], [3]]])
    #expect(capabilities.capabilities(from: here, to: there) == ["a": [[3]], "c": []])
  }

  @Test("Unreadable texts are told and the rest of the rule counts")
  func problems() {
    var problems: [AddressTextError] = []
    let rule = Rule(
      sources: ["nonsense", "100.64.0.2", "10.0.0.1/8", "cap:x"],
      destinations: [("cap:x", 0, 1), ("100.64.0.1", 9, 3), ("*", 22, 22)],
      protocols: [6, 999, -1],
      problems: &problems
    )
    #expect(
      problems == [
        .unreadable("nonsense"), .hostBitsSet("10.0.0.1/8"), .capabilityAsDestination("cap:x"),
      ]
    )
    #expect(rule.sourceCapabilities == ["x"])
    let filter = Filter(localNetworks: [IPPrefix(host: here)], rules: [rule])
    var flows = FlowTable()
    let open = filter.inbound(
      Sample.view(Sample.packet(6, there, here, port: 22)),
      flows: &flows
    )
    let backwards = filter.inbound(
      Sample.view(Sample.packet(6, there, here, port: 5)),
      flows: &flows
    )
    #expect(open == .accept)
    #expect(backwards == .drop(.rules))
  }
}
