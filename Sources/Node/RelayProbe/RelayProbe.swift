// SPDX-License-Identifier: Apache-2.0

package import DERP

/// Something that can be found out about the relays of a region.
package struct RelayProbe: Hashable, Sendable {
  /// What is found out.
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    /// Whether the relay tells machines their addresses.
    case stun
    /// Whether it is who it should be, and how long its TLS takes.
    case tls
    /// Whether packets cross from one relay of the region to the other and back.
    case mesh
    /// How many bits a second cross.
    case bandwidth

    /// How the names of such probes begin.
    var prefix: String { rawValue + "/" }
  }

  /// What is found out.
  package let kind: Kind
  /// The region, as people call it.
  package let region: String
  /// The relay that is asked, or where packets begin.
  package let from: RelayNode
  /// Where packets end.
  package let to: RelayNode

  /// What the probe is called, like `mesh/fra/1a/1b`.
  package var name: String {
    let end = kind == .mesh || kind == .bandwidth ? "/\(to.name)" : ""
    return "\(kind.prefix)\(region)/\(from.name)\(end)"
  }

  /// Everything of these kinds that can be found out about the relays of a map.
  ///
  /// - Parameters:
  ///   - map: The relays.
  ///   - kinds: What is asked.
  ///   - code: The code of the only region of interest; nil for all.
  /// - Returns: The probes, by region and kind.
  package static func all(
    in map: RelayMap,
    _ kinds: Set<Kind>,
    region code: String? = nil
  ) -> [RelayProbe] {
    let regions = map.regions.values.sorted { $0.id < $1.id }
    return regions.filter { code == nil || $0.code == code }.flatMap { region in
      let name = region.code.isEmpty ? "\(region.id)" : region.code
      let relays = region.nodes.filter { !$0.stunOnly }
      return Kind.allCases.filter(kinds.contains).flatMap { kind in
        switch kind {
        case .stun:
          region.nodes.filter { $0.stunPort >= 0 }
            .map { RelayProbe(kind: kind, region: name, from: $0, to: $0) }
        case .tls: relays.map { RelayProbe(kind: kind, region: name, from: $0, to: $0) }
        case .mesh, .bandwidth:
          relays.flatMap { from in
            relays.map { RelayProbe(kind: kind, region: name, from: from, to: $0) }
          }
        }
      }
    }
  }
}

/// What a probe found.
package struct RelayProbeOutcome: Hashable, Sendable {
  /// Whether all is well.
  package var isGood: Bool
  /// How long it took; nil where that says nothing.
  package var latency: Duration?
  /// How many bits a second crossed; nil where that was not asked.
  package var bitsPerSecond: Double?
  /// What is wrong, in words.
  package var reason = ""

  /// All is well.
  package static func good(after latency: Duration) -> RelayProbeOutcome {
    RelayProbeOutcome(isGood: true, latency: latency)
  }

  /// Something is wrong.
  package static func bad(_ reason: String) -> RelayProbeOutcome {
    RelayProbeOutcome(isGood: false, reason: reason)
  }
}
