// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import ControlProtocol
import JSON
import LocalAPI
import Testing
import Timing

@testable import martlet

@Suite("What commands show")
struct TextsTests {
  @Test("A report on the network lists relays by distance, the silent ones last")
  func netcheck() throws {
    var report = NetcheckReport()
    report.now = Timestamp(seconds: 1_700_000_000)
    (report.udp, report.ipv4, report.osHasIPv6) = (true, true, true)
    report.globalV4 = Endpoint(IPAddress(192, 0, 2, 1), port: 41641)
    report.mappingVariesByDestIP = false
    (report.upnp, report.pmp, report.pcp) = (false, true, true)
    report.preferredDERP = 900
    report.regionLatency = [900: .microseconds(1540), 2: .milliseconds(123)]
    let regions = [
      900: DERPRegion(regionID: 900, regionCode: "lab", regionName: "Laboratory"),
      2: DERPRegion(regionID: 2, regionCode: "sf", regionName: "San Francisco"),
      3: DERPRegion(regionID: 3, regionCode: "sin", regionName: "Singapore"),
    ]
    try Goldens.expect(NetcheckText.text(report, regions: regions), equals: "netcheck.txt")
    try Goldens.expect(
      NetcheckText.text(NetcheckReport(), regions: regions),
      equals: "netcheck-nothing.txt"
    )
  }

  @Test("Who is behind an address, by user and by tags")
  func whoIs() throws {
    var answer: WhoIsResponse = try Goldens.record("whois.json")
    answer.node.addresses = [IPPrefix(host: IPAddress(100, 64, 0, 3))]
    answer.node.allowedIPs =
      answer.node.addresses + answer.node.addresses + [IPPrefix.everything(.v4)]
    try Goldens.expect(WhoIsText.text(answer), equals: "whois.txt")
    answer.node.tags = ["tag:a", "tag:b"]
    answer.node.allowedIPs = nil
    answer.capMap = nil
    try Goldens.expect(WhoIsText.text(answer), equals: "whois-tagged.txt")
  }

  @Test("The way of a pong")
  func pong() {
    var result = PingResult()
    (result.nodeName, result.nodeIP) = ("beta", "100.64.0.2")
    (result.latencySeconds, result.derpRegionCode) = (0.0234, "lab")
    #expect(
      PingText.line(result, kind: .disco) == "pong from beta (100.64.0.2) via DERP(lab) in 23ms"
    )
    result.endpoint = "192.0.2.2:41641"
    result.peerAPIPort = 99
    #expect(
      PingText.line(result, kind: .disco)
        == "pong from beta (100.64.0.2, 99) via 192.0.2.2:41641 in 23ms"
    )
    result.latencySeconds = 0.0004
    #expect(PingText.line(result, kind: .tsmp).hasSuffix(" via TSMP in 0s"))
    #expect(PingText.line(result, kind: .icmp).contains(" via ICMP in "))
    result.peerRelay = "192.0.2.9:7:1"
    #expect(PingText.line(result, kind: .disco).contains(" via peer-relay(192.0.2.9:7:1) in "))
  }

  @Test("Settings as a table, as flags, as JSON, and one alone")
  func settings() {
    var preferences = Preferences()
    preferences.hostname = "it's me"
    preferences.routeAll = true
    let chosen = Setting.all.filter { ["hostname", "accept-routes"].contains($0.name) }
    func text(_ json: Bool, _ flags: Bool, _ single: Bool) -> String {
      SettingsText.text(chosen, of: preferences, asJSON: json, asFlags: flags, isSingle: single)
    }
    #expect(
      text(false, false, false)
        == "NAME           VALUE\naccept-routes  true\nhostname       it's me\n"
    )
    #expect(text(false, true, false) == "--accept-routes --hostname='it'\\''s me'\n")
    #expect(
      text(true, false, false) == "{\n  \"accept-routes\": true,\n  \"hostname\": \"it's me\"\n}\n"
    )
    #expect(text(false, false, true) == "true\n")
  }

  @Test("Versions")
  func versions() {
    #expect(VersionText.text(daemon: "9") == "Client: \(Version.long)\nDaemon: 9\n")
    #expect(VersionText.text(daemon: nil).hasPrefix("\(Version.short)\n"))
    let tree = VersionText.json(daemon: "9")
    #expect(tree["daemonLong"]?.string == "9")
    #expect(tree["cap"]?.int == 138)
  }
}
