// SPDX-License-Identifier: Apache-2.0

import Timing

/// Which pairs of NATs a direct path is found through, and how fast.
package struct NATMatrix: Sendable {
  /// One pair of NATs, tried with several seeds.
  package struct Cell: Sendable {
    /// What theory says.
    package var expected: Expectation
    /// For each seed how long it took from the first question to the first answer over a direct path;
    /// nil where there was none.
    package var directAfter: [Duration?]
    /// For each seed how long the first answer took, over whichever path.
    package var answeredAfter: [Duration?]
    /// What the oracle found wrong.
    package var violations: [String]

    /// Whether what was found is what theory says.
    package var agrees: Bool {
      guard violations.isEmpty, !answeredAfter.contains(nil) else { return false }
      let found = directAfter.count { $0 != nil }
      return switch expected {
      case .direct: found == directAfter.count
      case .relayed: found == 0
      case .either: true
      }
    }
  }

  /// How long a pair is given.
  static let patience = Duration.seconds(60)
  /// The kinds, by name: those of `NATBehaviour`, none at all, and one that lets no UDP through.
  package static let kinds: [String] =
    ["none"] + NATBehaviour.named.map(\.name) + ["no UDP"]

  /// The pairs, `cells[row][column]` with the column not before the row.
  ///
  /// Where the NATs of rows map ports and those of columns do not, the pairs are all there.
  package private(set) var cells: [[Cell]] = []
  /// What the NATs of rows offer.
  package let rowsOffer: PortMappingBehaviour?

  /// Tries every pair with every seed; the NATs of rows may map ports.
  package init(seeds: Range<UInt64>, rowsOffer: PortMappingBehaviour? = nil) {
    self.rowsOffer = rowsOffer
    for row in Self.kinds.indices {
      let columns = rowsOffer == nil ? row..<Self.kinds.count : Self.kinds.indices
      cells.append(
        columns.map { column in Self.cell(row, column, rowsOffer, seeds) }
      )
    }
  }

  /// The cell of two kinds; where no NAT maps ports, whichever comes first.
  package subscript(one: Int, other: Int) -> Cell {
    rowsOffer != nil
      ? cells[one][other] : cells[min(one, other)][max(one, other) - min(one, other)]
  }

  private static func cell(
    _ row: Int,
    _ column: Int,
    _ offer: PortMappingBehaviour?,
    _ seeds: Range<UInt64>
  ) -> Cell {
    var behaviours = [behaviour(row), behaviour(column)]
    behaviours[0]?.portMapping = offer
    let blocks = [row, column].map { $0 == kinds.count - 1 }
    var cell = Cell(
      expected: blocks.contains(true) ? .relayed : .between(behaviours[0], behaviours[1]),
      directAfter: [],
      answeredAfter: [],
      violations: []
    )
    for seed in seeds { trial(behaviours, blocks, seed, &cell) }
    return cell
  }

  private static func behaviour(_ kind: Int) -> NATBehaviour? {
    switch kind {
    case 0: nil
    case Self.kinds.count - 1: .easy
    default: NATBehaviour.named[kind - 1].behaviour
    }
  }

  private static func trial(
    _ behaviours: [NATBehaviour?],
    _ blocks: [Bool],
    _ seed: UInt64,
    _ cell: inout Cell
  ) {
    let networks = behaviours.map { World.Network(nat: $0) }
    let world = World(World.Topology(networks: networks, nodes: [0, 1]), seed: seed)
    for (network, isBlocked) in blocks.enumerated() where isBlocked {
      world.plan(.blockUDP(network: network, true), after: .zero)
    }
    // The nodes first find out where they are.
    let start = Duration.seconds(10)
    var at = start
    while at < start + patience {
      world.planTalk(from: 0, to: 1, after: at)
      at = at + .milliseconds(100)
    }
    world.run(for: start + patience + .seconds(1))
    let talks = world.oracle.talks
    let first = talks[0].askedAt
    cell.answeredAfter.append(talks.compactMap(\.answeredAt).min().map { $0 - first })
    cell.directAfter.append(
      talks.first { $0.wasDirect }.flatMap(\.answeredAt).map { $0 - first }
    )
    cell.violations += world.oracle.violations
  }
}
