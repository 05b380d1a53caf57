// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import CommandLine
import LocalAPI

/// `martlet up`: connects this machine, and logs in first where that is needed.
struct UpCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "up",
    abstract: "Connect to the network, logging in if needed.",
    discussion: """
      Without flags it connects with the settings there are. With flags it sets all settings, those \
      that are not mentioned to their defaults, and refuses to do so silently: mention them, or \
      change single ones with 'martlet set'.
      """
  )

  @OptionGroup var daemon: DaemonOptions
  @OptionGroup var server: ServerFlags
  @OptionGroup var join: JoinFlags
  @OptionGroup var settings: SettingFlags
  @Option(help: .yesNo("Log in again, even if this machine is logged in."))
  var forceReauth: Bool?
  @Option(help: .yesNo("Set the settings that are not mentioned to their defaults."))
  var reset: Bool?
  @Option(help: .yesNo("Print progress as JSON."))
  var json: Bool?

  func run() async throws {
    let client = client
    let status = try await client.status(peers: false)
    let current = try await client.preferences()
    let plan = try JoinPlan(
      GivenSettings(server: server, common: settings),
      verb: "up",
      status: status,
      current: current,
      isBare: isBare,
      isReset: reset ?? false,
      isReauthForced: forceReauth ?? false,
      key: try AuthKeySource.key(fromFlag: join.authKey),
      environment: environment
    )
    let joining = Joining(
      client: client,
      output: output,
      asJSON: json ?? false,
      timeout: join.timeout ?? .zero
    )
    try await joining.carryOut(plan, since: status)
  }

  /// Whether no flag was given at all.
  private var isBare: Bool {
    GivenSettings(server: server, common: settings).names(among: Setting.ofUp).isEmpty
      && join.authKey == nil && join.timeout == nil && forceReauth == nil && reset == nil
      && json == nil
  }
}

/// `martlet login`: logs in anew.
struct LoginCommand: DaemonCommand {
  static let configuration = CommandConfiguration(
    commandName: "login",
    abstract: "Log in to a network.",
    discussion: "One login at a time is served: log out of the one before first."
  )

  @OptionGroup var daemon: DaemonOptions
  @OptionGroup var server: ServerFlags
  @OptionGroup var join: JoinFlags
  @OptionGroup var settings: SettingFlags
  @Option(help: ArgumentHelp("What you call this login.", valueName: "name"))
  var nickname: String?

  func run() async throws {
    let client = client
    let status = try await client.status(peers: false)
    guard !status.haveNodeKey || status.state == .needsLogin else {
      throw CommandError(
        "this machine is logged in already, and several logins are not served yet",
        hint: "Run 'martlet logout' first, or 'martlet up --force-reauth' to log in again."
      )
    }
    var current = try await client.preferences()
    if let nickname { current.profileName = nickname }
    let plan = try JoinPlan(
      GivenSettings(server: server, common: settings),
      verb: "login",
      status: status,
      current: current,
      isBare: false,
      isReset: true,
      isReauthForced: false,
      key: try AuthKeySource.key(fromFlag: join.authKey),
      environment: environment
    )
    let joining = Joining(
      client: client,
      output: output,
      asJSON: false,
      timeout: join.timeout ?? .zero
    )
    try await joining.carryOut(plan, since: status)
  }
}
