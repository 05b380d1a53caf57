// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import JSON

/// What the user asked of a node; everything that is remembered between starts but keys.
///
/// All preferences of the original are stored, so that nothing is lost between programs that know
/// more; which of them this node acts upon says `UnservedPreference`.
package struct Preferences: LocalRecord {
  /// The coordination server; empty until the first login names one.
  package var controlURL = ""
  /// Whether routes that peers advertise are used.
  package var routeAll = false
  /// The exit node, by its stable ID.
  package var exitNodeID = ""
  /// The exit node, by address, until the netmap tells its ID.
  package var exitNodeIP: IPAddress?
  /// How an exit node is chosen by itself: empty or `any`.
  package var autoExitNode = ""
  /// The exit node used before; kept by the daemon, not for clients to set.
  package var internalExitNodePrior = ""
  /// Whether the local network stays reachable while an exit node is used.
  package var exitNodeAllowLANAccess = false
  /// Whether the tailnet's DNS settings are applied to this host.
  package var corpDNS = true
  /// Whether the node serves SSH.
  package var runSSH = false
  /// Whether the node serves its web interface to the tailnet.
  package var runWebClient = false
  /// Whether the node should be connected.
  package var wantRunning = false
  /// Whether the user logged out.
  package var loggedOut = false
  /// Whether connections from peers are refused.
  package var shieldsUp = false
  /// The tags asked for at login.
  package var advertiseTags: [String]?
  /// The name asked for; empty for the host's own.
  package var hostname = ""
  /// Whether logs open in a text editor (Windows).
  package var notepadURLs = false
  /// Whether the node runs without a user logged in to the desktop (Windows).
  package var forceDaemon = false
  /// An Easter egg of the original.
  package var egg = false
  /// The prefixes this node offers to route.
  package var advertiseRoutes: [IPPrefix]?
  /// The services this node offers to host.
  package var advertiseServices: [String]?
  /// Whether the netmap is kept up to date; unset means yes.
  package var sync: Bool?
  /// Whether traffic to advertised routes keeps its source address.
  package var noSNAT = false
  /// Whether forwarded traffic is not tracked.
  package var noStatefulFiltering: Bool? = true
  /// How much of the firewall the node manages: 0 nothing, 1 no diverting rules, 2 all.
  package var netfilterMode = 2
  /// The local user who may change preferences besides root.
  package var operatorUser = ""
  /// What the user calls this profile.
  package var profileName = ""
  /// Whether updates are looked for and applied.
  package var autoUpdate = AutoUpdatePreference()
  /// Whether the node is an app connector.
  package var appConnector = AppConnectorPreference()
  /// Whether the node reports facts about its host.
  package var postureChecking = false
  /// Which firewall to use: empty for any, `iptables` or `nftables`.
  package var netfilterKind = ""
  /// Whether an administrator may change preferences from afar.
  package var remoteConfig = false
  /// Shared folders, as they came.
  package var driveShares = JSONValue.null
  /// The UDP port on which the node relays for peers; nil when it does not.
  package var relayServerPort: UInt16?
  /// Endpoints of the peer relay that cannot be discovered.
  package var relayServerStaticEndpoints: [Endpoint] = []
  /// Who the node is to its coordination server; nil before the first login.
  package var config: LoginIdentity?

  /// The preferences of a new profile.
  package init() {}
}

/// Whether updates are looked for and applied.
package struct AutoUpdatePreference: LocalRecord {
  /// Whether to look for updates.
  package var check = true
  /// Whether to apply them; unset leaves it to the administrator.
  package var apply: Bool?

  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("Check", \.check), LocalField("Apply", \.apply),
  ]
}

/// Whether the node is an app connector.
package struct AppConnectorPreference: LocalRecord {
  /// Whether it offers itself as one.
  package var advertise = false

  package init() {}

  package static let fields: LocalFields<Self> = [LocalField("Advertise", \.advertise)]
}
