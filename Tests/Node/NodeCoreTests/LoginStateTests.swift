// SPDX-License-Identifier: Apache-2.0

import LocalAPI
import Testing

@testable import NodeCore

@Suite("The state that a node shows")
struct LoginStateTests {
  private func facts(_ change: (inout LoginFacts) -> Void) -> LoginFacts {
    var facts = LoginFacts()
    change(&facts)
    return facts
  }

  @Test("a fresh node needs a login")
  func fresh() {
    #expect(facts { $0.isLoggedOut = true }.next(after: .noState) == .needsLogin)
  }

  @Test("a node that is turned off and logged in is stopped")
  func stopped() {
    let off = facts { $0.hasNodeKey = true }
    #expect(off.next(after: .running) == .stopped)
    #expect(off.next(after: .noState) == .stopped)
  }

  @Test("turned on again, a node starts before the netmap comes")
  func starting() {
    let on = facts { ($0.wantsRunning, $0.hasNodeKey) = (true, true) }
    #expect(on.next(after: .stopped) == .starting)
    #expect(on.next(after: .noState) == .noState)
  }

  @Test("a netmap and a live path make a node run; without a path it goes on starting")
  func running() {
    var on = facts { ($0.wantsRunning, $0.hasNodeKey, $0.hasNetmap) = (true, true, true) }
    #expect(on.next(after: .needsLogin) == .starting)
    on.hasLivePath = true
    #expect(on.next(after: .starting) == .running)
    on.hasLivePath = false
    #expect(on.next(after: .running) == .running)
  }

  @Test("an expired key needs a login, an unapproved machine its administrator")
  func blocked() {
    var on = facts {
      ($0.wantsRunning, $0.hasNodeKey, $0.hasNetmap, $0.hasLivePath) = (true, true, true, true)
    }
    on.isMachineAuthorized = false
    #expect(on.next(after: .running) == .needsMachineAuth)
    on.isKeyExpired = true
    #expect(on.next(after: .running) == .needsLogin)
  }
}
