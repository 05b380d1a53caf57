// SPDX-License-Identifier: Apache-2.0

import LocalAPI

/// What decides the state that a node shows.
struct LoginFacts: Hashable, Sendable {
  var wantsRunning = false
  var isLoggedOut = false
  var hasNodeKey = false
  /// The login goes on only when a person does something: opens a page, or brings another key.
  var isAwaitingPerson = false
  var hasNetmap = false
  var isKeyExpired = false
  var isMachineAuthorized = true
  /// A relay is connected or a peer has answered.
  var hasLivePath = false

  /// The state that follows from `current`; the first rule that fits decides.
  ///
  /// - Source: `Documentation/Protocols/localapi.md`, states.
  func next(after current: BackendState) -> BackendState {
    if !wantsRunning, !isLoggedOut, hasNodeKey { return .stopped }
    guard hasNetmap else {
      if isAwaitingPerson || isLoggedOut { return .needsLogin }
      return current == .stopped ? .starting : current
    }
    if !wantsRunning { return .stopped }
    if isKeyExpired { return .needsLogin }
    if !isMachineAuthorized { return .needsMachineAuth }
    switch current {
    case .running: return .running
    case .starting: return hasLivePath ? .running : .starting
    default: return hasLivePath ? .running : .starting
    }
  }
}
