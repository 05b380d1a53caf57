// SPDX-License-Identifier: Apache-2.0

import Addressing
import DERP
import Timing

/// Which STUN servers are asked, when.
struct ProbePlan: Sendable {
  /// A request to one relay, so long after the start.
  struct Probe: Hashable, Sendable {
    var node: RelayNode
    var delay: Duration
  }

  /// The requests to one region by one family: the first answer ends them.
  struct Series: Hashable, Sendable {
    var region: RegionID
    var family: IPAddress.Family
    var probes: [Probe]
  }

  /// In the order of their regions.
  var series: [Series] = []
  /// Whether every region is asked.
  var isFull: Bool

  private static let fullTries = 3
  private static let fullSpacing = Duration.milliseconds(100)
  private static let homeTries = 4
  private static let fastest = (regions: 3, withTwoTries: 2)
  private static let unknownLatency = Duration.milliseconds(200)

  /// Asks every region.
  init(full map: RelayMap, families: Set<IPAddress.Family>) {
    isFull = true
    for region in Self.sorted(map) where !region.noMeasureNoHome {
      for family in [IPAddress.Family.v4, .v6] where families.contains(family) {
        add(region, family, tries: Self.fullTries) { Self.fullSpacing * $0 }
      }
    }
  }

  /// Asks the regions that were nearest last time, and the home.
  init(
    after last: NetcheckReport,
    map: RelayMap,
    home: RegionID?,
    families: Set<IPAddress.Family>
  ) {
    isFull = false
    let known = Self.sorted(map).filter { region in
      last.latency[region.id] != nil
        && (region.id == home || !region.avoid && !region.noMeasureNoHome)
    }
    let nearest = known.sorted {
      let (left, right) = (last.latency[$0.id] ?? .zero, last.latency[$1.id] ?? .zero)
      return left == right ? $0.id < $1.id : left < right
    }
    var chosen = Array(nearest.prefix(Self.fastest.regions))
    if let home, !chosen.contains(where: { $0.id == home }), let region = map.regions[home] {
      chosen.append(region)
    }
    for (rank, region) in chosen.enumerated() {
      addIncremental(region, rank: rank, after: last, home: home, families: families)
    }
  }

  private mutating func addIncremental(
    _ region: RelayRegion,
    rank: Int,
    after last: NetcheckReport,
    home: RegionID?,
    families: Set<IPAddress.Family>
  ) {
    let isHome = region.id == home
    let isFast = rank < Self.fastest.withTwoTries
    let tries = isHome ? Self.homeTries : isFast ? Self.fastest.withTwoTries : 1
    var wanted = families
    if last.ipv4, last.ipv6, !isHome, !isFast { wanted.remove(rank % 2 == 0 ? .v6 : .v4) }
    if !last.ipv6, !isHome, !isFast { wanted.remove(.v6) }
    let base = last.latency[region.id].map { $0 * 12 / 10 } ?? Self.unknownLatency
    for family in [IPAddress.Family.v4, .v6] where wanted.contains(family) {
      let count = family == .v6 && !last.ipv6 ? 1 : tries
      add(region, family, tries: count) { attempt in
        base * attempt + (attempt > 1 ? .milliseconds(50) * attempt : .zero)
      }
    }
  }

  private mutating func add(
    _ region: RelayRegion,
    _ family: IPAddress.Family,
    tries: Int,
    delay: (Int) -> Duration
  ) {
    let nodes = region.nodes.filter { $0.mayAnswerSTUN(family) }
    guard !nodes.isEmpty else { return }
    let probes = (0..<tries).map { Probe(node: nodes[$0 % nodes.count], delay: delay($0)) }
    series.append(Series(region: region.id, family: family, probes: probes))
  }

  private static func sorted(_ map: RelayMap) -> [RelayRegion] {
    map.regions.values.sorted { $0.id < $1.id }
  }
}

extension RelayNode {
  /// The port of its STUN server; nil for none.
  var portForSTUN: UInt16? { stunPort == 0 ? 3478 : UInt16(exactly: stunPort) }

  /// Whether it makes sense to ask it by this family.
  func mayAnswerSTUN(_ family: IPAddress.Family) -> Bool {
    guard portForSTUN != nil else { return false }
    if !stunTestIP.isEmpty { return IPAddress(stunTestIP)?.family == family }
    let field = family == .v4 ? ipv4 : ipv6
    if field.isEmpty { return IPAddress(hostName).map { $0.family == family } ?? true }
    return IPAddress(field)?.family == family
  }
}
