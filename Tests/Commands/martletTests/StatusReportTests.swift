// SPDX-License-Identifier: Apache-2.0

import JSON
import LocalAPI
import Testing
import Timing

@testable import martlet

@Suite("Status for people")
struct StatusReportTests {
  /// Two days and a bit after the peer was seen that is away.
  private let now = Timestamp(seconds: 1_700_200_000)

  private func report(
    _ status: Status,
    includesSelf: Bool = true,
    withHeader: Bool = false
  ) -> StatusReport {
    StatusReport(status, includesSelf: includesSelf, withHeader: withHeader, now: now)
  }

  @Test("A line a machine, and what is wrong below")
  func table() throws {
    let shown = try report(Goldens.status())
    try Goldens.expect(shown.text, equals: "status.txt")
    #expect(shown.isConnected)
    let titled = try report(Goldens.status(), includesSelf: false, withHeader: true)
    try Goldens.expect(titled.text, equals: "status-header.txt")
  }

  /// What differs from a peer that is away.
  struct Difference: Sendable {
    var expected: String
    var change: @Sendable (inout PeerStatus) -> Void

    init(_ expected: String, _ change: @escaping @Sendable (inout PeerStatus) -> Void) {
      (self.expected, self.change) = (expected, change)
    }
  }

  @Test(
    "The path and the state of a peer",
    arguments: [
      Difference("idle; offline, last seen 2d ago, tx 1 rx 0") { $0.txBytes = 1 },
      Difference("idle, tx 0 rx 1") { ($0.rxBytes, $0.online) = (1, true) },
      Difference("-") { $0.online = true },
      Difference("offline") { $0.lastSeen = .zero },
      Difference("offline, last seen 1m ago") {
        $0.lastSeen = Timestamp(seconds: 1_700_199_999)
      },
      Difference("offline, last seen 3h ago") {
        $0.lastSeen = Timestamp(seconds: 1_700_189_000)
      },
      Difference("idle; exit node; offline, last seen 2d ago") { $0.exitNode = true },
      Difference("idle; offers exit node") { ($0.exitNodeOption, $0.online) = (true, true) },
      Difference("active; relay \"lab\"; offline") { $0.active = true },
      Difference("active; direct 192.0.2.2:41641, tx 1 rx 2") {
        ($0.active, $0.online, $0.curAddr) = (true, true, "192.0.2.2:41641")
        ($0.txBytes, $0.rxBytes) = (1, 2)
      },
      Difference("active; exit node; peer-relay 192.0.2.9:7:1") {
        ($0.active, $0.online, $0.exitNode) = (true, true, true)
        $0.peerRelay = "192.0.2.9:7:1"
      },
    ]
  )
  func conditions(difference: Difference) throws {
    var status = try Goldens.status()
    status.health = nil
    var peer = try #require(status.sortedPeers.last)
    difference.change(&peer)
    status.peers = [peer.publicKey: peer]
    let shown = report(status, includesSelf: false).text
    #expect(
      shown == "100.64.0.3  gamma  tagged-devices  linux  \(difference.expected)\n"
    )
  }

  @Test("Names and owners that are not the usual ones")
  func names() throws {
    var status = try Goldens.status()
    status.health = nil
    var peer = try #require(status.sortedPeers.last)
    (peer.tags, peer.online, peer.os) = (nil, true, "")
    for (name, user, expected) in [
      ("", 0, "(\"gamma\")  -       -"), ("other.example.", 1, "other.example  alice@   -"),
      ("gamma.tail.example.", 77, "gamma  77   -"),
    ] as [(String, Int64, String)] {
      (peer.dnsName, peer.userID) = (name, user)
      status.peers = [peer.publicKey: peer]
      let words = report(status, includesSelf: false).text.split(separator: " ")
      #expect(words == ("100.64.0.3  " + expected + "\n").split(separator: " "))
    }
  }

  @Test("A peer's name cannot fake a row or control the terminal")
  func hostileNames() throws {
    var status = try Goldens.status()
    status.health = ["bad\n100.64.0.9  root"]
    var peer = try #require(status.sortedPeers.last)
    (peer.dnsName, peer.hostName, peer.os) = ("", "x\")\n100.64.0.9\u{1b}[31m", "li\u{202e}nux")
    status.peers = [peer.publicKey: peer]
    let shown = report(status, includesSelf: false).text
    #expect(shown.split(separator: "\n").count == 3)
    #expect(!shown.contains("\u{1b}") && !shown.contains("\u{202e}"))
    #expect(shown.hasPrefix("100.64.0.3  (\"x\")?100.64.0.9?[31m\")  "))
  }

  @Test(
    "A node that is not connected says why, and the program ends with 1",
    arguments: [
      ("Stopped", "", "Martlet is stopped.\n"), ("NeedsLogin", "", "Logged out.\n"),
      ("NeedsLogin", "http://c/r/x", "Logged out.\nLog in at: http://c/r/x\n"),
      ("NeedsMachineAuth", "", "Machine is not yet approved by tailnet admin.\n"),
      ("NoState", "", "# Health check:\n#     - The disk is full.\n\nunexpected state: NoState\n"),
    ]
  )
  func away(state: String, url: String, expected: String) async throws {
    var status = Status()
    (status.backendState, status.authURL) = (state, url)
    status.health = ["The disk is full."]
    #expect(report(status).text == expected)
    try await FakeDaemon.serving(FakeNode(status)) { daemon in
      let told = await daemon.martlet("status")
      #expect(told.code == 1)
      #expect(told.output == expected)
      #expect(told.errors == "")
      let json = await daemon.martlet("status", "--json")
      #expect(json.code == 0)
    }
  }

  @Test("JSON is what the daemon says, indented by two spaces, without a final line end")
  func json() async throws {
    let status = try Goldens.status()
    try await FakeDaemon.serving(FakeNode(status)) { daemon in
      let all = await daemon.martlet("status", "--json")
      #expect(all.output == status.text(indentation: "  "))
      let active = await daemon.martlet("status", "-json", "-active")
      let read1 = try Status(json: Array(active.output.utf8))
      #expect(read1.peers?.count == 1)
      let alone = await daemon.martlet("status", "--json", "--peers=false")
      let read2 = try Status(json: Array(alone.output.utf8))
      #expect(read2.peers == nil)
      let rows = await daemon.martlet("status", "--self=false", "--active")
      #expect(rows.output.hasPrefix("100.64.0.2  beta  alice@  linux  active; direct "))
      #expect(!rows.output.contains("gamma"))
    }
  }
}
