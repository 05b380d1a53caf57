// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import ControlSession
import JSON
import Keys
import TestSupport
import Testing
import Timing

/// A report of a host of that name.
func report(_ name: String = "host", endpoints: [String] = []) -> NodeReport {
  NodeReport(
    nodeKey: key(1),
    discoKey: discoKey(2),
    hostinfo: hostinfo(name),
    endpoints: endpoints.map { ReportedEndpoint(sure(Endpoint($0)), .local) }
  )
}

@Suite("What a node tells of itself")
struct NodeReportTests {
  @Test("The streaming request is that of a real client, but for the facts")
  func stream() throws {
    let sample = try MapRequest(json: Fixture.bytes("Samples/maprequest-tailscaled.json"))
    let hostinfo = try #require(sample.hostinfo)
    let report = NodeReport(
      nodeKey: sample.nodeKey,
      discoKey: sample.discoKey,
      hostinfo: hostinfo
    )
    var request = report.streamRequest()
    #expect(request.version == CapabilityVersion.current)
    request.version = sample.version
    #expect(request == sample)
  }

  @Test("A stream may be plain, and may go on from an earlier one")
  func resume() {
    let request = report().streamRequest(
      compressed: false,
      resuming: MapResumption(handle: "h", sequence: 9)
    )
    #expect(request.stream && request.keepAlive && request.compress == "" && !request.omitPeers)
    #expect(request.mapSessionHandle == "h" && request.mapSessionSeq == 9)
  }

  @Test("An update carries endpoints and their kinds, and wants no map")
  func update() throws {
    var report = report()
    report.endpoints = [
      ReportedEndpoint(sure(Endpoint("192.0.2.1:41641")), .stun),
      ReportedEndpoint(sure(Endpoint("[2001:db8::1]:41641")), .local),
    ]
    report.tkaHead = "HEAD"
    report.debugFlags = ["warn-ip-forwarding-off"]
    let json = try JSONValue(parsing: report.updateRequest().json)
    #expect(json["Endpoints"] == ["192.0.2.1:41641", "[2001:db8::1]:41641"])
    #expect(json["EndpointTypes"] == [2, 1])
    #expect(json["OmitPeers"] == true && json["Stream"] != true)
    #expect(json["TKAHead"] == "HEAD" && json["DebugFlags"] == ["warn-ip-forwarding-off"])
    #expect(json["Compress"] == "zstd" && json["KeepAlive"] == true)
    #expect(json["DiscoKey"]?.string == discoKey(2).description)
  }

  @Test("The map can be asked for once")
  func fetch() {
    let request = report().fetchRequest(compressed: false)
    #expect(!request.stream && !request.omitPeers && request.compress == "")
  }

  @Test("Latencies and the order of endpoints are no news; anything else is")
  func news() {
    let one = report(endpoints: ["192.0.2.1:1", "192.0.2.2:1"])
    var other = report(endpoints: ["192.0.2.2:1", "192.0.2.1:1"])
    #expect(one.saysTheSame(as: other))
    other.hostinfo.netInfo = NetInfo(preferredDERP: 1, derpLatency: ["1-v4": 0.1])
    #expect(!one.saysTheSame(as: other))
    var third = other
    third.hostinfo.netInfo?.derpLatency = ["1-v4": 0.2]
    #expect(third.saysTheSame(as: other))
    third.hostinfo.netInfo?.preferredDERP = 2
    #expect(!third.saysTheSame(as: other))
    var kinds = one
    kinds.endpoints[0].kind = .stun
    #expect(!kinds.saysTheSame(as: one))
    #expect(!report("a").saysTheSame(as: report("b")))
  }
}

@Suite("When the server is told")
struct ReportThrottleTests {
  static let spacing = ReportThrottle.spacing

  @Test("The first report goes at once, and the same is not told again")
  func first() {
    var throttle = ReportThrottle()
    #expect(throttle.deadline == nil)
    let nothing = throttle.next(at: start)
    #expect(nothing == nil)
    throttle.submit(report())
    let sent = throttle.next(at: start)
    #expect(sent == report())
    throttle.submit(report())
    throttle.succeed()
    throttle.submit(report())
    #expect(throttle.deadline == nil)
    let again = throttle.next(at: start + .seconds(9))
    #expect(again == nil && throttle.superseded == 0)
  }

  @Test("One report is on its way at a time, and only the newest waits")
  func coalescing() {
    var throttle = ReportThrottle()
    throttle.submit(report("a"))
    _ = throttle.next(at: start)
    for name in ["b", "c", "d"] { throttle.submit(report(name)) }
    #expect(throttle.deadline == nil && throttle.superseded == 2)
    let busy = throttle.next(at: start + .seconds(9))
    #expect(busy == nil)
    throttle.succeed()
    let next = throttle.next(at: start + .seconds(9))
    #expect(next == report("d"))
  }

  @Test("What goes back to what is being told need not be told")
  func flap() {
    var throttle = ReportThrottle()
    throttle.submit(report("a"))
    _ = throttle.next(at: start)
    throttle.submit(report("b"))
    throttle.submit(report("a"))
    throttle.succeed()
    #expect(throttle.deadline == nil)
  }

  @Test("Two reports keep a distance")
  func spacing() {
    var throttle = ReportThrottle()
    throttle.submit(report("a"))
    _ = throttle.next(at: start)
    throttle.succeed()
    throttle.submit(report("b"))
    #expect(throttle.deadline == start + Self.spacing)
    let early = throttle.next(at: start + Self.spacing - .nanoseconds(1))
    #expect(early == nil)
    let due = throttle.next(at: start + Self.spacing)
    #expect(due == report("b"))
  }

  @Test("A report that did not arrive is sent again, later and later, unless there is a newer one")
  func failure() {
    var generator = SplitMix(state: 1)
    var throttle = ReportThrottle()
    throttle.submit(report("a"))
    var now = start
    var waits: [Duration] = []
    for _ in 0..<80 {
      let sent = throttle.next(at: now)
      #expect(sent == report("a"))
      throttle.fail(at: now, using: &generator)
      let deadline = sure(throttle.deadline)
      waits.append(deadline - now)
      now = deadline
    }
    #expect(waits.allSatisfy { $0 >= Self.spacing && $0 < .seconds(45) })
    #expect(waits.suffix(10).allSatisfy { $0 >= .seconds(15) })
    _ = throttle.next(at: now)
    throttle.submit(report("b"))
    throttle.fail(at: now, using: &generator)
    let newer = throttle.next(at: sure(throttle.deadline))
    #expect(newer == report("b"))
  }

  @Test("After a failure nothing is taken for known")
  func doubt() {
    var generator = SplitMix(state: 1)
    var throttle = ReportThrottle()
    throttle.submit(report("a"))
    _ = throttle.next(at: start)
    throttle.succeed()
    throttle.submit(report("b"))
    _ = throttle.next(at: start + .seconds(1))
    throttle.fail(at: start + .seconds(1), using: &generator)
    throttle.submit(report("a"))
    let sent = throttle.next(at: start + .seconds(9))
    #expect(sent == report("a"), "the server may have heard of b")
  }

  @Test("A new stream is told everything at once, once more")
  func restart() {
    var generator = SplitMix(state: 1)
    var throttle = ReportThrottle()
    throttle.restart()
    #expect(throttle.deadline == nil)
    throttle.submit(report("a"))
    _ = throttle.next(at: start)
    throttle.succeed()
    throttle.restart()
    let again = throttle.next(at: start)
    #expect(again == report("a"))
    throttle.restart()
    let lost = throttle.next(at: start)
    #expect(lost == report("a"), "what was on its way went down with the connection")
    throttle.submit(report("b"))
    throttle.restart()
    let newest = throttle.next(at: start)
    #expect(newest == report("b"))
    throttle.succeed()
    throttle.fail(at: start, using: &generator)
    throttle.succeed()
    #expect(throttle.deadline == nil, "answers to what was not sent mean nothing")
  }
}
