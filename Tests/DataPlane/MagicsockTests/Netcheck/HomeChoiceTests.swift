// SPDX-License-Identifier: Apache-2.0

import Cryptography
import DERP
import Keys
import Testing
import Timing

@testable import Magicsock

@Suite("Home relay")
struct HomeChoiceTests {
  private let start = Instant(nanoseconds: 1_000_000_000)
  private let key: NodeKey
  private var map = RelayMap()

  init() {
    var entropy = Entropy(seed: 1)
    key = NodePrivateKey.generate(using: &entropy).publicKey
    for region in 1...3 {
      map.regions[RegionID(region)] = RelayRegion(
        id: RegionID(region),
        nodes: [RelayNode(name: "\(region)", regionID: RegionID(region), hostName: "r\(region)")]
      )
    }
  }

  /// Chooses after a netcheck that found these latencies, in milliseconds.
  private func choose(
    _ choice: inout HomeChoice,
    _ latencies: [Int: Int],
    after minutes: Int,
    mayChange: Bool = true
  ) -> Int? {
    var report = NetcheckReport(id: 1, isFull: true)
    for (region, latency) in latencies {
      report.latency[RegionID(region)] = .milliseconds(latency)
    }
    let now = start + .seconds(60 * minutes)
    choice.choose(
      after: report,
      map: map,
      nodeKey: key,
      mayChange: mayChange,
      since: now - .seconds(1),
      at: now
    )
    return choice.home?.rawValue
  }

  @Test("The nearest region becomes the home")
  func nearest() {
    var choice = HomeChoice()
    let first = choose(&choice, [1: 50, 2: 20, 3: 90], after: 0)
    #expect(first == 2)
  }

  @Test("A region that is a little nearer does not become the home")
  func hysteresis() {
    var choice = HomeChoice()
    _ = choose(&choice, [1: 50, 2: 60], after: 0)
    let byNineMilliseconds = choose(&choice, [1: 50, 2: 41], after: 10)
    #expect(byNineMilliseconds == 1)
    let byAQuarter = choose(&choice, [1: 100, 2: 75], after: 20)
    #expect(byAQuarter == 1)
    let byHalf = choose(&choice, [1: 100, 2: 50], after: 30)
    #expect(byHalf == 2)
  }

  @Test("A recent good measurement counts for five minutes")
  func memory() {
    var choice = HomeChoice()
    _ = choose(&choice, [1: 20, 2: 30], after: 0)
    let slowForNow = choose(&choice, [1: 200, 2: 30], after: 2)
    #expect(slowForNow == 1)
    let slowForLong = choose(&choice, [1: 200, 2: 30], after: 8)
    #expect(slowForLong == 2)
  }

  @Test("A home that does not answer is left, unless it was heard")
  func inaccessible() {
    var choice = HomeChoice()
    _ = choose(&choice, [1: 20], after: 0)
    choice.noteHeard(RegionID(1), at: start + .seconds(60 - 5))
    let heard = choose(&choice, [2: 30], after: 1)
    #expect(heard == 1)
    let silent = choose(&choice, [2: 30], after: 2)
    #expect(silent == 2)
  }

  @Test("While the coordination server is away, the home stays")
  func disconnected() {
    var choice = HomeChoice()
    let first = choose(&choice, [1: 20], after: 0, mayChange: false)
    #expect(first == 1)
    let later = choose(&choice, [1: 200, 2: 10], after: 10, mayChange: false)
    #expect(later == 1)
  }

  @Test("With nothing measured the home stays, and without one some region is taken")
  func nothing() {
    var choice = HomeChoice()
    let some = choose(&choice, [:], after: 0)
    #expect(some != nil)
    let same = choose(&choice, [:], after: 10)
    #expect(same == some)
    var empty = HomeChoice()
    empty.choose(
      after: NetcheckReport(id: 1, isFull: true),
      map: RelayMap(),
      nodeKey: key,
      mayChange: true,
      since: start,
      at: start
    )
    #expect(empty.home == nil)
  }

  @Test("Scores weigh latencies, and regions that must not be a home are none")
  func scores() {
    var tests = self
    tests.map.regionScores = [RegionID(1): 0.5, RegionID(2): -1]
    tests.map.regions[RegionID(3)]?.noMeasureNoHome = true
    var choice = HomeChoice()
    let home = tests.choose(&choice, [1: 90, 2: 50, 3: 1], after: 0)
    #expect(home == 1)
  }

  @Test("A home that leaves the map is replaced")
  func removed() {
    var tests = self
    var choice = HomeChoice()
    _ = tests.choose(&choice, [1: 20, 2: 60], after: 0)
    tests.map.regions[RegionID(1)] = nil
    let home = tests.choose(&choice, [2: 60], after: 1)
    #expect(home == 2)
  }
}
