// SPDX-License-Identifier: Apache-2.0

import Addressing
import Timing

/// Where this node may be reached: gathered from interfaces, STUN servers, the gateway and the
/// administrator.
struct OwnEndpoints: Sendable {
  private struct Sighting: Sendable {
    var endpoint: OwnEndpoint
    var at: Instant
  }

  /// How long an endpoint is told after it was last seen by STUN servers.
  private static let memory = Duration.seconds(310)
  private static let v6PerSubnet = 2

  /// The list that was told last.
  private(set) var current: [OwnEndpoint] = []
  private var refreshedAt: Instant?
  private var sightings: [Sighting] = []
  /// What a gateway forwards to us, as it says.
  var portMapped: Endpoint?

  init() {}

  /// Whether the list is new enough to call a peer with.
  func isFresh(at now: Instant) -> Bool {
    refreshedAt.map { now - $0 <= PathTiming.endpointsFresh } ?? false
  }

  /// Forgets what STUN servers saw on another network.
  mutating func forget() {
    sightings.removeAll()
    refreshedAt = nil
  }

  /// Takes the list that somebody else gathered.
  mutating func adopt(_ endpoints: [OwnEndpoint], at now: Instant) {
    (current, refreshedAt) = (endpoints, now)
  }

  /// Gathers the list anew.
  ///
  /// - Returns: Whether it changed, the order aside.
  mutating func refresh(
    _ network: LocalNetwork,
    _ report: NetcheckReport?,
    explicit: [Endpoint],
    at now: Instant
  ) -> Bool {
    refreshedAt = report == nil ? refreshedAt : now
    if let report { note(Self.reflexive(network, report), at: now) }
    var list = sightings.map(\.endpoint)
    if let mapped = believable(portMapped) { list.append(OwnEndpoint(mapped, .portMapped)) }
    list += explicit.map { OwnEndpoint($0, .explicit) }
    list += Self.local(network).map { OwnEndpoint($0, .local) }
    var seen: Set<Endpoint> = []
    list = Array(list.filter { seen.insert($0.endpoint).inserted }.prefix(PathLimits.ownEndpoints))
    defer { current = list }
    return Set(list) != Set(current)
  }

  /// The mapped endpoint, unless it is private and nobody outside has seen us at its address.
  ///
  /// A gateway behind another NAT maps a port of an address that the world does not reach, and that
  /// somebody else may have where a peer is.
  private func believable(_ mapped: Endpoint?) -> Endpoint? {
    guard let mapped, mapped.port != 0, !TailnetRanges.contains(mapped.address) else { return nil }
    let isSeen = sightings.contains { $0.endpoint.endpoint.address == mapped.address }
    return isSeen || !mapped.address.isPrivate ? mapped : nil
  }

  private mutating func note(_ endpoints: [OwnEndpoint], at now: Instant) {
    let new = Set(endpoints.map(\.endpoint))
    sightings.removeAll { new.contains($0.endpoint.endpoint) || now - $0.at > Self.memory }
    sightings = endpoints.map { Sighting(endpoint: $0, at: now) } + sightings
    var counts: [IPAddress: Int] = [:]
    sightings.removeAll {
      counts[$0.endpoint.endpoint.address, default: 0] += 1
      return counts[$0.endpoint.endpoint.address, default: 0] > PathLimits.endpointsPerAddress
    }
  }

  private static func reflexive(
    _ network: LocalNetwork,
    _ report: NetcheckReport
  ) -> [OwnEndpoint] {
    var list = report.reflexive.map { OwnEndpoint($0, .stun) }
    if report.mappingVariesByDestination == true, network.configuredPort != 0,
      let global = report.globalV4
    {
      let guess = Endpoint(global.address, port: network.configuredPort)
      list.append(OwnEndpoint(guess, .stunWithLocalPort))
    }
    return list
  }

  /// The addresses of the interfaces that others may be able to use, each with the socket's port.
  static func local(_ network: LocalNetwork) -> [Endpoint] {
    let usable = network.addresses.filter { address in
      !address.isUnspecified && !address.isMulticast && !TailnetRanges.contains(address)
        && !(address.isLinkLocal && !address.isV4)
    }
    let remote = usable.filter { !$0.isLoopback }
    let preferred = remote.filter { !($0.isV4 ? $0.isLinkLocal : $0.isPrivate) }
    let chosen = !preferred.isEmpty ? preferred : !remote.isEmpty ? remote : usable
    var subnets: [IPAddress: Int] = [:]
    return chosen.compactMap { address in
      guard let port = address.isV4 ? network.portV4 : network.portV6 else { return nil }
      if !address.isV4 {
        subnets[address.masked(to: 64), default: 0] += 1
        guard subnets[address.masked(to: 64), default: 0] <= v6PerSubnet else { return nil }
      }
      return Endpoint(address, port: port)
    }
  }
}
