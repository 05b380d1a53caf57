// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import JSON
package import Keys
package import Timing

/// A node of the network, as the coordination server tells of it.
///
/// - Source: `Documentation/Protocols/control.md`, nodes.
package struct Node: Hashable, Sendable, JSONReadable, JSONWritable {
  /// Its number, positive and never reused.
  package var id: Int64 = 0
  /// Its other name, stable across servers.
  package var stableID: String = ""
  /// Its full name with the final dot.
  package var name: String = ""
  /// The profile of its owner.
  package var user: Int64 = 0
  /// The profile of who shared it in; 0 for none.
  package var sharer: Int64 = 0
  /// The key of its traffic.
  package var key: NodeKey = .zero
  /// When its key ends; nil for never.
  package var keyExpiry: Timestamp?
  /// The tailnet lock's signature of its key.
  package var keySignature: [UInt8] = []
  /// The machine it runs on.
  package var machine: MachineKey = .zero
  /// The key of its discovery messages.
  package var discoKey: DiscoKey = .zero
  /// Its own addresses, each a prefix of one.
  package var addresses: [IPPrefix] = []
  /// What it may send from; nil for its addresses.
  package var allowedIPs: [IPPrefix]?
  /// Where it may be reached directly.
  package var endpoints: [Endpoint] = []
  /// The older spelling of its home relay: `127.3.3.40:region`.
  package var legacyDERP: String = ""
  /// Its home relay region; 0 for none or the older spelling.
  package var homeDERP: Int = 0
  /// What it tells of itself.
  package var hostinfo: Hostinfo?
  /// When it was added.
  package var created: Timestamp?
  /// The version of the protocol that it speaks.
  package var cap: Int = 0
  /// The roles it plays.
  package var tags: [String] = []
  /// The routes for which it is the chosen router.
  package var primaryRoutes: [IPPrefix] = []
  /// When it was last connected; not kept up while it is.
  package var lastSeen: Timestamp?
  /// Whether it is connected; nil when unknown.
  package var online: Bool?
  /// Whether its machine was let in.
  package var machineAuthorized: Bool = false
  /// The older form of `capMap`, without values.
  package var capabilities: [String] = []
  /// Its capabilities with their values, each raw JSON.
  package var capMap: [String: [[UInt8]]] = [:]
  /// Whether it is unsigned and serves its peer API only.
  package var unsignedPeerAPIOnly: Bool = false
  /// A name for people.
  package var computedName: String = ""
  /// The same with the name of the host.
  package var computedNameWithHost: String = ""
  /// Names its audit log.
  package var dataPlaneAuditLogID: String = ""
  /// Whether its key has ended.
  package var expired: Bool = false
  /// The IPv4 address that this peer sees of us.
  package var selfNodeV4MasqAddrForThisPeer: IPAddress?
  /// The IPv6 address that this peer sees of us.
  package var selfNodeV6MasqAddrForThisPeer: IPAddress?
  /// Whether it is a plain WireGuard peer.
  package var isWireGuardOnly: Bool = false
  /// Whether it may not begin to speak with us.
  package var isJailed: Bool = false
  /// The resolvers to use with it as exit node.
  package var exitNodeDNSResolvers: [Resolver] = []

  /// One with these facts.
  package init(
    id: Int64 = 0,
    stableID: String = "",
    name: String = "",
    user: Int64 = 0,
    sharer: Int64 = 0,
    key: NodeKey = .zero,
    keyExpiry: Timestamp? = nil,
    keySignature: [UInt8] = [],
    machine: MachineKey = .zero,
    discoKey: DiscoKey = .zero,
    addresses: [IPPrefix] = [],
    allowedIPs: [IPPrefix]? = nil,
    endpoints: [Endpoint] = [],
    legacyDERP: String = "",
    homeDERP: Int = 0,
    hostinfo: Hostinfo? = nil,
    created: Timestamp? = nil,
    cap: Int = 0,
    tags: [String] = [],
    primaryRoutes: [IPPrefix] = [],
    lastSeen: Timestamp? = nil,
    online: Bool? = nil,
    machineAuthorized: Bool = false,
    capabilities: [String] = [],
    capMap: [String: [[UInt8]]] = [:],
    unsignedPeerAPIOnly: Bool = false,
    computedName: String = "",
    computedNameWithHost: String = "",
    dataPlaneAuditLogID: String = "",
    expired: Bool = false,
    selfNodeV4MasqAddrForThisPeer: IPAddress? = nil,
    selfNodeV6MasqAddrForThisPeer: IPAddress? = nil,
    isWireGuardOnly: Bool = false,
    isJailed: Bool = false,
    exitNodeDNSResolvers: [Resolver] = []
  ) {
    self.id = id
    self.stableID = stableID
    self.name = name
    self.user = user
    self.sharer = sharer
    self.key = key
    self.keyExpiry = keyExpiry
    self.keySignature = keySignature
    self.machine = machine
    self.discoKey = discoKey
    self.addresses = addresses
    self.allowedIPs = allowedIPs
    self.endpoints = endpoints
    self.legacyDERP = legacyDERP
    self.homeDERP = homeDERP
    self.hostinfo = hostinfo
    self.created = created
    self.cap = cap
    self.tags = tags
    self.primaryRoutes = primaryRoutes
    self.lastSeen = lastSeen
    self.online = online
    self.machineAuthorized = machineAuthorized
    self.capabilities = capabilities
    self.capMap = capMap
    self.unsignedPeerAPIOnly = unsignedPeerAPIOnly
    self.computedName = computedName
    self.computedNameWithHost = computedNameWithHost
    self.dataPlaneAuditLogID = dataPlaneAuditLogID
    self.expired = expired
    self.selfNodeV4MasqAddrForThisPeer = selfNodeV4MasqAddrForThisPeer
    self.selfNodeV6MasqAddrForThisPeer = selfNodeV6MasqAddrForThisPeer
    self.isWireGuardOnly = isWireGuardOnly
    self.isJailed = isJailed
    self.exitNodeDNSResolvers = exitNodeDNSResolvers
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "ID": id = try reader.int64()
      case "StableID": stableID = try reader.string()
      case "Name": name = try reader.string()
      case "User": user = try reader.int64()
      case "Sharer": sharer = try reader.int64()
      case "Key": key = try reader.key()
      case "KeyExpiry": keyExpiry = try reader.timestamp()
      case "KeySignature": keySignature = try reader.base64()
      case "Machine": machine = try reader.key()
      case "DiscoKey": discoKey = try reader.key()
      case "Addresses": addresses = try reader.prefixes()
      case "AllowedIPs": allowedIPs = try reader.prefixes()
      case "Endpoints": endpoints = try reader.endpoints()
      case "DERP": legacyDERP = try reader.string()
      case "HomeDERP": homeDERP = try reader.int()
      case "Hostinfo": hostinfo = try reader.value()
      case "Created": created = try reader.timestamp()
      case "Cap": cap = try reader.int()
      case "Tags": tags = try reader.list(of: String.self)
      case "PrimaryRoutes": primaryRoutes = try reader.prefixes()
      case "LastSeen": lastSeen = try reader.timestamp()
      case "Online": online = try reader.bool()
      case "MachineAuthorized": machineAuthorized = try reader.bool()
      case "Capabilities": capabilities = try reader.list(of: String.self)
      case "CapMap": capMap = try reader.capabilityMap()
      case "UnsignedPeerAPIOnly": unsignedPeerAPIOnly = try reader.bool()
      case "ComputedName": computedName = try reader.string()
      case "ComputedNameWithHost": computedNameWithHost = try reader.string()
      case "DataPlaneAuditLogID": dataPlaneAuditLogID = try reader.string()
      case "Expired": expired = try reader.bool()
      case "SelfNodeV4MasqAddrForThisPeer": selfNodeV4MasqAddrForThisPeer = try reader.address()
      case "SelfNodeV6MasqAddrForThisPeer": selfNodeV6MasqAddrForThisPeer = try reader.address()
      case "IsWireGuardOnly": isWireGuardOnly = try reader.bool()
      case "IsJailed": isJailed = try reader.bool()
      case "ExitNodeDNSResolvers": exitNodeDNSResolvers = try reader.list()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("ID", id)
      writer.field("StableID", stableID)
      writer.field("Name", name)
      writer.field("User", user)
      writer.field("Sharer", ifNonzero: sharer)
      writer.field("Key", text: key)
      writer.field("KeyExpiry", textIfPresent: keyExpiry)
      writer.field("KeySignature", base64IfNonempty: keySignature)
      writer.field("Machine", textIfSet: machine)
      writer.field("DiscoKey", textIfSet: discoKey)
      writer.field("Addresses", texts: addresses)
      writer.field("AllowedIPs", textsIfPresent: allowedIPs)
      writer.field("Endpoints", textsIfNonempty: endpoints)
      writer.field("DERP", ifNonempty: legacyDERP)
      writer.field("HomeDERP", ifNonzero: homeDERP)
      writer.field("Hostinfo", ifPresent: hostinfo)
      writer.field("Created", textIfPresent: created)
      writer.field("Cap", ifNonzero: cap)
      writer.field("Tags", ifNonempty: tags)
      writer.field("PrimaryRoutes", textsIfNonempty: primaryRoutes)
      writer.field("LastSeen", textIfPresent: lastSeen)
      writer.field("Online", ifPresent: online)
      writer.field("MachineAuthorized", ifTrue: machineAuthorized)
      writer.field("Capabilities", ifNonempty: capabilities)
      writer.field("CapMap", capabilitiesIfNonempty: capMap)
      writer.field("UnsignedPeerAPIOnly", ifTrue: unsignedPeerAPIOnly)
      writer.field("ComputedName", ifNonempty: computedName)
      writer.field("ComputedNameWithHost", ifNonempty: computedNameWithHost)
      writer.field("DataPlaneAuditLogID", ifNonempty: dataPlaneAuditLogID)
      writer.field("Expired", ifTrue: expired)
      writer.field("SelfNodeV4MasqAddrForThisPeer", textIfPresent: selfNodeV4MasqAddrForThisPeer)
      writer.field("SelfNodeV6MasqAddrForThisPeer", textIfPresent: selfNodeV6MasqAddrForThisPeer)
      writer.field("IsWireGuardOnly", ifTrue: isWireGuardOnly)
      writer.field("IsJailed", ifTrue: isJailed)
      writer.field("ExitNodeDNSResolvers", ifNonempty: exitNodeDNSResolvers)
    }
  }
}
