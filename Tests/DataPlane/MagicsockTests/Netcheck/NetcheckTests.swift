// SPDX-License-Identifier: Apache-2.0

import Addressing
import Cryptography
import DERP
import Keys
import STUN
import Testing
import Timing

@testable import Magicsock

@Suite("Netcheck")
struct NetcheckTests {
  private let start = Instant(nanoseconds: 1_000_000_000)

  private func node(_ region: Int, _ number: Int = 1, v6: Bool = false) -> RelayNode {
    RelayNode(
      name: "\(region)-\(number)",
      regionID: RegionID(region),
      hostName: "relay\(region).example",
      ipv4: "198.51.\(region).\(number)",
      ipv6: v6 ? "2001:db8:\(region)::\(number)" : "none"
    )
  }

  private func map(_ regions: Int, nodes: Int = 2, v6: Bool = false) -> RelayMap {
    var map = RelayMap()
    for region in 1...regions {
      map.regions[RegionID(region)] = RelayRegion(
        id: RegionID(region),
        nodes: (1...nodes).map { node(region, $0, v6: v6) }
      )
    }
    return map
  }

  /// Runs a netcheck in which `answer` tells how far each server is, and how it sees us.
  private func run(
    _ plan: ProbePlan,
    _ map: RelayMap,
    answer: (Endpoint) -> (latency: Duration, seen: Endpoint)?
  ) -> (report: NetcheckReport, took: Duration, sent: [Endpoint]) {
    var run = NetcheckRun(id: 1, plan: plan, at: start)
    var addresses = RelayAddresses()
    var entropy = Entropy(seed: 1)
    var now = start
    var answers: [(at: Instant, response: BindingResponse)] = []
    var sent: [Endpoint] = []
    while run.phase == .stun {
      var effects = Effects()
      run.advance(at: now, map: map, addresses: &addresses, entropy: &entropy, into: &effects)
      for send in effects.sends {
        guard case .direct(let server) = send.destination,
          let request = try? BindingRequest(parsing: send.bytes)
        else { continue }
        sent.append(server)
        guard let (latency, seen) = answer(server) else { continue }
        answers.append(
          (now + latency, BindingResponse(transaction: request.transaction, endpoint: seen))
        )
      }
      guard run.phase == .stun else { break }
      answers.sort { $0.at < $1.at }
      if let first = answers.first, first.at <= run.nextTimeout ?? .distantFuture {
        now = first.at
        let isOurs = run.receive(first.response, at: now)
        #expect(isOurs)
        answers.removeFirst()
      } else {
        now = run.nextTimeout ?? now
        _ = run.takePreview(at: now)
      }
    }
    return (run.report, now - start, sent)
  }

  private let seen = Endpoint(IPAddress(203, 0, 113, 5), port: 5555)

  @Test("The full plan asks each region three times by each family, rotating its relays")
  func fullPlan() {
    var map = map(2, v6: true)
    map.regions[RegionID(3)] = RelayRegion(
      id: RegionID(3),
      nodes: [node(3)],
      noMeasureNoHome: true
    )
    map.regions[RegionID(4)] = RelayRegion(id: RegionID(4), nodes: [node(4)], avoid: true)
    let plan = ProbePlan(full: map, families: [.v4, .v6])
    #expect(
      plan.series.map { "\($0.region)\($0.family)" } == ["1v4", "1v6", "2v4", "2v6", "4v4"]
    )
    for series in plan.series {
      #expect(series.probes.map(\.delay) == [.zero, .milliseconds(100), .milliseconds(200)])
    }
    #expect(plan.series[0].probes.map(\.node.name) == ["1-1", "1-2", "1-1"])
    #expect(ProbePlan(full: map, families: [.v4]).series.allSatisfy { $0.family == .v4 })
  }

  @Test("Relays without STUN or without the family are not asked")
  func unaskable() {
    var silent = node(1)
    silent.stunPort = -1
    var named = node(1, 2)
    (named.ipv4, named.ipv6) = ("", "none")
    #expect(!silent.mayAnswerSTUN(.v4))
    #expect(named.mayAnswerSTUN(.v4) && !named.mayAnswerSTUN(.v6))
    named.hostName = "2001:db8::1"
    named.ipv6 = ""
    #expect(!named.mayAnswerSTUN(.v4) && named.mayAnswerSTUN(.v6))
    named.stunTestIP = "127.0.0.1"
    #expect(named.mayAnswerSTUN(.v4) && !named.mayAnswerSTUN(.v6))
    #expect(named.portForSTUN == 3478)
    named.stunPort = 70_000
    #expect(named.portForSTUN == nil)
  }

  @Test("Later plans ask the three nearest regions and the home")
  func incrementalPlan() {
    var last = NetcheckReport(id: 1, isFull: true)
    for region in 1...6 { last.latency[RegionID(region)] = .milliseconds(10 * region) }
    last.ipv4 = true
    let plan = ProbePlan(
      after: last,
      map: map(6),
      home: RegionID(6),
      families: [.v4]
    )
    #expect(plan.series.map(\.region.rawValue) == [1, 2, 3, 6])
    #expect(plan.series.map(\.probes.count) == [2, 2, 1, 4])
    #expect(plan.series[0].probes.map(\.delay) == [.zero, .milliseconds(12)])
    let home = plan.series[3].probes.map(\.delay)
    #expect(
      home == [.zero, .milliseconds(72), .milliseconds(244), .milliseconds(366)]
    )
    #expect(!plan.isFull)
  }

  @Test("Where IPv6 did not work it is tried once; where both do, the third region uses one")
  func incrementalFamilies() {
    var last = NetcheckReport(id: 1, isFull: true)
    for region in 1...3 { last.latency[RegionID(region)] = .milliseconds(10 * region) }
    last.ipv4 = true
    func plan() -> [String] {
      ProbePlan(after: last, map: map(3, v6: true), home: RegionID(1), families: [.v4, .v6])
        .series.map { "\($0.region)\($0.family)×\($0.probes.count)" }
    }
    #expect(plan() == ["1v4×4", "1v6×1", "2v4×2", "2v6×1", "3v4×1"])
    last.ipv6 = true
    #expect(plan() == ["1v4×4", "1v6×4", "2v4×2", "2v6×2", "3v4×1"])
  }

  @Test("A report tells latencies and where we are seen")
  func report() {
    let map = map(3)
    let result = run(ProbePlan(full: map, families: [.v4]), map) { server in
      let region = Int(server.address.bytes[2])
      return (.milliseconds(20 * region), seen)
    }
    let report = result.report
    #expect(report.udp && report.ipv4 && !report.ipv6 && report.ipv4CanSend)
    #expect(report.globalV4 == seen && report.mappingVariesByDestination == false)
    #expect(report.latency[RegionID(2)] == .milliseconds(40))
    #expect(report.latencyByName["3-v4"] == 0.06)
    // The first answer of a region ends its requests.
    #expect(result.sent.count == 3)
    #expect(result.took <= .milliseconds(200))
  }

  @Test("A NAT that gives another port to each server is recognised")
  func varyingMapping() {
    let map = map(3)
    let result = run(ProbePlan(full: map, families: [.v4]), map) { server in
      (.milliseconds(20), Endpoint(seen.address, port: UInt16(server.address.bytes[2])))
    }
    #expect(result.report.mappingVariesByDestination == true)
    // Endpoints that one server saw are not worth telling, but for the first.
    #expect(result.report.reflexive.count == 1)
  }

  @Test("With one server alone, the mapping stays unknown")
  func oneServer() {
    let map = map(1, nodes: 1)
    let result = run(ProbePlan(full: map, families: [.v4]), map) { _ in (.milliseconds(20), seen) }
    #expect(result.report.mappingVariesByDestination == nil)
    #expect(result.report.globalV4 == seen)
  }

  @Test("Dead regions do not hold up a netcheck once three have answered")
  func stopRule() {
    let map = map(6)
    let result = run(ProbePlan(full: map, families: [.v4]), map) { server in
      server.address.bytes[2] <= 3 ? (.milliseconds(60), seen) : nil
    }
    #expect(result.took == .milliseconds(180))
    #expect(result.report.latency.count == 3)
  }

  @Test("Lost requests are repeated; silence ends after three seconds")
  func silence() {
    let map = map(1)
    var dropped = 0
    let lossy = run(ProbePlan(full: map, families: [.v4]), map) { _ in
      dropped += 1
      return dropped <= 2 ? nil : (.milliseconds(30), seen)
    }
    #expect(lossy.report.udp && lossy.sent.count == 3)
    let silent = run(ProbePlan(full: map, families: [.v4]), map) { _ in nil }
    #expect(!silent.report.udp && silent.took == .seconds(3))
  }

  @Test("Names are looked up once, and the requests follow")
  func names() {
    var map = RelayMap()
    var named = node(1)
    (named.ipv4, named.ipv6) = ("", "")
    map.regions[RegionID(1)] = RelayRegion(id: RegionID(1), nodes: [named])
    var run = NetcheckRun(
      id: 1,
      plan: ProbePlan(full: map, families: [.v4, .v6]),
      at: start
    )
    var addresses = RelayAddresses()
    var entropy = Entropy(seed: 1)
    var effects = Effects()
    run.advance(at: start, map: map, addresses: &addresses, entropy: &entropy, into: &effects)
    #expect(effects.resolutions == ["relay1.example"] && effects.sends.isEmpty)
    addresses.learn("relay1.example", [IPAddress(198, 51, 100, 1)], at: start)
    effects.removeAll()
    run.advance(at: start, map: map, addresses: &addresses, entropy: &entropy, into: &effects)
    #expect(effects.resolutions.isEmpty)
    #expect(
      effects.sends.map(\.destination)
        == [.direct(Endpoint(IPAddress(198, 51, 100, 1), port: 3478))]
    )
  }

  @Test("Without UDP every region is timed over HTTPS")
  func https() {
    let map = map(2)
    var run = NetcheckRun(id: 7, plan: ProbePlan(full: map, families: [.v4]), at: start)
    var addresses = RelayAddresses()
    var entropy = Entropy(seed: 1)
    var effects = Effects()
    for moment in [start, start + .seconds(3)] {
      run.advance(at: moment, map: map, addresses: &addresses, entropy: &entropy, into: &effects)
    }
    #expect(effects.httpsProbes.map(\.region) == [RegionID(1), RegionID(2)])
    #expect(effects.httpsProbes.allSatisfy { $0.netcheck == 7 && $0.timeout == .seconds(2) })
    run.receive(httpsLatency: .milliseconds(80), of: RegionID(1), over: .v4)
    run.receive(httpsLatency: nil, of: RegionID(2), over: .v4)
    run.advance(
      at: start + .seconds(4),
      map: map,
      addresses: &addresses,
      entropy: &entropy,
      into: &effects
    )
    #expect(run.phase == .finished)
    #expect(!run.report.udp && run.report.ipv4)
    #expect(run.report.latency == [RegionID(1): .milliseconds(80)])
    #expect(run.report.latencyV4.isEmpty)
  }

  @Test("Without UDP relays that answer plain HTTP are asked whether a portal stands before them")
  func portal() {
    var map = map(3)
    for region in [1, 3] {
      map.regions[RegionID(region)]?.nodes[0].canPort80 = true
      map.regions[RegionID(region)]?.nodes[0].ipv4 = "192.0.2.\(region)"
    }
    map.regions[RegionID(3)]?.avoid = true
    for (told, expected) in [(true, true), (false, false), (nil, nil)] as [(Bool?, Bool?)] {
      var run = NetcheckRun(id: 7, plan: ProbePlan(full: map, families: [.v4]), at: start)
      var (addresses, entropy, effects) = (RelayAddresses(), Entropy(seed: 1), Effects())
      func advance(_ moment: Instant) {
        run.advance(at: moment, map: map, addresses: &addresses, entropy: &entropy, into: &effects)
      }
      advance(start)
      #expect(effects.portalProbes.isEmpty)
      advance(start + .seconds(3))
      #expect(effects.portalProbes.map { $0.nodes.map(\.regionID) } == [[RegionID(1)]])
      #expect(effects.portalProbes.first?.netcheck == 7)
      for region in [1, 2] {
        run.receive(
          httpsLatency: .milliseconds(9),
          of: RegionID(region),
          over: .v4,
          isByICMP: region == 1
        )
      }
      advance(start + .seconds(3))
      #expect(run.phase != .finished)
      run.receive(isCaptive: told)
      advance(start + .seconds(3))
      #expect(run.phase == .finished)
      #expect(run.report.captivePortal == expected && run.report.icmpV4)
    }
  }

  @Test("An answer about portals that nobody asked for is no news")
  func portalUnasked() {
    var run = NetcheckRun(id: 7, plan: ProbePlan(full: map(2), families: [.v4]), at: start)
    run.receive(isCaptive: true)
    #expect(run.report.captivePortal == nil)
  }

  @Test("HTTPS that hangs ends with the netcheck")
  func httpsTimeout() {
    let map = map(2)
    var run = NetcheckRun(id: 7, plan: ProbePlan(full: map, families: [.v4]), at: start)
    var addresses = RelayAddresses()
    var entropy = Entropy(seed: 1)
    var effects = Effects()
    for seconds in [0, 3, 5] {
      run.advance(
        at: start + .seconds(seconds),
        map: map,
        addresses: &addresses,
        entropy: &entropy,
        into: &effects
      )
    }
    #expect(run.phase == .finished && run.nextTimeout == nil)
  }
}
