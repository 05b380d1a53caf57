// SPDX-License-Identifier: Apache-2.0

import JSON

/// Something that preferences can ask for and that this node does not do yet.
///
/// Such preferences are stored, so that values of another program survive, but asking for one is
/// refused by name: silence would look like success.
package enum UnservedPreference: Hashable, Sendable, CaseIterable {
  case exitNode
  case exitNodeLANAccess
  case ssh
  case webInterface
  case advertisedRoutes
  case advertisedServices
  case sourceNATOff
  case statefulFiltering
  case netfilterMode
  case automaticUpdates
  case appConnector
  case postureChecking
  case netfilterKind
  case remoteConfiguration
  case driveShares
  case syncOff
  case dns

  /// What it is, in the words of a user.
  package var title: String {
    switch self {
    case .exitNode: "using an exit node"
    case .exitNodeLANAccess: "local network access beside an exit node"
    case .ssh: "the SSH server"
    case .webInterface: "the web interface"
    case .advertisedRoutes: "advertising routes"
    case .advertisedServices: "advertising services"
    case .sourceNATOff: "turning source NAT off"
    case .statefulFiltering: "stateful filtering of forwarded traffic"
    case .netfilterMode: "this netfilter mode"
    case .automaticUpdates: "automatic updates"
    case .appConnector: "the app connector"
    case .postureChecking: "device posture reports"
    case .netfilterKind: "choosing the firewall"
    case .remoteConfiguration: "remote configuration"
    case .driveShares: "shared folders"
    case .syncOff: "running without the coordination server's updates"
    case .dns: "using the network's DNS settings"
    }
  }

  /// The sentence with which it is refused.
  package var refusal: String {
    "\(title) is not served yet (\(keys.map(\.rawValue).joined(separator: ", ")))"
  }

  /// The preferences that ask for it.
  package var keys: [PreferenceKey] {
    switch self {
    case .exitNode: [.exitNodeID, .exitNodeIP, .autoExitNode]
    case .exitNodeLANAccess: [.exitNodeAllowLANAccess]
    case .ssh: [.runSSH]
    case .webInterface: [.runWebClient]
    case .advertisedRoutes: [.advertiseRoutes]
    case .advertisedServices: [.advertiseServices]
    case .sourceNATOff: [.noSNAT]
    case .statefulFiltering: [.noStatefulFiltering]
    case .netfilterMode: [.netfilterMode]
    case .automaticUpdates: [.autoUpdate]
    case .appConnector: [.appConnector]
    case .postureChecking: [.postureChecking]
    case .netfilterKind: [.netfilterKind]
    case .remoteConfiguration: [.remoteConfig]
    case .driveShares: [.driveShares]
    case .syncOff: [.sync]
    case .dns: [.corpDNS]
    }
  }

  /// Whether it is asked for.
  ///
  /// The defaults ask for nothing: DNS, which is on by default, is asked for by an edit only.
  package func isAsked(by preferences: Preferences) -> Bool {
    switch self {
    case .exitNode:
      !preferences.exitNodeID.isEmpty || preferences.exitNodeIP != nil
        || !preferences.autoExitNode.isEmpty
    case .exitNodeLANAccess: preferences.exitNodeAllowLANAccess
    case .ssh: preferences.runSSH
    case .webInterface: preferences.runWebClient
    case .advertisedRoutes: preferences.advertiseRoutes?.isEmpty == false
    case .advertisedServices: preferences.advertiseServices?.isEmpty == false
    case .sourceNATOff: preferences.noSNAT
    case .statefulFiltering: preferences.noStatefulFiltering == false
    case .netfilterMode: ![0, 2].contains(preferences.netfilterMode)
    case .automaticUpdates: preferences.autoUpdate.apply == true
    case .appConnector: preferences.appConnector.advertise
    case .postureChecking: preferences.postureChecking
    case .netfilterKind: !preferences.netfilterKind.isEmpty
    case .remoteConfiguration: preferences.remoteConfig
    case .driveShares: preferences.driveShares.array?.isEmpty == false
    case .syncOff: preferences.sync == false
    case .dns: false
    }
  }

  /// The first thing that `wanted` asks for and `current` did not.
  ///
  /// What was stored before stays without complaint.
  package static func first(
    in wanted: Preferences,
    since current: Preferences
  ) -> UnservedPreference? {
    let changed = wanted.differences(from: current)
    return allCases.first { $0.isAsked(by: wanted) && !changed.isDisjoint(with: $0.keys) }
  }

  /// The first thing that an edit asks for: what it changes, or a default that it spells out.
  ///
  /// An edit that also turns the node on is a client's `up`, which states every preference; its
  /// defaults ask for nothing.
  package static func first(
    in edit: MaskedPreferences,
    of current: Preferences
  ) throws(PreferenceError) -> UnservedPreference? {
    let wanted = try current.applying(edit)
    if let changed = first(in: wanted, since: current) { return changed }
    let spellsOut = edit.keys.contains(.corpDNS) && !edit.keys.contains(.wantRunning)
    return spellsOut && wanted.corpDNS ? .dns : nil
  }
}
