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
  package private(set) var cells: [[Cell]] = []

  /// Tries every pair with every seed.
  package init(seeds: Range<UInt64>) {
    for row in Self.kinds.indices {
      cells.append(
        (row..<Self.kinds.count).map { column in Self.cell(row, column, seeds) }
      )
    }
  }

  /// The cell of two kinds, whichever comes first.
  package subscript(one: Int, other: Int) -> Cell {
    cells[min(one, other)][max(one, other) - min(one, other)]
  }

  private static func cell(_ row: Int, _ column: Int, _ seeds: Range<UInt64>) -> Cell {
    let kinds = [row, column]
    var cell = Cell(
      expected: kinds.contains(Self.kinds.count - 1)
        ? .relayed : .between(behaviour(row), behaviour(column)),
      directAfter: [],
      answeredAfter: [],
      violations: []
    )
    for seed in seeds { trial(kinds, seed, &cell) }
    return cell
  }

  private static func behaviour(_ kind: Int) -> NATBehaviour? {
    switch kind {
    case 0: nil
    case Self.kinds.count - 1: .easy
    default: NATBehaviour.named[kind - 1].behaviour
    }
  }

  private static func trial(_ kinds: [Int], _ seed: UInt64, _ cell: inout Cell) {
    let networks = kinds.map { World.Network(nat: behaviour($0)) }
    let world = World(World.Topology(networks: networks, nodes: [0, 1]), seed: seed)
    for (network, kind) in kinds.enumerated() where kind == Self.kinds.count - 1 {
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
