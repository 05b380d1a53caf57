// SPDX-License-Identifier: Apache-2.0

import HostSettings
import Keys
package import LocalAPI
import Logging
import Netmap

extension NodeBackend {
  /// The preferences, with keys: whoever tells them on leaves the keys out.
  package func currentPreferences() -> Preferences { preferences }

  /// Whether preferences could be taken over.
  ///
  /// - Throws: `NodeError` or `PreferenceError` that says why not.
  package func check(_ wanted: Preferences) throws {
    try wanted.validate()
    if !wanted.controlURL.isEmpty { _ = try ServerURL(wanted.controlURL) }
  }

  /// Makes an edit; returns the preferences after it.
  ///
  /// - Throws: `PreferenceError` or `NodeError`; then nothing was changed.
  package func edit(_ edit: MaskedPreferences) async throws -> Preferences {
    var wanted = try preferences.applying(edit)
    // Turning the node on is the end of being logged out: the original's clients say only that.
    if edit.keys.contains(.wantRunning), wanted.wantRunning, !edit.keys.contains(.loggedOut),
      nodeKey != nil
    {
      wanted.loggedOut = false
    }
    try check(wanted)
    try await adopt(wanted)
    return preferences
  }

  /// Starts, or starts over: takes preferences over and logs in with a key where one is given.
  package func start(_ start: StartOptions) async throws {
    var wanted = start.updatePreferences ?? preferences
    wanted.config = preferences.config
    try check(wanted)
    if !start.authKey.isEmpty { authKey = start.authKey }
    authURL = ""
    isPageWanted = false
    clear(.loginFailed)
    try await adopt(wanted, startingOver: true)
  }

  /// Begins a login that a person completes; the page's URL comes over the bus.
  ///
  /// A node that is logged in already gets a new key, as when its owner wants to log in anew.
  package func startInteractiveLogin() async throws {
    guard !preferences.controlURL.isEmpty else {
      throw NodeError(
        .invalidRequest,
        "no coordination server is named",
        hint: "Say which: martlet up --login-server URL."
      )
    }
    isPageWanted = true
    if !authURL.isEmpty {
      let url = authURL
      return bus.publish { $0.browseToURL = url }
    }
    let isLoggedIn = preferences.config?.nodeID.isEmpty == false && netmap?.selfNode != nil
    if isLoggedIn, !preferences.loggedOut { try renewNodeKey() }
    var wanted = preferences
    wanted.loggedOut = false
    wanted.wantRunning = true
    try await adopt(wanted, startingOver: isLoggedIn || client == nil)
  }

  /// Gives up the node's key and turns the node off.
  ///
  /// - Throws: `NodeError` of code `control` when the server could not be told; the node is logged
  ///   out all the same.
  package func logout() async throws {
    let running = client?.client
    stopClient()
    (authURL, authKey, isPageWanted) = ("", "", false)
    var failure: (any Error)?
    if nodeKey != nil {
      do {
        try await (running ?? makeLogoutClient())?.logOut()
      } catch {
        failure = error
      }
    }
    let url = preferences.controlURL
    try save { state, _ in state.forgetNetwork() }
    forgetNetmap()
    updateState()
    await reconfigure()
    let preferences = preferences.withoutPrivateKeys
    bus.publish { $0.preferences = preferences }
    if let failure {
      throw NodeError(
        .control,
        "logged out here, but \(url) could not be told: \(failure)",
        hint: "Delete the node there, or wait until its key runs out."
      )
    }
  }

  private func makeLogoutClient() throws -> ControlClient? {
    guard let key = nodeKey, !preferences.controlURL.isEmpty else { return nil }
    return ControlClient(
      to: try ServerURL(preferences.controlURL),
      as: state.machineKey,
      mark: options.ground.bypassMark.value,
      proxies: options.proxies,
      login: ControlLogin(nodeKey: key.publicKey),
      news: news,
      logger: logger
    ) { _ in }
  }

  /// Forgets the network; its peers and routes go with the next reconfiguration.
  func forgetNetmap() {
    netmap = nil
    forgetMap()
    hasPeerAnswered = false
    homeRegion = nil
    expiryTimer?.cancel()
  }

  /// Makes these preferences the ones that hold, and does what follows from the difference.
  private func adopt(_ wanted: Preferences, startingOver: Bool = false) async throws {
    let before = preferences
    try save { state, entropy in state.remember(wanted, using: &entropy) }
    let told = preferences.withoutPrivateKeys
    if before.withoutPrivateKeys != told { bus.publish { $0.preferences = told } }
    let isElsewhere = before.controlURL != wanted.controlURL && !before.controlURL.isEmpty
    if isElsewhere { try leaveForAnotherServer() }
    if !wantsControl {
      stopClient()
    } else if startingOver || isElsewhere || client == nil {
      startClient()
    } else {
      tellNews()
    }
    updateState()
    await reconfigure()
  }

  /// A node is another one to another server: keys and netmap of the old one say nothing there.
  private func leaveForAnotherServer() throws(NodeError) {
    logger.notice("another coordination server", metadata: ["url": "\(preferences.controlURL)"])
    forgetNetmap()
    try save { state, entropy in
      var preferences = state.preferences
      preferences.config = nil
      state.remember(preferences, using: &entropy)
    }
  }
}
