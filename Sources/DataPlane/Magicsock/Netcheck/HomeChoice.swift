// SPDX-License-Identifier: Apache-2.0

import DERP
import Keys
import Timing

/// Chooses the relay region through which others reach this node, and does not change it lightly.
struct HomeChoice: Sendable {
  private struct Measurement: Sendable {
    var at: Instant
    var latency: [RegionID: Duration]
  }

  private static let memory = Duration.seconds(305)
  private static let maximumMeasurements = 64
  private static let recentlyHeard = Duration.seconds(8)
  private static let negligible = Duration.milliseconds(10)

  private(set) var home: RegionID?
  private var measurements: [Measurement] = []
  private var heard: [RegionID: Instant] = [:]

  init() {}

  /// Notes a frame from the relay of a region.
  mutating func noteHeard(_ region: RegionID, at now: Instant) { heard[region] = now }

  /// Makes a region the home without measurement; nil for none.
  mutating func fix(_ region: RegionID?) { home = region }

  /// Forgets measurements that were made on another network.
  mutating func forgetMeasurements() { measurements.removeAll() }

  /// Chooses after a look at the network, which began at `start`.
  ///
  /// A home that there is stays unless it `mayChange`.
  mutating func choose(
    after report: NetcheckReport,
    map: RelayMap,
    nodeKey: NodeKey,
    mayChange: Bool,
    since start: Instant,
    at now: Instant
  ) {
    measurements.append(Measurement(at: now, latency: report.latency))
    measurements.removeAll { now - $0.at > Self.memory }
    if measurements.count > Self.maximumMeasurements { measurements.removeFirst() }
    heard = heard.filter { map.regions[$0.key] != nil }
    if let home, map.regions[home] == nil { self.home = nil }
    guard home == nil || mayChange else { return }
    guard let best = best(in: report, map) else {
      home = home ?? Self.arbitrary(in: map, for: nodeKey)
      return
    }
    guard let home, best.region != home else {
      self.home = best.region
      return
    }
    let old = report.latency[home].map { Self.weighed($0, home, map) }
    let isHeard = heard[home].map { $0 >= start - Self.recentlyHeard } ?? false
    guard old != nil || isHeard else {
      self.home = best.region
      return
    }
    let oldLatency = old ?? .zero
    if oldLatency - best.latency < Self.negligible || best.latency > oldLatency / 3 * 2 { return }
    self.home = best.region
  }

  /// The nearest region now, by its best recent latency.
  private func best(
    in report: NetcheckReport,
    _ map: RelayMap
  ) -> (region: RegionID, latency: Duration)? {
    report.latency.keys.sorted().filter { map.regions[$0]?.noMeasureNoHome == false }
      .map { region in
        let recent = measurements.compactMap { $0.latency[region] }.min() ?? .zero
        return (region, Self.weighed(recent, region, map))
      }
      .min { $0.1 < $1.1 }
  }

  private static func weighed(
    _ latency: Duration,
    _ region: RegionID,
    _ map: RelayMap
  ) -> Duration {
    guard let score = map.regionScores[region], score > 0, score.isFinite else { return latency }
    return latency * score
  }

  /// Some region, the same one each time, when nothing can be measured: better than none.
  private static func arbitrary(in map: RelayMap, for key: NodeKey) -> RegionID? {
    let eligible = map.regions.values.filter { region in
      !region.noMeasureNoHome && region.nodes.contains { !$0.stunOnly }
    }
    let regions = eligible.filter { !$0.avoid }.map(\.id).sorted()
    guard !regions.isEmpty else { return eligible.map(\.id).min() }
    return regions[Int(key.bytes.last ?? 0) % regions.count]
  }
}
