// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import ControlProtocol
package import Keys
package import Timing

/// What the server knows of a node, however it is connected.
package struct NodeRecord: Hashable, Sendable {
  /// Who a node belongs to: one or the other, never both.
  package enum Owner: Hashable, Sendable {
    /// A person's node.
    case user(UserID)
    /// A node that plays roles; at least one.
    case tags([String])
  }

  /// How a node came in.
  package enum Method: Hashable, Sendable {
    /// By a pre-authentication key.
    case authKey(PreAuthKeyID)
    /// By an administrator's approval.
    case approval
    /// Written in by an administrator; it never speaks to us.
    case administrator
    /// By a login with an identity provider.
    case login
  }

  /// Its number.
  package let id: NodeID
  /// Its other name for clients, which no two servers give alike.
  package let stableID: String
  /// The machine it lives on; one machine may have several nodes.
  package var machineKey: MachineKey
  /// The key that encrypts its traffic; belongs to one machine only.
  package var nodeKey: NodeKey
  /// The key that signs its discovery messages; zero until it tells.
  package var discoKey: DiscoKey
  /// Who it belongs to.
  package var owner: Owner
  /// How it came in.
  package var method: Method
  /// The name it is known by, unique in its network.
  package var name: String
  /// Whether an administrator chose the name; then the host name no longer changes it.
  package var isNameChosen: Bool
  /// Its overlay addresses, IPv4 first; its own as long as it exists.
  package let addresses: [IPAddress]
  /// What it tells of itself.
  package var hostinfo: Hostinfo
  /// Where it may be reached directly.
  package var endpoints: [Endpoint]
  /// What kind of endpoint each is, in the same order.
  package var endpointTypes: [Int]
  /// What version of the control protocol it speaks.
  package var capabilityVersion: Int
  /// Whether it is forgotten when it has been away for a while.
  package var isEphemeral: Bool
  /// Whether it is a plain WireGuard peer.
  package var isWireGuardOnly: Bool
  /// When it came in.
  package let created: Timestamp
  /// When its key ends; none when it does not.
  package var expiry: Timestamp?
  /// When it was last connected; none when it never was.
  package var lastSeen: Timestamp?
  /// The routes that it may serve when it offers them, approved by an administrator or the policy.
  package var approvedRoutes: [IPPrefix]
  /// Whether it may talk to anybody; where nodes need approval, only after it.
  package var isAuthorized: Bool
  /// What is known of its posture from outside, by names such as `custom:tier`.
  package var attributes: [String: NodeAttribute]

  /// A node with all its facts.
  package init(
    id: NodeID,
    stableID: String,
    machineKey: MachineKey,
    nodeKey: NodeKey,
    discoKey: DiscoKey = .zero,
    owner: Owner,
    method: Method,
    name: String,
    isNameChosen: Bool = false,
    addresses: [IPAddress],
    hostinfo: Hostinfo = Hostinfo(),
    endpoints: [Endpoint] = [],
    endpointTypes: [Int] = [],
    capabilityVersion: Int = 0,
    isEphemeral: Bool = false,
    isWireGuardOnly: Bool = false,
    created: Timestamp,
    expiry: Timestamp? = nil,
    lastSeen: Timestamp? = nil,
    approvedRoutes: [IPPrefix] = [],
    isAuthorized: Bool = true,
    attributes: [String: NodeAttribute] = [:]
  ) {
    self.id = id
    self.stableID = stableID
    self.machineKey = machineKey
    self.nodeKey = nodeKey
    self.discoKey = discoKey
    self.owner = owner
    self.method = method
    self.name = name
    self.isNameChosen = isNameChosen
    self.addresses = addresses
    self.hostinfo = hostinfo
    self.endpoints = endpoints
    self.endpointTypes = endpointTypes
    self.capabilityVersion = capabilityVersion
    self.isEphemeral = isEphemeral
    self.isWireGuardOnly = isWireGuardOnly
    self.created = created
    self.expiry = expiry
    self.lastSeen = lastSeen
    self.approvedRoutes = approvedRoutes
    self.isAuthorized = isAuthorized
    self.attributes = attributes
  }

  /// The user it belongs to; none when it is tagged.
  package var user: UserID? {
    if case .user(let id) = owner { id } else { nil }
  }

  /// Its tags; none when it belongs to a user.
  package var tags: [String] {
    if case .tags(let tags) = owner { tags } else { [] }
  }

  /// The user that clients see as its owner.
  package var shownUser: UserID { user ?? .taggedDevices }

  /// Whether its key has ended at `time`.
  package func isExpired(at time: Timestamp) -> Bool { expiry.map { $0 <= time } ?? false }

  /// Whether it may talk to others at `time`.
  package func mayTalk(at time: Timestamp) -> Bool { isAuthorized && !isExpired(at: time) }
}

extension NodeRecord {
  /// Whether a policy says the same of it as of `other`.
  func isSameToPolicy(as other: NodeRecord) -> Bool {
    owner == other.owner && name == other.name && addresses == other.addresses
      && approvedRoutes == other.approvedRoutes
      && hostinfo.routableIPs == other.hostinfo.routableIPs
      && hostinfo.os == other.hostinfo.os && hostinfo.osVersion == other.hostinfo.osVersion
      && hostinfo.ipnVersion == other.hostinfo.ipnVersion
      && hostinfo.allowsUpdate == other.hostinfo.allowsUpdate
      && hostinfo.stateEncrypted == other.hostinfo.stateEncrypted
      && isAuthorized == other.isAuthorized && attributes == other.attributes
  }
}
