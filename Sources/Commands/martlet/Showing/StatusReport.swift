// SPDX-License-Identifier: Apache-2.0

import Addressing
import CommandLine
import ControlProtocol
import LocalAPI
import Timing

/// A status for people.
struct StatusReport {
  /// The text, with a line end.
  let text: String
  /// Whether the node is connected, or about to be.
  let isConnected: Bool

  /// The report of `status`, told at `now`.
  init(_ status: Status, includesSelf: Bool, withHeader: Bool, now: Timestamp) {
    let health = Self.health(status.health ?? [])
    if let why = Self.whyNotConnected(status) {
      let isMurky = status.state == .noState
      text = (isMurky && !health.isEmpty ? health + "\n" : "") + why + "\n"
      isConnected = false
      return
    }
    var table = Table()
    if withHeader {
      let names = ["IP", "Hostname", "Owner", "OS", "Status"]
      table.add(row: names)
      table.add(row: names.map { String(repeating: "-", count: $0.utf8.count) })
    }
    if includesSelf { table.add(row: Self.row(status.selfStatus, of: status, at: now)) }
    for peer in status.sortedPeers where !peer.shareeNode {
      table.add(row: Self.row(peer, of: status, at: now))
    }
    text = table.text + (health.isEmpty ? "" : "\n" + health)
    isConnected = true
  }

  private static func whyNotConnected(_ status: Status) -> String? {
    switch status.state {
    case .running, .starting: nil
    case .stopped: "Martlet is stopped."
    case .needsLogin:
      "Logged out." + (status.authURL.isEmpty ? "" : "\nLog in at: \(printable(status.authURL))")
    case .needsMachineAuth: "Machine is not yet approved by tailnet admin."
    case .noState, .inUseOtherUser: "unexpected state: \(status.backendState)"
    }
  }

  private static func health(_ warnings: [String]) -> String {
    guard !warnings.isEmpty else { return "" }
    return "# Health check:\n" + warnings.map { "#     - \(printable($0))\n" }.joined()
  }

  private static func row(_ peer: PeerStatus, of status: Status, at now: Timestamp) -> [String] {
    [
      peer.tailscaleIPs?.first?.description ?? "", name(of: peer, in: status),
      owner(of: peer, in: status), peer.os, condition(of: peer, at: now),
    ]
  }

  /// The name without the network's domain, or what the host calls itself, in quotes.
  static func name(of peer: PeerStatus, in status: Status) -> String {
    let full = peer.dnsName.hasSuffix(".") ? String(peer.dnsName.dropLast()) : peer.dnsName
    guard !full.isEmpty else { return "(\"\(peer.hostName)\")" }
    let suffix = "." + (status.currentTailnet?.magicDNSSuffix ?? status.magicDNSSuffix)
    return suffix.utf8.count > 1 && full.hasSuffix(suffix)
      ? String(full.dropLast(suffix.count)) : full
  }

  /// The user up to the `@` and with it.
  private static func owner(of peer: PeerStatus, in status: Status) -> String {
    guard peer.tags?.isEmpty != false else { return "tagged-devices" }
    let number = peer.altSharerUserID != 0 ? peer.altSharerUserID : peer.userID
    guard number != 0 else { return "-" }
    guard let login = status.users?[number]?.loginName, !login.isEmpty else {
      return String(number)
    }
    return login.firstIndex(of: "@").map { String(login[...$0]) } ?? login
  }

  private static func condition(of peer: PeerStatus, at now: Timestamp) -> String {
    let hasTraffic = peer.rxBytes != 0 || peer.txBytes != 0
    let text = peer.active ? path(to: peer) : idleness(of: peer, hasTraffic: hasTraffic, at: now)
    return hasTraffic ? text + ", tx \(peer.txBytes) rx \(peer.rxBytes)" : text
  }

  private static func idleness(
    of peer: PeerStatus,
    hasTraffic: Bool,
    at now: Timestamp
  ) -> String {
    let offline = peer.online ? "" : "offline" + lastSeen(peer, at: now)
    let suffix = offline.isEmpty ? "" : "; " + offline
    if peer.exitNode { return "idle; exit node" + suffix }
    if peer.exitNodeOption { return "idle; offers exit node" + suffix }
    if hasTraffic { return "idle" + suffix }
    return offline.isEmpty ? "-" : offline
  }

  private static func path(to peer: PeerStatus) -> String {
    let role = peer.exitNode ? "exit node; " : peer.exitNodeOption ? "offers exit node; " : ""
    let path =
      !peer.curAddr.isEmpty
      ? "direct \(peer.curAddr)"
      : !peer.peerRelay.isEmpty
        ? "peer-relay \(peer.peerRelay)" : peer.relay.isEmpty ? "" : "relay \"\(peer.relay)\""
    return "active; " + role + path + (peer.online ? "" : "; offline")
  }

  private static func lastSeen(_ peer: PeerStatus, at now: Timestamp) -> String {
    guard !peer.lastSeen.isZero else { return "" }
    let minutes = max(1, (now - peer.lastSeen).components.seconds / 60)
    switch minutes {
    case ..<60: return ", last seen \(minutes)m ago"
    case ..<1440: return ", last seen \(minutes / 60)h ago"
    default: return ", last seen \(minutes / 1440)d ago"
    }
  }
}
