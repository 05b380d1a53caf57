// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import JSON
import Keys
import LocalAPI
import Testing
import Timing

@Suite("Status and the rest of what is told")
struct StatusTests {
  @Test("Status is written as the original writes it, and read again")
  func status() throws {
    let status = try sampleStatus()
    try Fixtures.expect(status.text(indentation: "\t") + "\n", equalsGolden: "status.json")
    #expect(try Status(json: status.json) == status)
    #expect(try Status(json: Fixtures.golden("status.json")) == status)
  }

  @Test("A node that knows nothing yet says null where the original does")
  func empty() throws {
    try Fixtures.expect(
      Status().text(indentation: "\t") + "\n",
      equalsGolden: "status-empty.json"
    )
  }

  @Test("Peers are listed by name, then by address")
  func order() throws {
    var status = Status()
    var peers: [NodeKey: PeerStatus] = [:]
    for (index, name) in ["b.", "", "a.", "a."].enumerated() {
      var peer = PeerStatus()
      peer.publicKey = try #require(NodeKey(bytes: [UInt8](repeating: UInt8(index + 1), count: 32)))
      peer.dnsName = name
      peer.tailscaleIPs = [IPAddress(100, 64, 0, UInt8(9 - index))]
      peers[peer.publicKey] = peer
    }
    status.peers = peers
    #expect(
      status.sortedPeers.map { "\($0.dnsName)\($0.tailscaleIPs?.first?.description ?? "")" }
        == ["100.64.0.8", "a.100.64.0.6", "a.100.64.0.7", "b.100.64.0.9"]
    )
  }

  @Test("State names and numbers are those of the original")
  func states() {
    #expect(
      BackendState.allCases.map { "\($0.rawValue)\($0.name)" } == [
        "0NoState", "1InUseOtherUser", "2NeedsLogin", "3NeedsMachineAuth", "4Stopped", "5Starting",
        "6Running",
      ]
    )
    for state in BackendState.allCases { #expect(BackendState(name: state.name) == state) }
    #expect(BackendState(name: "Dancing") == nil)
  }

  @Test("A bus message says null for what did not change")
  func notification() throws {
    var message = Notification()
    message.version = "0.1.0"
    message.state = .running
    message.browseToURL = "http://c/register/x"
    try Fixtures.expect(
      String(decoding: message.json, as: UTF8.self) + "\n",
      equalsGolden: "notification.json"
    )
    #expect(try Notification(json: message.json) == message)
    #expect(!message.isBoring)
    var counters = Notification()
    counters.version = "0.1.0"
    counters.engine = EngineStatus()
    #expect(counters.isBoring)
    let read = try Notification(json: counters.json)
    #expect(read.engine == EngineStatus())
    #expect(read.state == nil)
  }

  @Test("Ping results, profiles, reports and warnings survive being written and read")
  func others() throws {
    var ping = PingResult()
    ping.ip = "100.64.0.2"
    ping.latencySeconds = 0.0123
    ping.derpRegionCode = "nyc"
    #expect(try PingResult(json: ping.json) == ping)

    var profile = LoginProfile()
    profile.id = "1ab3"
    profile.userProfile = UserProfile(id: 3, loginName: "alice@example.com")
    profile.created = Timestamp(seconds: 1_700_000_000)
    #expect(try LoginProfile(json: profile.json) == profile)

    var report = NetcheckReport()
    report.globalV4 = Endpoint(IPAddress(192, 0, 2, 1), port: 41641)
    report.mappingVariesByDestIP = false
    report.regionLatency = [1: .milliseconds(12), 900: .microseconds(1500)]
    #expect(try NetcheckReport(json: report.json) == report)
    #expect(String(decoding: report.json, as: UTF8.self).contains(#""900":1500000"#))

    var health = HealthState()
    health.warnings["a"] = HealthWarning(code: "a", severity: .low, title: "A", text: "a.")
    health.warnings["b"] = HealthWarning(code: "b", severity: .high, title: "B", text: "b.")
    health.warnings["b"]?.primaryAction = HealthAction()
    health.warnings["b"]?.primaryAction?.url = "https://x"
    health.warnings["b"]?.primaryAction?.label = "Look"
    #expect(try HealthState(json: health.json) == health)
    #expect(health.sorted.map(\.code) == ["b", "a"])
    #expect(health.withoutActions.warnings["b"]?.text == "b. Look: https://x")
  }

  @Test("Who is behind an address is written with its node and its owner")
  func whoIs() throws {
    let answer = WhoIsResponse(
      node: Node(id: 3, stableID: "n3", name: "a.tail.example.", user: 1),
      userProfile: UserProfile(id: 1, loginName: "alice@example.com", displayName: "Alice"),
      capMap: ["example.com/cap": [["a": 1]]]
    )
    try Fixtures.expect(answer.text(indentation: "\t") + "\n", equalsGolden: "whois.json")
    #expect(try WhoIsResponse(json: answer.json) == answer)
    #expect(throws: JSONError.self) { try WhoIsResponse(json: Array("{}".utf8)) }
  }

  @Test("Watch masks that contradict themselves are refused")
  func masks() {
    #expect(WatchMask([.rateLimit, .initialNetmap]).objection == nil)
    #expect(WatchMask([.rateLimit, .peerChanges]).objection != nil)
    #expect(WatchMask.inProcessNoDisconnect.objection != nil)
    #expect(WatchMask(rawValue: 1 << 60).objection == nil)
  }

  @Test("Start options never print their key")
  func startOptions() throws {
    let options = try StartOptions(json: Array(#"{"AuthKey":"martlet-auth-1"}"#.utf8))
    #expect(options.authKey == "martlet-auth-1")
    #expect(!"\(options)".contains("martlet-auth-1"))
  }
}

/// A node with two peers: one direct, one asleep.
func sampleStatus() throws -> Status {
  var status = Status()
  status.version = "0.1.0"
  status.tun = true
  status.backendState = BackendState.running.name
  status.haveNodeKey = true
  status.tailscaleIPs = [IPAddress(100, 64, 0, 1)]
  status.magicDNSSuffix = "tail.example"
  status.health = ["One relay does not answer."]
  var tailnet = TailnetStatus()
  tailnet.name = "example.com"
  tailnet.magicDNSSuffix = "tail.example"
  status.currentTailnet = tailnet
  status.users = [1: UserProfile(id: 1, loginName: "alice@example.com", displayName: "Alice")]
  status.selfStatus = try samplePeer(1, name: "alpha")
  status.selfStatus.addrs = ["192.0.2.1:41641"]
  var direct = try samplePeer(2, name: "beta")
  direct.active = true
  direct.curAddr = "192.0.2.2:41641"
  direct.rxBytes = 1200
  direct.txBytes = 3400
  direct.online = true
  direct.lastHandshake = Timestamp(seconds: 1_700_000_100)
  var asleep = try samplePeer(3, name: "gamma")
  asleep.tags = ["tag:server"]
  asleep.lastSeen = Timestamp(seconds: 1_700_000_000)
  asleep.keyExpiry = Timestamp(seconds: 1_800_000_000)
  status.peers = [direct.publicKey: direct, asleep.publicKey: asleep]
  return status
}

private func samplePeer(_ number: UInt8, name: String) throws -> PeerStatus {
  var peer = PeerStatus()
  peer.id = "n\(number)"
  peer.nodeID = Int64(number)
  peer.publicKey = try #require(NodeKey(bytes: [UInt8](repeating: number, count: 32)))
  peer.hostName = name
  peer.dnsName = name + ".tail.example."
  peer.os = "linux"
  peer.userID = 1
  peer.tailscaleIPs = [IPAddress(100, 64, 0, number)]
  peer.allowedIPs = [IPPrefix(host: IPAddress(100, 64, 0, number))]
  peer.relay = "lab"
  peer.inNetworkMap = true
  return peer
}
