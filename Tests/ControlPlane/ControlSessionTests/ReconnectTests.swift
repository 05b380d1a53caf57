// SPDX-License-Identifier: Apache-2.0

import ControlSession
import TestSupport
import Testing
import Timing

@Suite("When the next conversation begins")
struct ReconnectTests {
  @Test("Waits grow to half a minute, spread by half either way")
  func growth() {
    var generator = SplitMix(state: 1)
    var reconnect = Reconnect()
    for failure in 1...100 {
      let wait = reconnect.closed(at: start, using: &generator) - start
      let base = min(Duration.milliseconds(10 * failure * failure), .seconds(30))
      #expect(wait >= base / 2 && wait <= base * 1.5)
      #expect(reconnect.failures == failure)
    }
  }

  @Test("Nodes that lose the server at once come back one after the other")
  func spread() {
    let moments = (0..<200).map { seed in
      var generator = SplitMix(state: UInt64(seed))
      var reconnect = Reconnect()
      var now = start
      for _ in 0..<10 { now = reconnect.closed(at: now, using: &generator) }
      return now
    }
    #expect(Set(moments).count == 200)
    let range = (moments.max() ?? start) - (moments.min() ?? start)
    #expect(range > .seconds(1))
  }

  @Test("Only a stream that has held for a while makes the waits short again")
  func stability() {
    var generator = SplitMix(state: 1)
    var reconnect = Reconnect()
    for _ in 0..<20 { _ = reconnect.closed(at: start, using: &generator) }
    reconnect.opened(at: start)
    _ = reconnect.closed(at: start + .milliseconds(9999), using: &generator)
    #expect(reconnect.failures == 21)
    reconnect.opened(at: start)
    reconnect.opened(at: start + .seconds(9))
    _ = reconnect.closed(at: start + .seconds(10), using: &generator)
    #expect(reconnect.failures == 1)
    _ = reconnect.closed(at: start + .seconds(30), using: &generator)
    #expect(reconnect.failures == 2, "a conversation that never opened does not count as held")
  }

  @Test("A server that asks for patience gets it")
  func patience() {
    var generator = SplitMix(state: 1)
    var reconnect = Reconnect()
    let next = reconnect.closed(at: start, retryAfter: .seconds(60), using: &generator)
    #expect(next == start + .seconds(60))
  }

  @Test("Another network makes the next wait short")
  func reset() {
    var generator = SplitMix(state: 1)
    var reconnect = Reconnect()
    for _ in 0..<100 { _ = reconnect.closed(at: start, using: &generator) }
    reconnect.reset()
    let next = reconnect.closed(at: start, using: &generator)
    #expect(next - start <= .milliseconds(15))
  }
}
