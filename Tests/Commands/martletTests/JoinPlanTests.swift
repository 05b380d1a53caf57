// SPDX-License-Identifier: Apache-2.0

import Addressing
import ArgumentParser
import CommandLine
import LocalAPI
import Testing

@testable import martlet

@Suite("What up decides")
struct JoinPlanTests {
  private func plan(
    _ flags: [String] = [],
    state: BackendState = .running,
    current: Preferences? = nil,
    key: String? = nil,
    environment: [String: String] = [:]
  ) throws -> JoinPlan {
    var status = Status()
    status.backendState = state.name
    status.haveNodeKey = state != .needsLogin
    var stored = Preferences()
    stored.controlURL = "http://c:8080"
    stored.wantRunning = true
    let words = try Martlet.style.normalize(["up"] + flags)
    let up = try #require(try Martlet.parseAsRoot(words) as? UpCommand)
    return try JoinPlan(
      GivenSettings(server: up.server, common: up.settings),
      verb: "up",
      status: status,
      current: current ?? stored,
      isBare: flags.isEmpty && key == nil,
      isReset: up.reset ?? false,
      isReauthForced: up.forceReauth ?? false,
      key: key,
      environment: environment
    )
  }

  private func stored(_ change: (inout Preferences) -> Void = { _ in }) -> Preferences {
    var preferences = Preferences()
    preferences.controlURL = "http://c:8080"
    change(&preferences)
    return preferences
  }

  private func refusal(_ flags: [String], _ current: Preferences) throws -> CommandError {
    try #require(
      #expect(throws: CommandError.self) { try plan(flags, current: current) }
    )
  }

  @Test("Bare, it turns a node on that is logged in")
  func bare() throws {
    let current = stored { $0.hostname = "h" }
    #expect(try plan(state: .stopped, current: current) == .turnOn)
    #expect(try plan(state: .running, current: current) == .turnOn)
  }

  @Test("The first time it needs a server, and logs in")
  func first() throws {
    let fresh = Preferences()
    let error = #expect(throws: CommandError.self) {
      try plan(state: .needsLogin, current: fresh)
    }
    #expect(error?.hint == "Name it: martlet up --login-server=URL")
    let joined = try plan(["--login-server", "http://c"], state: .needsLogin, current: fresh)
    guard case .start(let preferences, let key, let isInteractive, _) = joined else {
      Issue.record("\(joined)")
      return
    }
    #expect(preferences.controlURL == "http://c")
    #expect(preferences.wantRunning)
    #expect(key == nil)
    #expect(isInteractive)
  }

  @Test("A setting that is not mentioned is not dropped silently")
  func reverts() throws {
    let current = stored {
      $0.hostname = "my host"
      $0.advertiseTags = ["tag:a", "tag:b"]
      $0.runSSH = true
    }
    let error = try refusal(["--shields-up"], current)
    try Goldens.expect(error.text(program: "martlet") + "\n", equals: "up-refusal.txt")
    #expect(error.code == .failure)
    // Mentioned, in whatever value, it is meant.
    let all = [
      "--login-server=http://c:8080", "--hostname=", "--advertise-tags=a,b", "--ssh=false",
    ]
    #expect(throws: Never.self) { try plan(all, current: current) }
    #expect(throws: Never.self) { try plan(["--reset"], current: stored { $0.runSSH = true }) }
  }

  @Test("A key in the arguments is not repeated")
  func keys() throws {
    let error = #expect(throws: CommandError.self) {
      try plan(["--hostname=h"], current: stored { $0.routeAll = true }, key: "secret")
    }
    #expect(error?.message.contains("secret") == false)
  }

  @Test("Of a node that is connected only what was mentioned changes")
  func edits() throws {
    let current = stored {
      $0.wantRunning = true
      $0.runSSH = false
    }
    let edited = try plan(["--login-server=http://c:8080", "--hostname=x"], current: current)
    guard case .edit(let edit) = edited else {
      Issue.record("\(edited)")
      return
    }
    #expect(edit.keys == [.controlURL, .hostname, .wantRunning])
    #expect(edit.values.hostname == "x")
  }

  @Test("Resetting mentions everything")
  func reset() throws {
    let current = stored {
      $0.hostname = "h"
      $0.profileName = "work"
    }
    let made = try plan(["--reset", "--login-server=http://c:8080"], current: current)
    guard case .edit(let edit) = made else {
      Issue.record("\(made)")
      return
    }
    #expect(edit.keys.contains(.hostname))
    #expect(edit.values.hostname.isEmpty)
    #expect(!edit.keys.contains(.profileName))
  }

  @Test("Another server needs a new login, said aloud")
  func moving() throws {
    let error = try refusal(["--login-server=http://d"], stored())
    #expect(error.message == "can't change --login-server without --force-reauth")
    let forced = try plan(["--login-server=http://d", "--force-reauth"], current: stored())
    guard case .start(let preferences, _, let isInteractive, let isForced) = forced else {
      Issue.record("\(forced)")
      return
    }
    #expect(preferences.controlURL == "http://d")
    #expect(isInteractive)
    #expect(isForced)
  }

  @Test("Other tags need the server, and so a start")
  func tags() throws {
    let made = try plan(
      ["--login-server=http://c:8080", "--advertise-tags=web"],
      current: stored()
    )
    guard case .start(let preferences, _, let isInteractive, _) = made else {
      Issue.record("\(made)")
      return
    }
    #expect(preferences.advertiseTags == ["tag:web"])
    #expect(!isInteractive)
  }

  @Test("The operator stays the operator without being mentioned")
  func operators() throws {
    let current = stored { $0.operatorUser = "alice" }
    let flags = ["--login-server=http://c:8080", "--hostname=x"]
    #expect(throws: Never.self) {
      try plan(flags, current: current, environment: ["USER": "alice"])
    }
    #expect(throws: CommandError.self) {
      try plan(flags, current: current, environment: ["USER": "bob"])
    }
  }

  @Test("A key in the environment is used when a login is needed, and only then")
  func environment() throws {
    let variables = ["MARTLET_AUTHKEY": "k1", "TS_AUTHKEY": "k2"]
    let flags = ["--login-server=http://c:8080"]
    guard
      case .start(_, "k1", false, false) = try plan(
        flags,
        state: .needsLogin,
        current: stored(),
        environment: variables
      ), case .edit = try plan(flags, current: stored(), environment: variables)
    else {
      Issue.record("the wrong key, or the wrong plan")
      return
    }
  }

  @Test("A start never sends the identity back")
  func identity() throws {
    let current = stored { $0.config = LoginIdentity() }
    guard
      case .start(let preferences, _, _, _) = try plan(
        ["--login-server=http://c:8080"],
        state: .needsLogin,
        current: current
      )
    else {
      Issue.record("no start")
      return
    }
    #expect(preferences.config == nil)
  }
}

@Suite("Settings and their flags")
struct SettingFlagsTests {
  @Test("Every setting has a flag that takes its own text")
  func table() throws {
    #expect(Set(Setting.all.map(\.name)).count == Setting.all.count)
    var changed = Preferences()
    changed.controlURL = "http://c"
    changed.advertiseTags = ["tag:a"]
    changed.exitNodeID = "n1"
    // What is on by default and not served cannot be asked for.
    (changed.corpDNS, changed.autoUpdate.check, changed.netfilterMode) = (false, false, 0)
    for setting in Setting.all {
      let isServer = setting.name == "login-server"
      let flag = setting.flag(setting.text(changed))
      let words = try Martlet.style.normalize([isServer ? "up" : "set", flag])
      let command = try Martlet.parseAsRoot(words)
      let given =
        isServer
        ? GivenSettings(server: try #require(command as? UpCommand).server)
        : GivenSettings(
          common: try #require(command as? SetCommand).settings,
          more: try #require(command as? SetCommand).more
        )
      #expect(setting.given(given) == setting.text(changed), "\(setting.name)")
      var copy = Preferences()
      try given.put([setting], into: &copy)
      #expect(setting.text(copy) == setting.text(changed), "\(setting.name)")
      for key in PreferenceKey.allCases where !setting.keys.contains(key) {
        #expect(!copy.differences(from: Preferences()).contains(key))
      }
    }
  }

  @Test("Every switch may stand alone, and be turned off")
  func switches() throws {
    for setting in Setting.ofSet where setting.isSwitch {
      for (word, expected) in [("-\(setting.name)", "true"), ("--\(setting.name)=0", "false")] {
        let command = try Martlet.parseAsRoot(
          Martlet.style.normalize(["set", word, "--hostname=x"])
        )
        let set = try #require(command as? SetCommand)
        let given = GivenSettings(common: set.settings, more: set.more)
        #expect(setting.given(given) == expected)
      }
    }
  }

  @Test("Routes and the exit node keep each other")
  func routes() throws {
    func put(_ words: [String], _ preferences: inout Preferences) throws {
      let command = try Martlet.parseAsRoot(Martlet.style.normalize(["set"] + words))
      let set = try #require(command as? SetCommand)
      try GivenSettings(common: set.settings, more: set.more).put(Setting.ofSet, into: &preferences)
    }
    var preferences = Preferences()
    try put(["--advertise-exit-node"], &preferences)
    try put(["--advertise-routes=10.0.0.0/8,fd00::/64"], &preferences)
    #expect(preferences.advertiseRoutes?.count == 4)
    try put(["--advertise-exit-node=false"], &preferences)
    #expect(preferences.advertiseRoutes?.map(\.description) == ["10.0.0.0/8", "fd00::/64"])
    #expect(throws: CommandError.self) { try put(["--advertise-routes=x"], &preferences) }
    #expect(throws: CommandError.self) { try put(["--netfilter-mode=maybe"], &preferences) }
    for asked in ["--accept-dns", "--accept-dns=true", "--update-check", "--netfilter-mode=on"] {
      #expect(throws: CommandError.self) { try put([asked], &preferences) }
    }
    try put(["--accept-dns=false", "--update-check=false", "--netfilter-mode=off"], &preferences)
    #expect(!preferences.corpDNS && preferences.netfilterMode == 0)
  }

  @Test("Flags are written as a shell takes them")
  func quoting() throws {
    let hostname = try #require(Setting.all.first { $0.name == "hostname" })
    #expect(hostname.flag("") == "--hostname=")
    #expect(hostname.flag("a;b") == "--hostname='a;b'")
    #expect(hostname.flag("a'$(b)") == "--hostname='a'\\''$(b)'")
    let ssh = try #require(Setting.all.first { $0.name == "ssh" })
    #expect(ssh.flag("true") == "--ssh")
    #expect(ssh.flag("false") == "--ssh=false")
  }
}
