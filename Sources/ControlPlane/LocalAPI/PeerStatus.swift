// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import JSON
package import Keys
package import Timing

/// One node, as status reports tell it: a peer, or this node itself.
package struct PeerStatus: LocalRecord {
  /// The stable ID.
  package var id = ""
  /// The ID in the netmap.
  package var nodeID: Int64 = 0
  /// The node key.
  package var publicKey = NodeKey.zero
  /// What the host calls itself.
  package var hostName = ""
  /// The full name, with a final dot.
  package var dnsName = ""
  /// The operating system.
  package var os = ""
  /// The user who owns it.
  package var userID: Int64 = 0
  /// The user who shared it.
  package var altSharerUserID: Int64 = 0
  /// Its addresses.
  package var tailscaleIPs: [IPAddress]?
  /// The prefixes it may use as source.
  package var allowedIPs: [IPPrefix]?
  /// Its tags.
  package var tags: [String]?
  /// The routes it is in charge of.
  package var primaryRoutes: [IPPrefix]?
  /// Where it may be reached; nil for peers.
  package var addrs: [String]?
  /// The endpoint of the direct path; empty when there is none.
  package var curAddr = ""
  /// The code of its home relay.
  package var relay = ""
  /// The peer relay in use: `address:port:vni`.
  package var peerRelay = ""
  /// Bytes received from it.
  package var rxBytes: Int64 = 0
  /// Bytes sent to it.
  package var txBytes: Int64 = 0
  /// When it joined.
  package var created = Timestamp.zero
  /// When something was last sent to it.
  package var lastWrite = Timestamp.zero
  /// When the server last saw it.
  package var lastSeen = Timestamp.zero
  /// When the last handshake with it ended.
  package var lastHandshake = Timestamp.zero
  /// Whether the server sees it.
  package var online = false
  /// Whether it is the exit node in use.
  package var exitNode = false
  /// Whether it offers to be an exit node.
  package var exitNodeOption = false
  /// Whether there was traffic with it lately.
  package var active = false
  /// The URLs of its peer API.
  package var peerAPIURL: [String]?
  /// Whether files may be sent to it: a number of the original.
  package var taildropTarget = 0
  /// Why no files may be sent to it.
  package var noFileSharingReason = ""
  /// What the node may do, by name.
  package var capabilities: [String]?
  /// What the node may do, with arguments.
  package var capMap: [String: JSONValue]?
  /// Its SSH host keys.
  package var sshHostKeys: [String]?
  /// Whether it is in the netmap only because something is shared with it.
  package var shareeNode = false
  /// Whether the netmap has it.
  package var inNetworkMap = false
  /// Whether path finding knows it.
  package var inMagicSock = false
  /// Whether the tunnel knows it.
  package var inEngine = false
  /// Whether its key has expired.
  package var expired = false
  /// When its key expires; nil for never.
  package var keyExpiry: Timestamp?
  /// Where it is.
  package var location = JSONValue.null

  /// Nobody.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("ID", \.id), LocalField("NodeID", \.nodeID), LocalField("PublicKey", \.publicKey),
    LocalField("HostName", \.hostName), LocalField("DNSName", \.dnsName), LocalField("OS", \.os),
    LocalField("UserID", \.userID),
    LocalField("AltSharerUserID", \.altSharerUserID, omittedWhenZero: true),
    LocalField("TailscaleIPs", \.tailscaleIPs),
    LocalField("AllowedIPs", \.allowedIPs, omittedWhenZero: true),
    LocalField("Tags", \.tags, omittedWhenZero: true),
    LocalField("PrimaryRoutes", \.primaryRoutes, omittedWhenZero: true),
    LocalField("Addrs", \.addrs), LocalField("CurAddr", \.curAddr), LocalField("Relay", \.relay),
    LocalField("PeerRelay", \.peerRelay), LocalField("RxBytes", \.rxBytes),
    LocalField("TxBytes", \.txBytes), LocalField("Created", \.created),
    LocalField("LastWrite", \.lastWrite), LocalField("LastSeen", \.lastSeen),
    LocalField("LastHandshake", \.lastHandshake), LocalField("Online", \.online),
    LocalField("ExitNode", \.exitNode), LocalField("ExitNodeOption", \.exitNodeOption),
    LocalField("Active", \.active), LocalField("PeerAPIURL", \.peerAPIURL),
    LocalField("TaildropTarget", \.taildropTarget),
    LocalField("NoFileSharingReason", \.noFileSharingReason),
    LocalField("Capabilities", \.capabilities, omittedWhenZero: true),
    LocalField("CapMap", \.capMap, omittedWhenZero: true),
    LocalField("sshHostKeys", \.sshHostKeys, omittedWhenZero: true),
    LocalField("ShareeNode", \.shareeNode, omittedWhenZero: true),
    LocalField("InNetworkMap", \.inNetworkMap), LocalField("InMagicSock", \.inMagicSock),
    LocalField("InEngine", \.inEngine), LocalField("Expired", \.expired, omittedWhenZero: true),
    LocalField("KeyExpiry", \.keyExpiry, omittedWhenZero: true),
    LocalField("Location", \.location, omittedWhenZero: true),
  ]
}
