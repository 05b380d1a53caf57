// SPDX-License-Identifier: Apache-2.0

package import JSON
package import Timing

/// The map of the network, or what changed of it.
///
/// Nil and empty are unchanged unless said otherwise. `Netmap` knows how it is applied.
///
/// - Source: `Documentation/Protocols/control.md`, the map response.
package struct MapResponse: Hashable, Sendable, JSONReadable, JSONWritable {
  /// Names the stream.
  package var mapSessionHandle: String = ""
  /// The number of this message in it.
  package var seq: Int64 = 0
  /// Whether this is a sign of life only.
  package var keepAlive: Bool = false
  /// Something to answer.
  package var pingRequest: PingRequest?
  /// A page to show.
  package var popBrowserURL: String = ""
  /// This node.
  package var node: Node?
  /// The relays.
  package var derpMap: DERPMap?
  /// All peers.
  package var peers: [Node] = []
  /// Peers that are new or have changed.
  package var peersChanged: [Node] = []
  /// Peers that are gone.
  package var peersRemoved: [Int64] = []
  /// Peers that have changed a little.
  package var peersChangedPatch: [PeerChange] = []
  /// Peers that were seen now, or are not known to have been seen.
  package var peerSeenChange: [Int64: Bool] = [:]
  /// Peers that came or went.
  package var onlineChange: [Int64: Bool] = [:]
  /// How names are resolved.
  package var dnsConfig: DNSConfig?
  /// The name of the network.
  package var domain: String = ""
  /// Whether to tell what listens on this host.
  package var collectServices: Bool?
  /// The rules named `base`, in an older form; empty lets nothing in.
  package var packetFilter: [FilterRule]?
  /// Rules by name; nil removes those of the name, `*` with nil removes all first.
  package var packetFilters: [String: [FilterRule]?] = [:]
  /// People to know.
  package var userProfiles: [UserProfile] = []
  /// What is wrong, in an older form; empty for nothing.
  package var health: [String]? = nil
  /// What people should see by name; nil removes one, `*` with nil removes all first.
  package var displayMessages: [String: DisplayMessage?] = [:]
  /// Who may use the SSH server, as raw JSON.
  package var sshPolicy: [UInt8]?
  /// What time it is at the server.
  package var controlTime: Timestamp?
  /// How the tailnet lock stands.
  package var tkaInfo: TKAInfo?
  /// Names the audit log of the network.
  package var domainDataPlaneAuditLogID: String = ""
  /// What to do at once.
  package var debug: MapResponse.Debug?
  /// Where the server may be reached.
  package var controlDialPlan: ControlDialPlan?
  /// Whether there is a newer version.
  package var clientVersion: ClientVersion?
  /// Obsolete.
  package var defaultAutoUpdate: Bool?

  /// One with nothing in it.
  package init() {}

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "MapSessionHandle": mapSessionHandle = try reader.string()
      case "Seq": seq = try reader.int64()
      case "KeepAlive": keepAlive = try reader.bool()
      case "PingRequest": pingRequest = try reader.value()
      case "PopBrowserURL": popBrowserURL = try reader.string()
      case "Node": node = try reader.value()
      case "DERPMap": derpMap = try reader.value()
      case "Peers": peers = try reader.list()
      case "PeersChanged": peersChanged = try reader.list()
      case "PeersRemoved": peersRemoved = try reader.list(of: Int64.self)
      case "PeersChangedPatch": peersChangedPatch = try reader.list()
      case "PeerSeenChange": peerSeenChange = try reader.nodeFlags()
      case "OnlineChange": onlineChange = try reader.nodeFlags()
      case "DNSConfig": dnsConfig = try reader.value()
      case "Domain": domain = try reader.string()
      case "CollectServices": collectServices = try reader.bool()
      case "PacketFilter": packetFilter = try reader.list()
      case "PacketFilters": packetFilters = try reader.packetFilters()
      case "UserProfiles": userProfiles = try reader.list()
      case "Health": health = try reader.list(of: String.self)
      case "DisplayMessages": displayMessages = try reader.displayMessages()
      case "SSHPolicy": sshPolicy = try reader.rawValue()
      case "ControlTime": controlTime = try reader.timestamp()
      case "TKAInfo": tkaInfo = try reader.value()
      case "DomainDataPlaneAuditLogID": domainDataPlaneAuditLogID = try reader.string()
      case "Debug": debug = try reader.value()
      case "ControlDialPlan": controlDialPlan = try reader.value()
      case "ClientVersion": clientVersion = try reader.value()
      case "DefaultAutoUpdate": defaultAutoUpdate = try reader.bool()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("MapSessionHandle", ifNonempty: mapSessionHandle)
      writer.field("Seq", ifNonzero: seq)
      writer.field("KeepAlive", ifTrue: keepAlive)
      writer.field("PingRequest", ifPresent: pingRequest)
      writer.field("PopBrowserURL", ifNonempty: popBrowserURL)
      writer.field("Node", ifPresent: node)
      writer.field("DERPMap", ifPresent: derpMap)
      writer.field("Peers", ifNonempty: peers)
      writer.field("PeersChanged", ifNonempty: peersChanged)
      writer.field("PeersRemoved", ifNonempty: peersRemoved)
      writer.field("PeersChangedPatch", ifNonempty: peersChangedPatch)
      writer.field("PeerSeenChange", flagsIfNonempty: peerSeenChange)
      writer.field("OnlineChange", flagsIfNonempty: onlineChange)
      writer.field("DNSConfig", ifPresent: dnsConfig)
      writer.field("Domain", ifNonempty: domain)
      writer.field("CollectServices", ifPresent: collectServices)
      writer.field("PacketFilter", ifPresent: packetFilter)
      writer.field("PacketFilters", ifNonempty: packetFilters)
      writer.field("UserProfiles", ifNonempty: userProfiles)
      writer.field("Health", ifPresent: health)
      writer.field("DisplayMessages", ifNonempty: displayMessages)
      writer.field("SSHPolicy", rawIfPresent: sshPolicy)
      writer.field("ControlTime", textIfPresent: controlTime)
      writer.field("TKAInfo", ifPresent: tkaInfo)
      writer.field("DomainDataPlaneAuditLogID", ifNonempty: domainDataPlaneAuditLogID)
      writer.field("Debug", ifPresent: debug)
      writer.field("ControlDialPlan", ifPresent: controlDialPlan)
      writer.field("ClientVersion", ifPresent: clientVersion)
      writer.field("DefaultAutoUpdate", ifPresent: defaultAutoUpdate)
    }
  }
}

extension MapResponse {
  /// What a node is to do at once.
  package struct Debug: Hashable, Sendable, JSONReadable, JSONWritable {
    /// To wait.
    package var sleepSeconds: Double = 0
    /// To send no logs.
    package var disableLogTail: Bool = false
    /// To end, with this code.
    package var exit: Int?

    /// One with these facts.
    package init(
      sleepSeconds: Double = 0,
      disableLogTail: Bool = false,
      exit: Int? = nil
    ) {
      self.sleepSeconds = sleepSeconds
      self.disableLogTail = disableLogTail
      self.exit = exit
    }

    /// Reads the JSON object.
    package init(reading reader: inout JSONReader) throws(JSONError) {
      self.init()
      try reader.fields { (member, reader) throws(JSONError) in
        switch member {
        case "SleepSeconds": sleepSeconds = try reader.double()
        case "DisableLogTail": disableLogTail = try reader.bool()
        case "Exit": exit = try reader.int()
        default: try reader.skip()
        }
      }
    }

    /// Writes the JSON object.
    package func write(to writer: inout JSONWriter) {
      writer.object { writer in
        writer.field("SleepSeconds", ifNonzero: sleepSeconds)
        writer.field("DisableLogTail", ifTrue: disableLogTail)
        writer.field("Exit", ifPresent: exit)
      }
    }
  }
}
