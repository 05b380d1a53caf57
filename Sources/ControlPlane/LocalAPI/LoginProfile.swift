// SPDX-License-Identifier: Apache-2.0

package import ControlProtocol
package import Timing

/// One of the logins that a daemon remembers.
package struct LoginProfile: LocalRecord {
  /// Four hex digits; empty until the login is complete.
  package var id = ""
  /// What the user calls it, or who logged in.
  package var name = ""
  /// The network.
  package var networkProfile = NetworkProfile()
  /// The name under which its preferences are kept.
  package var key = ""
  /// The user who logged in.
  package var userProfile = UserProfile()
  /// The stable ID of the node.
  package var nodeID = ""
  /// The user of this machine to whom it belongs (Windows).
  package var localUserID = ""
  /// The coordination server.
  package var controlURL = ""
  /// When it was made.
  package var created: Timestamp?

  /// A login that has not happened yet.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("ID", \.id), LocalField("Name", \.name),
    LocalField("NetworkProfile", \.networkProfile), LocalField("Key", \.key),
    LocalField("UserProfile", \.userProfile), LocalField("NodeID", \.nodeID),
    LocalField("LocalUserID", \.localUserID), LocalField("ControlURL", \.controlURL),
    LocalField("Created", \.created, omittedWhenZero: true),
  ]
}

/// What a login knows of its network while it is not in use.
package struct NetworkProfile: LocalRecord {
  /// The domain of all names in it.
  package var magicDNSName = ""
  /// The domain it belongs to.
  package var domainName = ""
  /// What people call it.
  package var displayName = ""

  /// Nothing.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("MagicDNSName", \.magicDNSName), LocalField("DomainName", \.domainName),
    LocalField("DisplayName", \.displayName),
  ]
}
