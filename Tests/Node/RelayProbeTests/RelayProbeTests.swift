// SPDX-License-Identifier: Apache-2.0

import DERP
import Testing
import Timing

@testable import RelayProbe

@Suite("Probes of relays") struct RelayProbeTests {
  static let map = RelayMap(regions: [
    RegionID(1): RelayRegion(
      id: RegionID(1),
      code: "fra",
      nodes: [
        RelayNode(name: "1a", regionID: RegionID(1), hostName: "a.example"),
        RelayNode(name: "1b", regionID: RegionID(1), hostName: "b.example", stunPort: -1),
        RelayNode(name: "1s", regionID: RegionID(1), hostName: "s.example", stunOnly: true),
      ]
    ),
    RegionID(2): RelayRegion(
      id: RegionID(2),
      nodes: [RelayNode(name: "2a", regionID: RegionID(2), hostName: "c.example")]
    ),
  ])

  @Test("Every relay is asked for what it does, and packets go from each to each of a region")
  func plan() {
    let names = RelayProbe.all(in: Self.map, [.stun, .tls, .mesh], region: "fra").map(\.name)
    #expect(
      names == [
        "stun/fra/1a", "stun/fra/1s", "tls/fra/1a", "tls/fra/1b", "mesh/fra/1a/1a",
        "mesh/fra/1a/1b", "mesh/fra/1b/1a", "mesh/fra/1b/1b",
      ]
    )
    #expect(RelayProbe.all(in: Self.map, [.tls]).map(\.region).last == "2")
  }

  @Test("The board keeps the last result of each probe, counts them, and forgets old probes")
  func board() throws {
    let board = ProbeBoard()
    let probes = RelayProbe.all(in: Self.map, [.tls])
    for probe in probes {
      board.note(.good(after: .milliseconds(5)), of: probe, at: Timestamp(seconds: 1))
    }
    #expect(board.isGood)
    board.note(.bad("it is <gone>"), of: probes[0], at: Timestamp(seconds: 2))
    #expect(!board.isGood)
    let first = try #require(board.all.first { $0.name == probes[0].name })
    #expect((first.entry.good, first.entry.bad) == (1, 1))
    #expect(board.text.contains("bad  tls/fra/1a: it is <gone>\n"))
    #expect(board.html.contains("it is &lt;gone&gt;"))
    #expect(board.metrics.contains("martlet_derpprobe_up{probe=\"tls/fra/1a\"} 0\n"))
    #expect(String(decoding: board.json, as: UTF8.self).contains("\"reason\":\"it is <gone>\""))
    board.keep([], of: .stun)
    #expect(board.all.count == probes.count)
    board.keep(Array(probes.dropFirst()), of: .tls)
    #expect(board.isGood)
    #expect(board.all.count == probes.count - 1)
    board.note(mapProblem: "there is no map")
    #expect(!board.isGood && board.text.hasPrefix("bad  map: there is no map\n"))
    #expect(board.metrics.contains("martlet_derpprobe_map_good 0\n"))
    board.note(mapProblem: nil)
    #expect(board.isGood)
  }
}
