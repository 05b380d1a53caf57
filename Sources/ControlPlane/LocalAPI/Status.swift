// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol
package import JSON
package import Keys

/// How a node is doing, and what it knows of its peers.
package struct Status: LocalRecord {
  /// The daemon's long version.
  package var version = ""
  /// Whether packets pass through a network interface of the host.
  package var tun = false
  /// The name of the state; see `BackendState`.
  package var backendState = BackendState.noState.name
  /// Whether there is a node key.
  package var haveNodeKey = false
  /// Where a person must log in; empty when none needs to.
  package var authURL = ""
  /// This node's addresses; nil before there is a netmap.
  package var tailscaleIPs: [IPAddress]?
  /// This node.
  package var selfStatus = PeerStatus()
  /// The exit node in use.
  package var exitNodeStatus: ExitNodeStatus?
  /// What is wrong, a sentence each; nil when nothing is.
  package var health: [String]?
  /// The domain of all names; older clients read it here.
  package var magicDNSSuffix = ""
  /// The network; nil before there is a netmap.
  package var currentTailnet: TailnetStatus?
  /// The names for which certificates may be had.
  package var certDomains: [String]?
  /// Further names.
  package var extraRecords: [ExtraRecord]?
  /// The peers by key; nil when they were not asked for.
  package var peers: [NodeKey: PeerStatus]?
  /// The users who own nodes, by ID.
  package var users: [Int64: UserProfile]?
  /// Whether a newer version is there; nil unless looked for.
  package var clientVersion = JSONValue.null

  /// Nothing known.
  package init() {}

  /// The state as a value; `noState` when the name is unknown.
  package var state: BackendState { BackendState(name: backendState) ?? .noState }

  /// The peers in the order in which they are listed: by name, then by address, then by key.
  package var sortedPeers: [PeerStatus] {
    (peers ?? [:]).values.sorted { left, right in
      if left.dnsName != right.dnsName { return left.dnsName < right.dnsName }
      if left.hostName != right.hostName { return left.hostName < right.hostName }
      switch (left.tailscaleIPs?.first, right.tailscaleIPs?.first) {
      case (let one?, let other?) where one != other: return one < other
      case (nil, _?): return true
      case (_?, nil): return false
      default: return left.publicKey < right.publicKey
      }
    }
  }

  package static let fields: LocalFields<Self> = [
    LocalField("Version", \.version), LocalField("TUN", \.tun),
    LocalField("BackendState", \.backendState),
    LocalField("HaveNodeKey", \.haveNodeKey, omittedWhenZero: true),
    LocalField("AuthURL", \.authURL), LocalField("TailscaleIPs", \.tailscaleIPs),
    LocalField("Self", \.selfStatus),
    LocalField("ExitNodeStatus", \.exitNodeStatus, omittedWhenZero: true),
    LocalField("Health", \.health), LocalField("MagicDNSSuffix", \.magicDNSSuffix),
    LocalField("CurrentTailnet", \.currentTailnet), LocalField("CertDomains", \.certDomains),
    LocalField("ExtraRecords", \.extraRecords), LocalField("Peer", \.peers),
    LocalField("User", \.users), LocalField("ClientVersion", \.clientVersion),
  ]
}

/// The exit node in use.
package struct ExitNodeStatus: LocalRecord {
  /// Its stable ID.
  package var id = ""
  /// Whether the server sees it.
  package var online = false
  /// Its addresses.
  package var tailscaleIPs: [IPPrefix]?

  /// None.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("ID", \.id), LocalField("Online", \.online),
    LocalField("TailscaleIPs", \.tailscaleIPs),
  ]
}

/// The network that a node belongs to.
package struct TailnetStatus: LocalRecord {
  /// What it is called.
  package var name = ""
  /// The domain of all names in it.
  package var magicDNSSuffix = ""
  /// Whether names are resolved.
  package var magicDNSEnabled = false

  /// None.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("Name", \.name), LocalField("MagicDNSSuffix", \.magicDNSSuffix),
    LocalField("MagicDNSEnabled", \.magicDNSEnabled),
  ]
}

/// A name that the network knows besides its nodes.
package struct ExtraRecord: LocalRecord {
  /// The name.
  package var name = ""
  /// The kind of record; empty for an address.
  package var type = ""
  /// What the name stands for.
  package var value = ""

  /// None.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("Name", \.name), LocalField("Type", \.type, omittedWhenZero: true),
    LocalField("Value", \.value),
  ]
}
