// SPDX-License-Identifier: Apache-2.0

package import JSON

/// What a node found out about the network it is in.
package struct NetInfo: Hashable, Sendable, JSONReadable, JSONWritable {
  /// Whether its NAT maps each destination differently.
  package var mappingVariesByDestIP: Bool?
  /// Whether IPv6 reaches the internet.
  package var workingIPv6: Bool?
  /// Whether the host has IPv6 at all.
  package var osHasIPv6: Bool?
  /// Whether UDP reaches the internet.
  package var workingUDP: Bool?
  /// Whether ICMP echo over IPv4 works.
  package var workingICMPv4: Bool?
  /// Whether a port is mapped on its router.
  package var havePortMap: Bool = false
  /// Whether its router answers UPnP.
  package var upnp: Bool?
  /// Whether its router answers NAT-PMP.
  package var pmp: Bool?
  /// Whether its router answers PCP.
  package var pcp: Bool?
  /// Its home relay region; 0 for none.
  package var preferredDERP: Int = 0
  /// `wired`, `wifi` or `mobile`.
  package var linkType: String = ""
  /// Seconds to each region, by region and family: `1-v4`.
  package var derpLatency: [String: Double] = [:]
  /// How it speaks with the firewall of its host.
  package var firewallMode: String = ""

  /// One with these facts.
  package init(
    mappingVariesByDestIP: Bool? = nil,
    workingIPv6: Bool? = nil,
    osHasIPv6: Bool? = nil,
    workingUDP: Bool? = nil,
    workingICMPv4: Bool? = nil,
    havePortMap: Bool = false,
    upnp: Bool? = nil,
    pmp: Bool? = nil,
    pcp: Bool? = nil,
    preferredDERP: Int = 0,
    linkType: String = "",
    derpLatency: [String: Double] = [:],
    firewallMode: String = ""
  ) {
    self.mappingVariesByDestIP = mappingVariesByDestIP
    self.workingIPv6 = workingIPv6
    self.osHasIPv6 = osHasIPv6
    self.workingUDP = workingUDP
    self.workingICMPv4 = workingICMPv4
    self.havePortMap = havePortMap
    self.upnp = upnp
    self.pmp = pmp
    self.pcp = pcp
    self.preferredDERP = preferredDERP
    self.linkType = linkType
    self.derpLatency = derpLatency
    self.firewallMode = firewallMode
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "MappingVariesByDestIP": mappingVariesByDestIP = try reader.bool()
      case "WorkingIPv6": workingIPv6 = try reader.bool()
      case "OSHasIPv6": osHasIPv6 = try reader.bool()
      case "WorkingUDP": workingUDP = try reader.bool()
      case "WorkingICMPv4": workingICMPv4 = try reader.bool()
      case "HavePortMap": havePortMap = try reader.bool()
      case "UPnP": upnp = try reader.bool()
      case "PMP": pmp = try reader.bool()
      case "PCP": pcp = try reader.bool()
      case "PreferredDERP": preferredDERP = try reader.int()
      case "LinkType": linkType = try reader.string()
      case "DERPLatency":
        derpLatency = try reader.dictionary { (r) throws(JSONError) in try r.double() }
      case "FirewallMode": firewallMode = try reader.string()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("MappingVariesByDestIP", ifPresent: mappingVariesByDestIP)
      writer.field("WorkingIPv6", ifPresent: workingIPv6)
      writer.field("OSHasIPv6", ifPresent: osHasIPv6)
      writer.field("WorkingUDP", ifPresent: workingUDP)
      writer.field("WorkingICMPv4", ifPresent: workingICMPv4)
      writer.field("HavePortMap", ifTrue: havePortMap)
      writer.field("UPnP", ifPresent: upnp)
      writer.field("PMP", ifPresent: pmp)
      writer.field("PCP", ifPresent: pcp)
      writer.field("PreferredDERP", ifNonzero: preferredDERP)
      writer.field("LinkType", ifNonempty: linkType)
      writer.field("DERPLatency", ifNonempty: derpLatency)
      writer.field("FirewallMode", ifNonempty: firewallMode)
    }
  }
}
