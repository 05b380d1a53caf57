// SPDX-License-Identifier: Apache-2.0

import Addressing
import ControlProtocol
import Keys
import LocalAPI
import Testing

@testable import martlet

/// What peers, users, relays and servers call themselves reaches terminals through every verb.
@Suite("Texts that others wrote")
struct HostileTextTests {
  private static let hostile =
    "x\n100.64.0.9  root\r\u{1b}]0;t\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{2028}\u{8}\u{7f}"

  /// A node of whose names, warnings and addresses everything is made of `text`.
  private static func node(_ text: String, isConnected: Bool) -> FakeNode {
    let node = FakeNode()
    if isConnected { node.connect() }
    node.change { state in
      var peer = PeerStatus()
      peer.publicKey = NodeKey(bytes: [UInt8](repeating: 2, count: 32)) ?? .zero
      (peer.hostName, peer.dnsName, peer.os) = (text, text, text)
      peer.tailscaleIPs = [IPAddress(100, 64, 0, 2)]
      peer.relay = text
      state.status.peers = [peer.publicKey: peer]
      state.status.health = [text]
      (state.name, state.refusal) = (text, text)
      state.relays = DERPMap(regions: [
        1: DERPRegion(regionID: 1, regionCode: text, regionName: text)
      ])
    }
    return node
  }

  @Test(
    "No verb lets them move the cursor, change colours, turn text around or fake a line",
    arguments: [
      ["status"], ["status", "--json"], ["whois", "100.64.0.2"], ["whois", "--json", "100.64.0.2"],
      ["ping", "--c=1", "100.64.0.2"], ["ping", "--c=1", hostile], ["ip", hostile], ["netcheck"],
      ["netcheck", "--format=json-line"], ["whois", hostile], ["get"], [hostile],
      ["up", "--auth-key=bad", "--login-server=http://c", "--timeout=60s"],
    ]
  )
  func verbs(arguments: [String]) async throws {
    var lines: [Int] = []
    for text in ["beta", Self.hostile] {
      try await FakeDaemon.serving(Self.node(text, isConnected: arguments[0] != "up")) { daemon in
        let told = await run(arguments, environment: ["MARTLET_SOCKET": daemon.path])
        let shown = told.output + told.errors
        #expect(!shown.isEmpty)
        for scalar in shown.unicodeScalars where scalar != "\n" && scalar != "\t" {
          switch scalar.properties.generalCategory {
          case .control, .lineSeparator, .paragraphSeparator, .format:
            Issue.record("\(arguments): \(scalar.debugDescription) in \(shown.debugDescription)")
          default: break
          }
        }
        lines.append(shown.split(separator: "\n").count)
      }
    }
    // A name that was asked for may mean another answer.
    #expect(arguments.contains(Self.hostile) || lines[0] == lines[1], "\(arguments)")
  }

  @Test("An address to log in at is shown on its line, and nothing beside it")
  func address() async throws {
    let node = FakeNode()
    node.change { state in
      state.status.backendState = "NeedsLogin"
      state.status.authURL = "http://c/" + Self.hostile
    }
    try await FakeDaemon.serving(node) { daemon in
      let told = await daemon.martlet("status")
      #expect(told.output.split(separator: "\n").count == 2)
      #expect(!told.output.unicodeScalars.contains { $0.value < 0x20 && $0 != "\n" })
    }
  }
}
