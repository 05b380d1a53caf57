// SPDX-License-Identifier: Apache-2.0

/// The relays that this node may use, as the coordination server told them.
public struct RelayMap: Hashable, Sendable {
  /// The regions.
  public var regions: [RegionID: RelayRegion]
  /// Factors on the measured latency when a home is chosen; a missing or non-positive one counts as 1.
  public var regionScores: [RegionID: Double]
  /// Whether regions that are not listed here, such as those known before, are to be forgotten.
  public var omitDefaultRegions: Bool

  /// A map.
  public init(
    regions: [RegionID: RelayRegion] = [:],
    regionScores: [RegionID: Double] = [:],
    omitDefaultRegions: Bool = false
  ) {
    self.regions = regions
    self.regionScores = regionScores
    self.omitDefaultRegions = omitDefaultRegions
  }
}

/// Relays in one place, any of which serves all who call it their home.
public struct RelayRegion: Hashable, Sendable {
  /// The number.
  public var id: RegionID
  /// The short name: `fra`.
  public var code: String
  /// The name for people: `Frankfurt`.
  public var name: String
  /// The relays, the preferred one first.
  public var nodes: [RelayNode]
  /// Whether it is neither measured nor made a home by itself.
  public var noMeasureNoHome: Bool
  /// Whether it should not become a home by itself.
  public var avoid: Bool

  /// A region.
  public init(
    id: RegionID,
    code: String = "",
    name: String = "",
    nodes: [RelayNode] = [],
    noMeasureNoHome: Bool = false,
    avoid: Bool = false
  ) {
    (self.id, self.code, self.name, self.nodes) = (id, code, name, nodes)
    (self.noMeasureNoHome, self.avoid) = (noMeasureNoHome, avoid)
  }
}

/// One relay.
public struct RelayNode: Hashable, Sendable {
  /// Its name, unique among all regions: `1a`.
  public var name: String
  /// The region it belongs to.
  public var regionID: RegionID
  /// Where it is: a DNS name, or an address in text form.
  public var hostName: String
  /// The name its certificate must carry; empty for `hostName`; `sha256-raw:` and hex for a pinned one.
  public var certName: String
  /// Its IPv4 address; empty to ask DNS, `none` for no IPv4.
  public var ipv4: String
  /// Its IPv6 address; empty to ask DNS, `none` for no IPv6.
  public var ipv6: String
  /// The port of its STUN server; 0 for 3478, negative for none.
  public var stunPort: Int
  /// Whether it only answers STUN.
  public var stunOnly: Bool
  /// The port of its relay; 0 for 443.
  public var derpPort: Int
  /// Whether its certificate is not checked; for tests.
  public var insecureForTests: Bool
  /// The address for STUN instead of the usual ones; for tests.
  public var stunTestIP: String
  /// Whether it answers plain HTTP on port 80, for the detection of captive portals.
  public var canPort80: Bool

  /// A relay.
  public init(
    name: String,
    regionID: RegionID,
    hostName: String,
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
    (self.name, self.regionID, self.hostName) = (name, regionID, hostName)
    (self.certName, self.ipv4, self.ipv6) = (certName, ipv4, ipv6)
    (self.stunPort, self.stunOnly, self.derpPort) = (stunPort, stunOnly, derpPort)
    (self.insecureForTests, self.stunTestIP) = (insecureForTests, stunTestIP)
    self.canPort80 = canPort80
  }
}
