// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
package import JSON
package import Keys
package import Timing

/// One message on the bus: what changed.
///
/// Members that did not are nil.
package struct Notification: LocalRecord {
  /// The daemon's long version.
  package var version = ""
  /// The watcher's session, in the first message only.
  package var sessionID = ""
  /// Something went wrong that the user must know.
  package var errorMessage: String?
  /// Set when a login has just succeeded.
  package var loginFinished: Empty?
  /// The state: the raw value of a `BackendState`.
  package var stateValue: Int?
  /// The preferences.
  package var preferences: Preferences?
  /// This node.
  package var selfChange: Node?
  /// A full status, in the first message only.
  package var initialStatus: Status?
  /// The netmap, as the original writes it.
  package var netmap = JSONValue.null
  /// Peers that changed, as patches of the control protocol.
  package var peersChangedPatch: [JSONValue]?
  /// Peers that changed, each whole.
  package var peersChanged: [Node]?
  /// Peers that are gone, by ID.
  package var peersRemoved: [Int64]?
  /// Users that became known.
  package var userProfiles: [Int64: UserProfile]?
  /// Traffic counters.
  package var engine: EngineStatus?
  /// Where a person must log in.
  package var browseToURL: String?
  /// The shared folders; always written.
  package var driveShares = JSONValue.null
  /// What is wrong.
  package var health: HealthState?

  /// Nothing changed.
  package init() {}

  /// The state as a value.
  package var state: BackendState? {
    get { stateValue.flatMap(BackendState.init(rawValue:)) }
    set { stateValue = newValue?.rawValue }
  }

  /// Whether only counters or the netmap changed, which may wait.
  package var isBoring: Bool {
    var rest = self
    rest.version = ""
    rest.netmap = .null
    rest.engine = nil
    return rest.saysNothing
  }

  package static let fields: LocalFields<Self> = [
    LocalField("Version", \.version), LocalField("SessionID", \.sessionID, omittedWhenZero: true),
    LocalField("ErrMessage", \.errorMessage), LocalField("LoginFinished", \.loginFinished),
    LocalField("State", \.stateValue), LocalField("Prefs", \.preferences),
    LocalField("SelfChange", \.selfChange, omittedWhenZero: true),
    LocalField("InitialStatus", \.initialStatus, omittedWhenZero: true),
    LocalField("NetMap", \.netmap),
    LocalField("PeerChangedPatch", \.peersChangedPatch, omittedWhenZero: true),
    LocalField("PeersChanged", \.peersChanged, omittedWhenZero: true),
    LocalField("PeersRemoved", \.peersRemoved, omittedWhenZero: true),
    LocalField("UserProfiles", \.userProfiles, omittedWhenZero: true),
    LocalField("Engine", \.engine), LocalField("BrowseToURL", \.browseToURL),
    LocalField("DriveShares", \.driveShares),
    LocalField("Health", \.health, omittedWhenZero: true),
  ]
}

/// An object without members, where being there says it all.
package struct Empty: LocalRecord {
  package init() {}

  package static let fields: LocalFields<Self> = []
}

/// Traffic counters.
package struct EngineStatus: LocalRecord {
  /// Bytes received.
  package var receivedBytes: Int64 = 0
  /// Bytes sent.
  package var sentBytes: Int64 = 0
  /// How many peers have a session.
  package var livePeerCount = 0
  /// How many relays are connected.
  package var liveRelayCount = 0
  /// The peers with a session.
  package var livePeers: [NodeKey: LivePeer] = [:]

  /// Nothing yet.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("RBytes", \.receivedBytes), LocalField("WBytes", \.sentBytes),
    LocalField("NumLive", \.livePeerCount), LocalField("LiveDERPs", \.liveRelayCount),
    LocalField("LivePeers", \.livePeers),
  ]
}

/// The counters of one peer.
package struct LivePeer: LocalRecord {
  /// The peer.
  package var nodeKey = NodeKey.zero
  /// Bytes sent to it.
  package var sentBytes: Int64 = 0
  /// Bytes received from it.
  package var receivedBytes: Int64 = 0
  /// When the last handshake with it ended.
  package var lastHandshake = Timestamp.zero

  /// Nobody.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("NodeKey", \.nodeKey), LocalField("TxBytes", \.sentBytes),
    LocalField("RxBytes", \.receivedBytes), LocalField("LastHandshake", \.lastHandshake),
  ]
}
