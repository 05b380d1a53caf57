// SPDX-License-Identifier: Apache-2.0

/// How far a node has come, as its owner sees it.
package enum BackendState: Int, Hashable, Sendable, CaseIterable {
  /// Nothing is known yet, or the state cannot be kept.
  case noState = 0
  /// Another user of this machine uses the node (never on Linux).
  case inUseOtherUser = 1
  /// Nobody is logged in, or the login has run out.
  case needsLogin = 2
  /// The login waits for an administrator.
  case needsMachineAuth = 3
  /// Logged in, and turned off.
  case stopped = 4
  /// Turned on, and not yet connected.
  case starting = 5
  /// Connected.
  case running = 6

  /// The name that status reports use.
  package var name: String {
    switch self {
    case .noState: "NoState"
    case .inUseOtherUser: "InUseOtherUser"
    case .needsLogin: "NeedsLogin"
    case .needsMachineAuth: "NeedsMachineAuth"
    case .stopped: "Stopped"
    case .starting: "Starting"
    case .running: "Running"
    }
  }

  /// The state that `name` stands for.
  package init?(name: String) {
    guard let state = Self.allCases.first(where: { $0.name == name }) else { return nil }
    self = state
  }
}
