// SPDX-License-Identifier: Apache-2.0

package import JSON

/// The relays, as the coordination server tells of them.
package struct DERPMap: Hashable, Sendable, JSONReadable, JSONWritable {
  /// How a home is chosen; nil for unchanged.
  package var homeParams: DERPHomeParams?
  /// The regions by number; nil for unchanged.
  package var regions: [Int: DERPRegion]? = nil
  /// Whether other regions that are known are to be forgotten.
  package var omitDefaultRegions: Bool = false

  /// One with these facts.
  package init(
    homeParams: DERPHomeParams? = nil,
    regions: [Int: DERPRegion]? = nil,
    omitDefaultRegions: Bool = false
  ) {
    self.homeParams = homeParams
    self.regions = regions
    self.omitDefaultRegions = omitDefaultRegions
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "HomeParams": homeParams = try reader.value()
      case "Regions": regions = try reader.regions()
      case "omitDefaultRegions": omitDefaultRegions = try reader.bool()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("HomeParams", ifPresent: homeParams)
      writer.regions(regions)
      writer.field("omitDefaultRegions", ifTrue: omitDefaultRegions)
    }
  }
}

/// How a home relay is chosen.
package struct DERPHomeParams: Hashable, Sendable, JSONReadable, JSONWritable {
  /// Factors on the latency by region; nil for unchanged.
  package var regionScore: [Int: Double]? = nil

  /// One with these facts.
  package init(
    regionScore: [Int: Double]? = nil
  ) {
    self.regionScore = regionScore
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "RegionScore": regionScore = try reader.regionScores()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.regionScores(regionScore)
    }
  }
}

/// Relays in one place.
package struct DERPRegion: Hashable, Sendable, JSONReadable, JSONWritable {
  /// The number.
  package var regionID: Int = 0
  /// The short name.
  package var regionCode: String = ""
  /// The name for people.
  package var regionName: String = ""
  /// Degrees north.
  package var latitude: Double = 0
  /// Degrees east.
  package var longitude: Double = 0
  /// Whether to choose another when there is one.
  package var avoid: Bool = false
  /// Whether it is neither measured nor a home.
  package var noMeasureNoHome: Bool = false
  /// The relays, the preferred one first.
  package var nodes: [DERPNode] = []

  /// One with these facts.
  package init(
    regionID: Int = 0,
    regionCode: String = "",
    regionName: String = "",
    latitude: Double = 0,
    longitude: Double = 0,
    avoid: Bool = false,
    noMeasureNoHome: Bool = false,
    nodes: [DERPNode] = []
  ) {
    self.regionID = regionID
    self.regionCode = regionCode
    self.regionName = regionName
    self.latitude = latitude
    self.longitude = longitude
    self.avoid = avoid
    self.noMeasureNoHome = noMeasureNoHome
    self.nodes = nodes
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "RegionID": regionID = try reader.int()
      case "RegionCode": regionCode = try reader.string()
      case "RegionName": regionName = try reader.string()
      case "Latitude": latitude = try reader.double()
      case "Longitude": longitude = try reader.double()
      case "Avoid": avoid = try reader.bool()
      case "NoMeasureNoHome": noMeasureNoHome = try reader.bool()
      case "Nodes": nodes = try reader.list()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("RegionID", regionID)
      writer.field("RegionCode", regionCode)
      writer.field("RegionName", regionName)
      writer.field("Latitude", ifNonzero: latitude)
      writer.field("Longitude", ifNonzero: longitude)
      writer.field("Avoid", ifTrue: avoid)
      writer.field("NoMeasureNoHome", ifTrue: noMeasureNoHome)
      writer.field("Nodes", nodes)
    }
  }
}

/// One relay.
package struct DERPNode: Hashable, Sendable, JSONReadable, JSONWritable {
  /// Its name, unique among all.
  package var name: String = ""
  /// Its region.
  package var regionID: Int = 0
  /// Where it is.
  package var hostName: String = ""
  /// Whom its certificate names; `sha256-raw:` and hex for a pinned one.
  package var certName: String = ""
  /// Its IPv4 address; empty to ask DNS, `none` for no IPv4.
  package var ipv4: String = ""
  /// Its IPv6 address; empty to ask DNS, `none` for no IPv6.
  package var ipv6: String = ""
  /// The port for STUN; 0 for 3478, -1 for none.
  package var stunPort: Int = 0
  /// Whether it does not relay.
  package var stunOnly: Bool = false
  /// The port of the relay; 0 for 443.
  package var derpPort: Int = 0
  /// Whether its certificate is not checked.
  package var insecureForTests: Bool = false
  /// Another address for STUN, in tests.
  package var stunTestIP: String = ""
  /// Whether it answers plain HTTP on port 80.
  package var canPort80: Bool = false

  /// One with these facts.
  package init(
    name: String = "",
    regionID: Int = 0,
    hostName: String = "",
    certName: String = "",
    ipv4: String = "",
    ipv6: String = "",
    stunPort: Int = 0,
    stunOnly: Bool = false,
    derpPort: Int = 0,
    insecureForTests: Bool = false,
    stunTestIP: String = "",
    canPort80: Bool = false
  ) {
    self.name = name
    self.regionID = regionID
    self.hostName = hostName
    self.certName = certName
    self.ipv4 = ipv4
    self.ipv6 = ipv6
    self.stunPort = stunPort
    self.stunOnly = stunOnly
    self.derpPort = derpPort
    self.insecureForTests = insecureForTests
    self.stunTestIP = stunTestIP
    self.canPort80 = canPort80
  }

  /// Reads the JSON object.
  package init(reading reader: inout JSONReader) throws(JSONError) {
    self.init()
    try reader.fields { (member, reader) throws(JSONError) in
      switch member {
      case "Name": name = try reader.string()
      case "RegionID": regionID = try reader.int()
      case "HostName": hostName = try reader.string()
      case "CertName": certName = try reader.string()
      case "IPv4": ipv4 = try reader.string()
      case "IPv6": ipv6 = try reader.string()
      case "STUNPort": stunPort = try reader.int()
      case "STUNOnly": stunOnly = try reader.bool()
      case "DERPPort": derpPort = try reader.int()
      case "InsecureForTests": insecureForTests = try reader.bool()
      case "STUNTestIP": stunTestIP = try reader.string()
      case "CanPort80": canPort80 = try reader.bool()
      default: try reader.skip()
      }
    }
  }

  /// Writes the JSON object.
  package func write(to writer: inout JSONWriter) {
    writer.object { writer in
      writer.field("Name", name)
      writer.field("RegionID", regionID)
      writer.field("HostName", hostName)
      writer.field("CertName", ifNonempty: certName)
      writer.field("IPv4", ifNonempty: ipv4)
      writer.field("IPv6", ifNonempty: ipv6)
      writer.field("STUNPort", ifNonzero: stunPort)
      writer.field("STUNOnly", ifTrue: stunOnly)
      writer.field("DERPPort", ifNonzero: derpPort)
      writer.field("InsecureForTests", ifTrue: insecureForTests)
      writer.field("STUNTestIP", ifNonempty: stunTestIP)
      writer.field("CanPort80", ifTrue: canPort80)
    }
  }
}
