// SPDX-License-Identifier: Apache-2.0

import CommandLine
import LocalAPI

/// What `up` has to do, from what was asked and what there is.
enum JoinPlan: Hashable {
  /// Connect with the settings there are.
  case turnOn
  /// Change settings of a node that is connected.
  case edit(MaskedPreferences)
  /// Take preferences over and log in, with a key if there is one; `isInteractive` asks for a login
  /// even of a node that is logged in, in a browser where there is no key.
  case start(Preferences, key: String?, isInteractive: Bool, isReauthForced: Bool)

  /// Decides.
  ///
  /// - Parameters:
  ///   - given: What the flags said.
  ///   - verb: The command, for messages.
  ///   - status: How the node is doing.
  ///   - current: Its preferences.
  ///   - isBare: Whether no flag was given at all.
  ///   - isReset: Whether settings that are not mentioned may be dropped.
  ///   - isReauthForced: Whether to log in even if the node is logged in.
  ///   - key: The key that a flag gave.
  ///   - environment: Names the user, and may hold a key.
  /// - Throws: `CommandError` when it cannot be done as asked.
  init(
    _ given: GivenSettings,
    verb: String,
    status: Status,
    current: Preferences,
    isBare: Bool,
    isReset: Bool,
    isReauthForced: Bool,
    key: String?,
    environment: [String: String]
  ) throws(CommandError) {
    let isLoggedIn = status.haveNodeKey && status.state != .needsLogin
    let mentioned = given.names(among: Setting.ofUp)
    let wanted = try Self.wanted(
      given,
      current: current,
      keepingOperator: !isReset && current.operatorUser == environment["USER"]
    )
    if !isReset, !current.controlURL.isEmpty {
      if isBare, isLoggedIn {
        self = .turnOn
        return
      }
      let reverted = RevertCheck.reverted(from: current, to: wanted, given: mentioned)
      guard isBare || reverted.isEmpty else {
        throw RevertCheck.refusal(
          reverted,
          from: current,
          to: wanted,
          given: mentioned,
          verb: verb
        )
      }
    }
    var start = isBare ? Self.turnedOn(current) : wanted
    // There is no default to which the server could be set.
    if start.controlURL.isEmpty { start.controlURL = current.controlURL }
    guard !start.controlURL.isEmpty else { throw Self.noServer(verb) }
    let isMoving = start.controlURL != current.controlURL && !current.controlURL.isEmpty
    if isMoving, status.state == .running, !isReauthForced {
      throw CommandError("can't change --login-server without --force-reauth")
    }
    if status.state == .running, !isReauthForced, key == nil, !isMoving,
      start.advertiseTags == current.advertiseTags
    {
      let keys = (isReset ? Setting.ofUp : mentioned).flatMap(\.keys)
      self = .edit(MaskedPreferences(keys + [.wantRunning], of: start))
      return
    }
    let needsLogin = isReauthForced || !isLoggedIn || isMoving
    let found = needsLogin && key == nil ? try AuthKeySource.key(from: environment) : key
    self = .start(
      start,
      key: found,
      isInteractive: isReauthForced || needsLogin && found == nil,
      isReauthForced: isReauthForced
    )
  }

  /// The preferences that the flags describe: what is not mentioned gets its default.
  private static func wanted(
    _ given: GivenSettings,
    current: Preferences,
    keepingOperator: Bool
  ) throws(CommandError) -> Preferences {
    var wanted = turnedOn(current)
    let defaults = Preferences()
    for setting in Setting.ofUp { _ = setting.put(setting.text(defaults), &wanted) }
    if keepingOperator { wanted.operatorUser = current.operatorUser }
    try given.put(Setting.ofUp, into: &wanted)
    return wanted
  }

  /// `current`, wanting to be connected; who the node is stays the daemon's business.
  private static func turnedOn(_ current: Preferences) -> Preferences {
    var wanted = current
    wanted.wantRunning = true
    wanted.loggedOut = false
    wanted.config = nil
    return wanted
  }

  private static func noServer(_ verb: String) -> CommandError {
    CommandError(
      "no coordination server is known",
      hint: "Name it: martlet \(verb) --login-server=URL"
    )
  }
}
