// SPDX-License-Identifier: Apache-2.0

package import Addressing
package import Timing

/// What kind of network a node is in.
package struct NetcheckReport: LocalRecord {
  /// When it was made.
  package var now = Timestamp.zero
  /// Whether any answer came over UDP.
  package var udp = false
  /// Whether an answer came over IPv6.
  package var ipv6 = false
  /// Whether an answer came over IPv4.
  package var ipv4 = false
  /// Whether an IPv6 packet could be sent.
  package var ipv6CanSend = false
  /// Whether an IPv4 packet could be sent.
  package var ipv4CanSend = false
  /// Whether the host has IPv6 at all.
  package var osHasIPv6 = false
  /// Whether an ICMP answer came over IPv4.
  package var icmpv4 = false
  /// Whether the NAT maps by destination; nil when it could not be told.
  package var mappingVariesByDestIP: Bool?
  /// Whether the router speaks UPnP.
  package var upnp: Bool?
  /// Whether the router speaks NAT-PMP.
  package var pmp: Bool?
  /// Whether the router speaks PCP.
  package var pcp: Bool?
  /// The nearest relay region; 0 for none.
  package var preferredDERP = 0
  /// How far each region is.
  package var regionLatency: [Int: Duration] = [:]
  /// How far each region is over IPv4.
  package var regionV4Latency: [Int: Duration] = [:]
  /// How far each region is over IPv6.
  package var regionV6Latency: [Int: Duration] = [:]
  /// How often each public IPv4 endpoint was seen.
  package var globalV4Counters: [String: Int] = [:]
  /// How often each public IPv6 endpoint was seen.
  package var globalV6Counters: [String: Int] = [:]
  /// The public IPv4 endpoint.
  package var globalV4: Endpoint?
  /// The public IPv6 endpoint.
  package var globalV6: Endpoint?
  /// Whether a portal stands between us and the internet; nil when nobody looked.
  package var captivePortal: Bool?

  /// Nothing measured.
  package init() {}

  package static let fields: LocalFields<Self> = [
    LocalField("Now", \.now), LocalField("UDP", \.udp), LocalField("IPv6", \.ipv6),
    LocalField("IPv4", \.ipv4), LocalField("IPv6CanSend", \.ipv6CanSend),
    LocalField("IPv4CanSend", \.ipv4CanSend), LocalField("OSHasIPv6", \.osHasIPv6),
    LocalField("ICMPv4", \.icmpv4),
    LocalField("MappingVariesByDestIP", \.mappingVariesByDestIP), LocalField("UPnP", \.upnp),
    LocalField("PMP", \.pmp), LocalField("PCP", \.pcp),
    LocalField("PreferredDERP", \.preferredDERP), LocalField("RegionLatency", \.regionLatency),
    LocalField("RegionV4Latency", \.regionV4Latency),
    LocalField("RegionV6Latency", \.regionV6Latency),
    LocalField("GlobalV4Counters", \.globalV4Counters),
    LocalField("GlobalV6Counters", \.globalV6Counters), LocalField("GlobalV4", text: \.globalV4),
    LocalField("GlobalV6", text: \.globalV6), LocalField("CaptivePortal", \.captivePortal),
  ]
}
