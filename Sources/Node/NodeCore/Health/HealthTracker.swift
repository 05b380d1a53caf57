// SPDX-License-Identifier: Apache-2.0

package import LocalAPI
package import Timing

/// The kinds of lasting trouble that a node tells of.
package enum Trouble: String, Hashable, Sendable, CaseIterable {
  /// No map stream from the coordination server.
  case controlUnreachable = "not-in-map-poll"
  /// The coordination server refused a login.
  case loginFailed = "login-state"
  /// No connection to the home relay.
  case relayUnreachable = "no-derp-connection"
  /// A portal answers in the relays' place.
  case captivePortal = "captive-portal-detected"
  /// The UDP port that was asked for is taken.
  case portTaken = "port-substituted"
  /// Addresses or routes could not be set.
  case router = "router"
  /// This node cannot carry packets for others as it was asked to.
  case peerRelay = "peer-relay"
  /// The state file was damaged and set aside.
  case stateSetAside = "state-set-aside"
  /// The network map holds more than this node takes.
  case mapTooLarge = "map-too-large"

  /// What it is, in a few words.
  var title: String {
    switch self {
    case .controlUnreachable: "Coordination server not reached"
    case .loginFailed: "Login failed"
    case .relayUnreachable: "Relay not reached"
    case .captivePortal: "Captive portal"
    case .portTaken: "Another UDP port in use"
    case .router: "Addresses or routes not set"
    case .peerRelay: "Not a peer relay"
    case .stateSetAside: "State was damaged"
    case .mapTooLarge: "Network map too large"
    }
  }

  /// Whether peers may be out of reach because of it.
  var impactsConnectivity: Bool {
    switch self {
    case .controlUnreachable, .portTaken, .peerRelay, .stateSetAside: false
    case .loginFailed, .relayUnreachable, .captivePortal, .router, .mapTooLarge: true
    }
  }

  /// How much it matters.
  var severity: HealthWarning.Severity { impactsConnectivity ? .high : .medium }
}

/// Keeps what is wrong with a node; each trouble is set and cleared by the one who knows.
package struct HealthTracker: Hashable, Sendable {
  private var warnings: [Trouble: HealthWarning] = [:]

  /// A node in good health.
  package init() {}

  /// What is wrong, as clients are told.
  package var state: HealthState {
    var state = HealthState()
    for (trouble, warning) in warnings { state.warnings[trouble.rawValue] = warning }
    return state
  }

  /// The texts, in a fixed order.
  package var texts: [String] {
    Trouble.allCases.compactMap { warnings[$0]?.text }
  }

  /// Sets or renews a trouble; a renewed one keeps the time at which it began.
  ///
  /// - Returns: Whether anything that people see changed.
  @discardableResult
  package mutating func warn(_ trouble: Trouble, _ text: String, at now: Timestamp) -> Bool {
    let known = warnings[trouble]
    guard known?.text != text else { return false }
    var warning = HealthWarning()
    warning.code = trouble.rawValue
    warning.severity = trouble.severity.rawValue
    warning.title = trouble.title
    warning.text = text
    warning.impactsConnectivity = trouble.impactsConnectivity
    warning.brokenSince = known?.brokenSince ?? now
    warnings[trouble] = warning
    return true
  }

  /// Clears a trouble.
  ///
  /// - Returns: Whether there was one.
  @discardableResult
  package mutating func clear(_ trouble: Trouble) -> Bool {
    warnings.removeValue(forKey: trouble) != nil
  }
}
