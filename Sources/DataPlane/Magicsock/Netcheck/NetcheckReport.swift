// SPDX-License-Identifier: Apache-2.0

public import Addressing
public import DERP
import Timing

/// What a look at the network found.
public struct NetcheckReport: Hashable, Sendable {
  /// Which one it is, counted from 1.
  public var id: UInt64
  /// Whether every region was measured, not only the nearest ones.
  public var isFull: Bool
  /// Whether UDP comes back.
  public var udp = false
  /// Whether IPv4 works.
  public var ipv4 = false
  /// Whether IPv6 works.
  public var ipv6 = false
  /// Whether the host could send by IPv4.
  public var ipv4CanSend = false
  /// Whether the host could send by IPv6.
  public var ipv6CanSend = false
  /// Whether the host has an IPv6 address to send from.
  public var hostHasIPv6 = false
  /// Whether relays answer ICMP; asked only where no UDP comes back.
  public var icmpV4 = false
  /// Whether a portal that wants people to sign in answers in the relays' place; nil where that was not
  /// looked for or not told.
  public var captivePortal: Bool?
  /// Whether the port that the world sees depends on whom we talk to; nil when that is not known.
  public var mappingVariesByDestination: Bool?
  /// The home relay after it.
  public var homeRegion: RegionID?
  /// How far away regions are, by the nearer family.
  public var latency: [RegionID: Duration] = [:]
  /// How far away regions are by IPv4.
  public var latencyV4: [RegionID: Duration] = [:]
  /// How far away regions are by IPv6.
  public var latencyV6: [RegionID: Duration] = [:]
  /// Where we are seen by IPv4.
  public var globalV4: Endpoint?
  /// Where we are seen by IPv6.
  public var globalV6: Endpoint?
  /// Every endpoint at which STUN servers saw us, in the order of appearance, and how many did.
  public var sightings: [Sighting] = []

  /// An endpoint that STUN servers saw.
  public struct Sighting: Hashable, Sendable {
    /// The endpoint.
    public var endpoint: Endpoint
    /// By how many answers.
    public var count: Int
  }

  init(id: UInt64, isFull: Bool) { (self.id, self.isFull) = (id, isFull) }

  /// The latencies in seconds by `<region>-v4` and `<region>-v6`, as the coordination server is told.
  public var latencyByName: [String: Double] {
    var named: [String: Double] = [:]
    for (region, latency) in latencyV4 { named["\(region)-v4"] = latency.inSeconds }
    for (region, latency) in latencyV6 { named["\(region)-v6"] = latency.inSeconds }
    return named
  }

  /// The endpoints worth telling: per family the first one, then those seen at least twice.
  var reflexive: [Endpoint] {
    [globalV4, globalV6].compactMap(\.self).flatMap { first in
      [first]
        + sightings.filter {
          $0.endpoint != first && $0.count > 1
            && $0.endpoint.address.family == first.address.family
        }.map(\.endpoint)
    }
  }
}
