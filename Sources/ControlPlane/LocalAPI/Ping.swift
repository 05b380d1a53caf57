// SPDX-License-Identifier: Apache-2.0

/// How a peer is asked whether it is there.
package enum PingKind: String, Hashable, Sendable, CaseIterable {
  /// A discovery message: tells the path.
  case disco
  /// A message inside the tunnel that the peer's node answers.
  case tsmp = "TSMP"
  /// An echo request inside the tunnel that the peer's host answers.
  case icmp = "ICMP"
  /// A request to the peer's API.
  case peerAPI = "peerapi"
}

/// What came of asking a peer.
package struct PingResult: LocalRecord {
  /// The address asked for.
  package var ip = ""
  /// The first address of the peer.
  package var nodeIP = ""
  /// The peer's name.
  package var nodeName = ""
  /// Why there was no answer; empty when there was one.
  package var error = ""
  /// How long the answer took.
  package var latencySeconds = 0.0
  /// The endpoint of the direct path; empty when the answer came otherwise.
  package var endpoint = ""
  /// The peer relay that the answer came over: `address:port:vni`.
  package var peerRelay = ""
  /// The relay region that the answer came over; 0 for none.
  package var derpRegionID = 0
  /// The code of that region.
  package var derpRegionCode = ""
  /// The port of the peer's API.
  package var peerAPIPort = 0
  /// The URL of the peer's API.
  package var peerAPIURL = ""
  /// Whether the address is this node's own.
  package var isLocalIP = false

  /// Nothing came of it yet.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("IP", \.ip), LocalField("NodeIP", \.nodeIP), LocalField("NodeName", \.nodeName),
    LocalField("Err", \.error), LocalField("LatencySeconds", \.latencySeconds),
    LocalField("Endpoint", \.endpoint), LocalField("PeerRelay", \.peerRelay),
    LocalField("DERPRegionID", \.derpRegionID), LocalField("DERPRegionCode", \.derpRegionCode),
    LocalField("PeerAPIPort", \.peerAPIPort, omittedWhenZero: true),
    LocalField("PeerAPIURL", \.peerAPIURL, omittedWhenZero: true),
    LocalField("IsLocalIP", \.isLocalIP, omittedWhenZero: true),
  ]
}
